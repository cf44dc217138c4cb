"""Maps as xarray datasets and data frames: the same numbers, at the places where they are."""

from __future__ import annotations

import json
import subprocess
import sys
from html import escape
from typing import Any

import numpy as np
import pytest

import legstat as ls

xr = pytest.importorskip("xarray", reason="the extra xarray")
IMAGE = np.linspace(0.2, 0.8, 3 * 64).reshape(3, 8, 8)
GAMMA = np.diag([1.0, 2.0, 3.0, 4.0, 5.0])


@pytest.fixture(scope="module")
def found() -> ls.Explanation:
    f = ls.simulate.linear(GAMMA)
    how: dict[str, Any] = {"perturbation": ls.Additive(), "n_queries": 402, "rng": 0, "progress": False}
    return ls.explain(f, IMAGE, grid=(5, 5), **how)


def test_a_pixel_finds_its_cell(found: ls.Explanation) -> None:
    # 8 pixels in 5 cells: the first three have two, the others one
    data = found.leg.to_xarray()
    assert data.row.values.tolist() == data.column.values.tolist() == [0.5, 2.5, 4.5, 6.0, 7.0]
    assert data.row.attrs["units"] == "pixel"
    for pixel in (0, 3, 6, 7):
        there = data.estimate.sel(row=pixel, column=pixel, method="nearest").item()
        assert there == found.leg.heatmap[pixel, pixel]


def test_variables_are_the_columns_of_the_frame(found: ls.Explanation) -> None:
    for result in (found.leg, found.tv):
        frame, data = result.to_frame(), result.to_xarray()
        assert set(data.data_vars) == set(frame.columns) - {"channel", "row", "column"}
        assert data.estimate.dims == ("channel", "row", "column")
        for name, map_ in data.data_vars.items():
            np.testing.assert_array_equal(map_.values.ravel(), frame[name].to_numpy())
        assert data.estimate.attrs["units"] == data.attrs["units"] == "score per unit of pixel value"
        assert (data.attrs["law"], data.attrs["scale"], data.attrs["n"]) == ("StructuredGaussian", 0.02, 200)
    assert "units" not in found.leg.to_xarray().pvalue.attrs
    assert (data.attrs["L"], data.attrs["n_regions"]) == (found.tv.L, found.tv.n_regions)


def test_channels_are_an_axis() -> None:
    design = ls.StructuredGaussian(grid=(2, 4), scale=0.1, channels="joint")
    leg = ls.LEG(ls.Moments(b=np.arange(24.0).reshape(3, 8), design=design, n=100)).fit()
    data = leg.to_xarray()
    assert dict(data.sizes) == {"channel": 3, "row": 2, "column": 4}
    assert data.estimate.sel(channel=2, row=1, column=3).item() == leg.channel_maps[2, 1, 3]
    assert data.row.attrs["units"] == "cell"  # no picture, no pixels


def test_a_path_has_L_as_its_axis(found: ls.Explanation) -> None:
    data, frame = found.path.to_xarray(), found.path.to_frame()
    assert data.estimate.dims == ("L", "channel", "row", "column")
    chosen = data.estimate.sel(L=found.tv.L, method="nearest")
    nearest = min(found.path, key=lambda one: abs(one.L - found.tv.L))
    np.testing.assert_array_equal(chosen.values, nearest.channel_maps)
    assert chosen.L_ratio.item() == nearest.L_ratio
    assert data.n_regions.values.tolist() == [one.n_regions for one in found.path]
    assert frame["L"].tolist() == data.L.values.tolist()
    assert frame["gap"].max() < 1e-6  # of certified solutions


def test_a_baselines_cells_are_of_equal_size() -> None:
    how: dict[str, Any] = {"gradient": "queries", "n_queries": 200, "rng": 0}
    result = ls.baselines.mask(ls.simulate.linear(GAMMA), IMAGE, shape=(5, 5), **how)
    data, frame = result.to_xarray(), result.to_frame()
    np.testing.assert_allclose(data.row, [0.3, 1.9, 3.5, 5.1, 6.7], rtol=1e-12, atol=0)  # (i + 1/2) 8/5 - 1/2
    assert (frame["saliency"].to_numpy() == result.saliency.ravel()).all()
    assert (frame["mask"].to_numpy() == data.mask.values.ravel()).all()
    assert data.attrs["method"] == "mask"
    assert result._repr_html_().startswith(f"<div>{escape(repr(result))}</div><table")
    moved = ls.baselines.l1q(ls.simulate.linear(GAMMA), IMAGE, epsilon=1.0, **how)
    assert set(moved.to_xarray().data_vars) == {"saliency"}
    assert dict(moved.to_xarray().sizes) == dict(zip(("row", "column"), moved.saliency.shape, strict=True))


def test_they_are_json_and_back(found: ls.Explanation) -> None:
    for data in (found.leg.to_xarray(), found.path.to_xarray()):
        assert xr.Dataset.from_dict(json.loads(json.dumps(data.to_dict()))).identical(data)
    rows = json.loads(found.leg.to_frame().to_json(orient="records", double_precision=15))
    np.testing.assert_allclose([row["estimate"] for row in rows], found.leg.params, rtol=0, atol=1e-14)  # 15 decimals


def test_the_error_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['xarray'] = None\n"
        "import numpy as np, legstat as ls\n"
        "moments = ls.Moments(b=np.ones(4), design=ls.StructuredGaussian(grid=(2, 2), scale=0.1), n=9)\n"
        "try: ls.LEG(moments).fit().to_xarray()\n"
        "except ls.BackendUnavailableError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "LEGResults.to_xarray needs the package 'xarray': pip install 'legstat[xarray]'.\n"
