"""
A placebo and random weights
============================

Two checks of a map. Where signs are flipped at random nothing is left to find: are p-values uniform then? And does the
map change when the network's weights are replaced?
"""

import matplotlib.pyplot as plt
import numpy as np

import legstat as ls
from legstat.data import digits_model_path, load_digit

image, label = load_digit(5)
f = ls.onnx_response(digits_model_path(), target=label)
sample = ls.query(f, image, ls.MultiscaleBlocks(grid=(8, 8)), n_queries=1000, perturbation=ls.Blend("black"), rng=0)

# %%
# The placebo flips the sign of each pair's response by a coin. Over 20 placebos the p-values of the cells spread evenly
# over [0, 1]; those of the real sample crowd at 0.

placebos = [ls.LEG(ls.checks.placebo_sample(sample, rng=coin)).fit().pvalues for coin in range(20)]
figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
bins = np.linspace(0, 1, 21)
ax.hist(np.concatenate(placebos), bins, density=True, color="0.7", label="20 placebos")
ax.hist(ls.LEG(sample).fit().pvalues, bins, density=True, histtype="step", color="#b2182b", linewidth=2, label="sample")
ax.set(xlabel="p-value of a cell", ylabel="density")
ax.legend(frameon=False)
print(ls.checks.placebo(sample, rng=0))

# %%
# Weights replaced layer by layer from the output. The first two maps are of the network as it is, with other draws: so
# much do draws alone change.

cascade = ls.checks.cascade(f, sample, n_queries=1000, rng=0)
figure, axes = plt.subplots(1, len(cascade.layers), figsize=(12, 2.8), layout="constrained")
for ax, layers, share, values in zip(axes, cascade.layers, cascade.shares, cascade.legtv, strict=True):
    limit = np.abs(values).max() or 1.0
    ax.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit)
    ax.set(title=f"{layers} layers random" if layers else "as it is", xlabel=f"{share:.0%} of the weights",
           xticks=[], yticks=[])  # fmt: skip
print(ls.checks.cascading_randomisation(f, sample, n_queries=1000, rng=0))
