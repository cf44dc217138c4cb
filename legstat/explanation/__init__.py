"""One picture explained: query, estimates, choice of L and what is written, composed of the stages below.

Has no statistics of its own.
"""
