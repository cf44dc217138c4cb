"""
On axes of your own
===================

Every ``plot`` takes matplotlib axes and returns them: maps become part of your figure, in your style.
"""

import matplotlib.pyplot as plt
import numpy as np

import legstat as ls
from legstat.data import digits_model_path, load_digit

f = ls.onnx_response(digits_model_path())
digits = [1, 5, 7, 20]
found = [ls.explain(f, load_digit(i)[0], perturbation=ls.Blend("black"), n_queries=500, rng=0) for i in digits]

# %%
# Four digits in one figure, on one scale of colours, with a panel of our own below: what each row of cells adds to the
# log-odds of the digit's class.

limit = max(np.abs(one.leg.saliency).max() for one in found)
with plt.rc_context({"font.family": "serif", "axes.titleweight": "bold"}):
    figure, axes = plt.subplots(2, 4, sharey="row", figsize=(11, 5), layout="constrained", height_ratios=[2, 1])
    for one, (above, below), number in zip(found, axes.T, digits, strict=True):
        one.leg.plot(above, limit=limit, colorbar=one is found[-1], title=f"a written {load_digit(number)[1]}")
        below.bar(range(8), one.leg.saliency.sum(axis=1), color="#2463a8")
        below.axhline(0, color="k", linewidth=0.6)
        below.set(xlabel="row of the grid")
