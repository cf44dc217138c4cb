"""Maps as xarray datasets: axes by name, places in pixels, units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from legstat._core.optional import optional_module
from legstat._core.typing import JSON, FloatArray
from legstat.designs.tiling import Tiling
from legstat.report.colours import map_unit

if TYPE_CHECKING:
    import xarray as xr

    from legstat.moments.moments import Moments

_DIMS = ("L", "channel", "row", "column")
_UNITLESS = ("z", "pvalue", "mask")
"""Variables that are not counted in the map's unit."""


def labelled(
    where: str,
    maps: Mapping[str, FloatArray],
    image: FloatArray | None,
    *,
    attrs: Mapping[str, Any],
    along: Mapping[str, FloatArray] | None = None,
    even: bool = False,
) -> xr.Dataset:
    """Maps with their axes named.

    Parameters
    ----------
    where : str
        Public call, for the error where xarray is missing.
    maps : mapping of str to ndarray of shape (..., p1, p2)
        The variables: axes before the grid's are channels, and L before these.
    image : ndarray of shape (C, H, W) or None
        The picture that the grid lies on.
    attrs : mapping
        What else is known; None is left out.
    along : mapping of str to ndarray, optional
        L itself, and what else there is at each L.
    even : bool, default False
        Whether cells are of equal size though the grid does not divide the picture, as those of interpolated maps are.

    Returns
    -------
    xarray.Dataset
        Dimensions ``row`` and ``column``, before them ``channel`` and ``L`` where there are such axes. Coordinates of
        rows and columns are the centres of the cells in pixels, the first pixel's own centre being 0; without a picture
        they are numbers of cells.

    Raises
    ------
    BackendUnavailableError
        xarray is missing.
    """
    xarray = optional_module("xarray", "xarray", "xarray", where)
    shape = next(iter(maps.values())).shape
    dims = _DIMS[-len(shape) :]
    coords: dict[str, Any] = {name: (("L",), values) for name, values in (along or {}).items()}
    sides = (None, None) if image is None else image.shape[-2:]
    for name, cells, pixels, edge in zip(dims[-2:], shape[-2:], sides, ("upper", "left"), strict=True):
        about = {
            "units": "cell" if pixels is None else "pixel",
            "long_name": f"centre of the cell from the {edge} edge",
        }
        coords[name] = ((name,), np.arange(cells) if pixels is None else _centres(cells, pixels, even), about)
    if "channel" in dims:
        coords["channel"] = np.arange(shape[-3])
    known = {name: value for name, value in attrs.items() if value is not None}
    units = {"units": known["units"]} if "units" in known else {}
    variables = {name: (dims, map_, {} if name in _UNITLESS else units) for name, map_ in maps.items()}
    found: xr.Dataset = xarray.Dataset(variables, coords, known)
    return found


def facts_of(moments: Moments) -> JSON:
    """What is known of a map by its moments: law, operator, score, class and units."""
    response = moments.source.get("response", {})
    score, operator = str(response.get("score", "custom")), str(moments.source.get("perturbation", ""))
    return {
        "law": moments.design.label,
        "scale": moments.design.scale,
        "perturbation": operator or None,
        "score": score,
        "units": map_unit(score, operator),
        "target": response.get("target"),
        "target_label": response.get("target_label"),
        "moments": moments.kind,
        "n": moments.n,
    }


def _centres(cells: int, pixels: int, even: bool) -> FloatArray:
    if even:
        return (np.arange(cells) + 0.5) * pixels / cells - 0.5
    sizes = Tiling.of((cells, cells), pixels, pixels).heights
    return np.asarray(np.cumsum(sizes) - (sizes + 1) / 2.0, dtype=np.float64)
