"""Array types shared by the package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
AnyArray = NDArray[Any]
AxesArray = NDArray[np.object_]
"""Matplotlib's axes of several panels, as `subplots` gives them."""
AxesLike = AxesArray | Sequence[Any]
"""Such, or a list of them."""
JSON = dict[str, Any]
"""A mapping that `json.dumps` takes; the form in which provenance travels."""
