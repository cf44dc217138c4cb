"""
Boxes from the top down
=======================

Is there anything at all? In which quarter, in which quarter of that? Boxes within boxes are tested from the whole
picture down to the finest in which the evidence is certain, with one familywise error over all of them.
"""

import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle

import legstat as ls
from legstat.data import digits_model_path, load_digit

image, label = load_digit(5)
f = ls.onnx_response(digits_model_path(), target=label)

# %%
# More evaluations make smaller boxes: the finest rejected ones with 700, 2,000 and 6,000 evaluations.

figure, axes = plt.subplots(1, 3, figsize=(10, 3.7), layout="constrained")
for ax, n in zip(axes, (700, 2000, 6000), strict=True):
    leg = ls.explain(f, image, perturbation=ls.Blend("black"), n_queries=n, rng=0).leg
    test = leg.test_boxes(fwer=0.05)
    ax.imshow(image[0], cmap="gray", vmin=0, vmax=1)
    for box in test.to_frame().itertuples():
        colour = "#d6604d" if box.sum > 0 else "#4393c3"
        corner = (box.column - 0.5, box.row - 0.5)
        size = (box.column_end - box.column, box.row_end - box.row)
        ax.add_patch(Rectangle(corner, *size, fill=True, alpha=0.35, color=colour))
        ax.add_patch(Rectangle(corner, *size, fill=False, color=colour, linewidth=1.5))
    ax.set(title=f"{n:,} evaluations: {int(test.finest.sum())} finest boxes", xticks=[], yticks=[])
print(test)
