"""What can be said about the error of an estimate: intervals, tests, bounds, power, when a run may stop.

Sees estimates and covariances only: no model, no estimator.
"""
