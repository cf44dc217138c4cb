"""Who solves a program: HiGHS, a network simplex, cvxpy.

The only folder that imports them.
"""
