"""The moment vector b and what its error is made of, from draws and scores.

Sees observations of z and y only: no picture, no model, no file.
"""
