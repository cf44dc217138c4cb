"""The moment vector b and what its error is made of, from draws and scores.

Sees units of z and y only: no picture, no model, no file.
"""
