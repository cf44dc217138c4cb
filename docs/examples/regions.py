"""
Regions with their intervals
============================

Regions are found on one half of the draws and tested on the other: for it they are named in advance, so that sums,
bands and p-values hold.
"""

import matplotlib.pyplot as plt
import numpy as np

import legstat as ls
from legstat.data import digits_model_path, load_digit

image, label = load_digit(5)
f = ls.onnx_response(digits_model_path(), target=label)
regions = ls.explain(f, image, perturbation=ls.Blend("black"), n_queries=2000, rng=0).regions
table = regions.to_frame(every=True)

# %%
# Each region's sum of γ with bands that hold for all of them at once: red where it raises the log-odds of class 7, blue
# where it lowers them, grey where the band contains 0.

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained", width_ratios=[1, 1.5])
colours = np.where(table["found"], np.where(table["sign"] > 0, "#b2182b", "#2166ac"), "0.6")

left.imshow(image[0], cmap="gray")
for number, place in enumerate(table.itertuples()):
    inside = np.kron(regions.labels[0] == number, np.ones((20, 20)))  # finer, for an outline along the cells' sides
    left.contour(inside, [0.5], colors=[colours[number]], linewidths=2, extent=(-0.5, 7.5, -0.5, 7.5))
    left.text(place.column, place.row, number, color="w", backgroundcolor=colours[number], ha="center", va="center",
              fontsize=8)  # fmt: skip
left.set(xticks=[], yticks=[], title="regions, strongest first")

middle, ends = table["sum"], table[["conf_low", "conf_high"]].to_numpy().T
right.vlines(table.index, *ends, colors=colours, linewidth=3)
right.scatter(table.index, middle, c=colours, s=40, zorder=3)
right.axhline(0, color="k", linewidth=0.6)
right.set(xticks=table.index, xlabel="region", ylabel="log-odds per unit of mask level",
          title=f"{regions.n_found} of {regions.n_regions} differ from 0")  # fmt: skip

# %%
# The same as a table, for the regions that were found.

print(regions.to_frame()[["cells", "sum", "std_error", "conf_low", "conf_high", "pvalue_adjusted"]].round(3))
