"""Several methods before one black box, each with the same number of counted evaluations.

Knows estimators only as one method among others; asks metrics what a map is worth.
"""
