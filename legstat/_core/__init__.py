"""Errors, checks, types, file format, digests and conventions, which every stage uses.

Imports nothing of legstat: it knows of no stage.
"""
