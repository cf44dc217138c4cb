"""The methods of a comparison, one subject a file: masks, games, regressions, variances, controls, legstat's own.

Each asks through `Asking`, which counts; none knows of another, nor of metrics.
"""
