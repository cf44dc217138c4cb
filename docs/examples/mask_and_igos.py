"""
Mask and I-GOS by queries
=========================

The mask of Fong and Vedaldi and I-GOS need a gradient. legstat estimates it from evaluations, so that both work on a
black box, and says what that cost.
"""

import matplotlib.pyplot as plt

import legstat as ls
from legstat.data import digits_model_path, load_digit

image, label = load_digit(5)
f = ls.onnx_response(digits_model_path(), target=label)
how = {"gradient": "queries", "n_queries": 2000, "shape": (8, 8), "baseline": "black", "rng": 0}
mask = ls.baselines.mask(f, image, l1=0.01, **how)
igos = ls.baselines.igos(f, image, **how)

# %%
# From the left: the picture, each method's map, and what its mask leaves of the picture. I-GOS' mask hides next to
# nothing here; its map ranks the cells by the integrated slope.

figure, axes = plt.subplots(1, 5, figsize=(12, 2.8), layout="constrained")
axes[0].imshow(image[0], cmap="gray", vmin=0, vmax=1)
axes[0].set(title="picture", xticks=[], yticks=[])
for found, (above, below) in zip((mask, igos), (axes[1:3], axes[3:5]), strict=True):
    found.plot(above, title=f"{found.method}, {found.n_queries:,} evaluations")
    below.imshow(found.picture[0], cmap="gray", vmin=0, vmax=1)
    below.set(title="what is left", xticks=[], yticks=[])

# %%
# The score and the terms of the penalty while the mask is optimised; a gradient is kept for some iterations, and the
# score is known where one was estimated.

axes = mask.plot_trace()
