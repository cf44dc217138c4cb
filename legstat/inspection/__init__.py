"""What a model is, tried before the first query: inputs, outputs, preprocessing, speed, repeatability.

Estimates nothing.
"""
