"""
The path in L
=============

LEG-TV is not one map but a path of them: from a flat map at L_max to all details at L = 0. Held-out draws say how far
down to go.
"""

import matplotlib.pyplot as plt
import numpy as np

import legstat as ls
from legstat.data import digits_model_path, load_digit

image, label = load_digit(5)
f = ls.onnx_response(digits_model_path(), target=label)
found = ls.explain(f, image, perturbation=ls.Blend("black"), n_queries=800, rng=0)
panels = found.plot(path_points=4)

# %%
# What each point of the path predicts of draws that it was not fitted to (R², five folds). ``select("heldout")`` takes
# the best, and so does ``select("readable")``, the default, among the maps of at most 60 regions.
# ``select("simplest")`` takes the largest L within one standard error of it.

path, heldout = found.path, found.path.heldout
figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
ratios = np.array(path.Ls) / path[0].L_max
ax.plot(ratios, heldout.r2, "o-", color="#2463a8", markersize=4)
for rule, colour in (("heldout", "#d1661c"), ("simplest", "#2c8a4b")):
    chosen = path.select(rule)
    ax.axvline(chosen.L_ratio, color=colour, linestyle="--", label=f"{rule}: {chosen.n_regions} regions")
ax.set(xscale="log", xlabel="L / L_max", ylabel="out-of-sample R²")
ax.invert_xaxis()
ax.legend(frameon=False)
