"""Who solves a program: HiGHS, a network simplex, cvxpy.

The only folder that imports highspy and pylmcf; cvxpy and Clarabel also serve `optimum`, to pick a point of the face.
"""
