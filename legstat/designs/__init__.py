"""The law F of the grid perturbation z: the grid, its differences, and how z is drawn, solved with and whitened.

Knows nothing of pictures or models.
"""
