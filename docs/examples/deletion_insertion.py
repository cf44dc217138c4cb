"""
Deletion and insertion of several methods
=========================================

:func:`~legstat.compare` puts methods before the same pictures with the same number of evaluations. A good map's cells
destroy the class soon when they are deleted and bring it back soon when they are inserted.
"""

import matplotlib.pyplot as plt

import legstat as ls
from legstat.comparison.methods.controls import RandomMap
from legstat.comparison.methods.masks import Rise
from legstat.comparison.methods.own import LegMap, LegTvMap
from legstat.data import digits_model_path, load_digit

f = ls.onnx_response(digits_model_path())
digits = [load_digit(i)[0] for i in range(12)]
methods = [LegMap((8, 8)), LegTvMap((8, 8)), Rise((8, 8)), RandomMap((8, 8))]
found = ls.compare(methods, f, digits, n_queries=[300], rng=0)

# %%
# Mean curves over twelve digits, with the area of each.

figure, axes = plt.subplots(2, 1, figsize=(8, 7), layout="constrained")
for ax, metric in zip(axes, ("deletion", "insertion"), strict=True):
    found.plot_curves(metric, ax)

# %%
# What counts are differences on the same pictures. All intervals of this figure hold at once.

axes = found.plot_differences("random", "insertion_minus_deletion")
