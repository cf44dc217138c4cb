"""
Stopping by widths
==================

``until=`` stops a run as soon as LEG's intervals are narrow enough. The rule looks at widths alone, at interim analyses
that are fixed beforehand, so that the intervals keep their level.
"""

import matplotlib.pyplot as plt
import numpy as np

import legstat as ls
from legstat.data import digits_model_path, load_digit

image, label = load_digit(5)
f = ls.onnx_response(digits_model_path(), target=label)
design = ls.MultiscaleBlocks(grid=(8, 8))
targets = (0.6, 0.4, 0.3)
runs = [
    ls.query(f, image, design, n_queries=6000, perturbation=ls.Blend("black"), until=target, rng=0)
    for target in targets
]

# %%
# Three targets for the half-width of the widest 95 % interval. A third of the width costs nine times the evaluations;
# 6,000 were the ceiling.

figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
for run, target, colour in zip(runs, targets, ("#2463a8", "#d1661c", "#2c8a4b"), strict=True):
    seen = run.stopping
    pairs = np.array(seen.units)
    ax.plot(2 * pairs, seen.half_widths, "o-", color=colour, markersize=4,
            label=f"until {target}: {run.ledger.spent:,} evaluations")  # fmt: skip
    ax.axhline(target, color=colour, linestyle=":", linewidth=1)
ax.set(xscale="log", yscale="log", xlabel="evaluations", ylabel="half-width of the widest interval")
ax.legend(frameon=False)
print(runs[-1].stopping)
