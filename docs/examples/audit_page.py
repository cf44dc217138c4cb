"""
The page of an audit
====================

An audit explains pictures, checks its own maps, and leaves a page that needs no network: here of a single digit.
"""

import tempfile
from pathlib import Path

import numpy as np

import legstat as ls
from legstat.data import digits_model_path, load_digit
from legstat.report.pages import write_report

image, label = load_digit(5)
folder = Path(tempfile.mkdtemp())
np.savez(folder / "digits.npz", images=image, labels=[label])

f = ls.onnx_response(digits_model_path(), preprocessing="unit")
plan = ls.audit.Plan(
    places=(str(folder / "digits.npz"),),
    model={"model": str(digits_model_path()), "preprocessing": "unit"},
    baseline="black",
    n_queries=1500,
    question="What does the network read in this digit?",
    author="an example",
)
run = ls.audit.audit(f, plan, folder / "run", progress=False)

# %%
# Its checks ask whether the map can be believed.

for check in next(iter(run)).checks:
    print(f"{check['name']}: {check['status'].replace('_', ' ')}")

# %%
# What ``legstat report`` writes: one file with maps along L, cells at a false discovery rate, intervals under the
# pointer, regions, curves, checks, provenance and the words it uses. Here it is, in a frame.

page = write_report(run)[0]

# sphinx_gallery_thumbnail_path = "_static/report_picture.png"
