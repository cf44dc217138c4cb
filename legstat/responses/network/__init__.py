"""What every network has in common, whatever runs it: class, score, preprocessing, labels, how outputs are read.

Knows no backend.
"""
