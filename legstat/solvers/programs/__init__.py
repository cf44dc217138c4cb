"""The linear programs: what is to be minimised, as sparse matrices.

Knows no engine.
"""
