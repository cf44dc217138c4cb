"""Value and gradient of a score with respect to a mask or a picture: exact by torch, or estimated from queries.

Spends evaluations and counts them; minimises nothing, and leaves torch to ``responses/torch``.
"""
