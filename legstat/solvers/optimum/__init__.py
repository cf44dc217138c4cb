"""What an answer is worth: our certificate, the optimal face, and which point of it is reported.

Trusts no engine. The point nearest to the data is found by a quadratic program on the face; Clarabel solves it, called
directly or by cvxpy, and its answer is certified like an engine's.
"""
