"""Calling conventions of other packages, for code that is written for them: captum's ``attribute``, Quantus' function.

Translates arguments and results; every number comes from `explain`. Imports none of those packages, nor torch.
"""

from legstat.interop.attribution import Attribution, explain_func

__all__ = ["Attribution", "explain_func"]
