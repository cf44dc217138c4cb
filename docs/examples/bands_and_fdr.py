"""
Bands and false discoveries
===========================

Three answers to "which cells matter?": intervals of cells named in advance, bands that hold for all cells at once, and
cells that differ from 0 at a false discovery rate.
"""

import matplotlib.pyplot as plt
import numpy as np

import legstat as ls
from legstat.data import digits_model_path, load_digit

image, label = load_digit(5)
f = ls.onnx_response(digits_model_path(), target=label)
leg = ls.explain(f, image, perturbation=ls.Blend("black"), n_queries=800, rng=0).leg

# %%
# The 64 estimates in the order of their size. Grey: 95 % intervals of each cell by itself. Blue: 95 % bands, which hold
# for all 64 cells together and are wider for it.

order = np.argsort(leg.params)
pointwise, bands = leg.conf_int(level=0.95)[order], leg.conf_int(level=0.95, simultaneous=True)[order]

figure, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
ax.vlines(range(64), *bands.T, color="#2463a8", linewidth=1, label="95 % for all cells at once")
ax.vlines(range(64), *pointwise.T, color="0.55", linewidth=4, label="95 % for each cell by itself")
ax.plot(leg.params[order], "k.", markersize=5)
ax.axhline(0, color="k", linewidth=0.6)
ax.set(xlabel="cells in the order of their estimates", ylabel="log-odds per unit of mask level", xlim=(-1, 64))
ax.legend(frameon=False)

# %%
# Cells that are left at three false discovery rates (Benjamini and Hochberg): of the cells shown at most that share is
# expected to be called different from 0 wrongly. In the report of an audit these are toggles.

figure, axes = plt.subplots(1, 4, figsize=(10, 2.9), layout="constrained")
leg.plot(axes[0], title="all cells", colorbar=False)
limit = np.abs(leg.saliency).max()
for ax, rate in zip(axes[1:], (0.2, 0.1, 0.05), strict=True):
    test = leg.test(fdr=rate)
    ax.imshow(np.where(test.significant[0], leg.saliency, np.nan), cmap="RdBu_r", vmin=-limit, vmax=limit)
    ax.set(title=f"FDR {rate:.0%}: {test.n_rejected} cells", xticks=[], yticks=[])
