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
design, targets = ls.MultiscaleBlocks(grid=(8, 8)), (0.6, 0.4, 0.25)
runs = [
    ls.query(f, image, design, n_queries=6000, perturbation=ls.Blend("black"), until=target, rng=0)
    for target in targets
]

# %%
# Runs of the same seed make the same draws, so that one curve shows all three: each stopped at the first analysis at
# which the widest of the 64 intervals reached its target. The ceiling of 6,000 evaluations was not needed.

figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
seen = runs[-1].stopping
ax.plot(2 * np.array(seen.units), seen.half_widths, ".-", color="0.6")
for run, target, colour in zip(runs, targets, ("#2463a8", "#d1661c", "#2c8a4b"), strict=True):
    ax.axhline(target, color=colour, linestyle=":", linewidth=1)
    ax.plot(2 * run.stopping.units[-1], run.stopping.half_widths[-1], "o", color=colour,
            label=f"until {target}: {run.ledger.spent:,} evaluations")  # fmt: skip
ax.set(xlabel="evaluations", ylabel="half-width of the widest interval", ylim=(0, None))
ax.legend(frameon=False)
print(seen)
