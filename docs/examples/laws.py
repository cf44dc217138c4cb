"""
Which law of z?
===============

The same picture, the same 500 evaluations, five laws. What a law moves together it can see; each has its own estimand
and its own noise.
"""

import matplotlib.pyplot as plt

import legstat as ls
from legstat.data import digits_model_path, load_digit

image, label = load_digit(5)
f = ls.onnx_response(digits_model_path(), target=label)
grid = (8, 8)
laws = {
    "blocks of 1, 2, 4, 7": ls.MultiscaleBlocks(grid=grid),
    "cells on or off": ls.BernoulliCells(grid=grid, scale=0.5),
    "isotropic": ls.IsotropicGaussian(grid=grid, scale=0.25),
    "structured (the paper's)": ls.StructuredGaussian(grid=grid, scale=0.25),
    "spectral, smooth": ls.SpectralGaussian(grid=grid, scale=0.25),
}

# %%
# Above a draw of each law, below LEG of 500 evaluations with its out-of-sample R²: the share of the score's moves under
# that law that the map predicts.

figure, axes = plt.subplots(2, len(laws), figsize=(12, 5), layout="constrained")
for (above, below), (name, design) in zip(axes.T, laws.items(), strict=True):
    sample = ls.query(f, image, design, n_queries=500, perturbation=ls.Blend("black"), rng=0)
    leg = ls.LEG(sample).fit()
    above.imshow(sample.draws()[0, 0], cmap="RdBu_r", vmin=-0.5, vmax=0.5)
    above.set(title=name, xticks=[], yticks=[])
    leg.plot(below, title=f"R² {leg.r2_heldout:.2f}", colorbar=False)
    mean_error = leg.std_errors.mean()
    below.set_xlabel(f"mean standard error {mean_error:.2f}")
