"""The numbers of an explanation by name: scalars with all their bits, arrays by the SHA-256 of their bytes."""

from __future__ import annotations

from dataclasses import dataclass

from legstat._core.digests import array_sha256
from legstat._core.typing import JSON, FloatArray
from legstat.estimators.found_regions import Regions
from legstat.estimators.leg_results import LEGResults
from legstat.estimators.legtv_results import LEGTVResults
from legstat.estimators.path import LEGTVPath
from legstat.samples.sample import QuerySample


@dataclass(frozen=True)
class Check:
    """One number (or input) of a record beside its repetition.

    Attributes
    ----------
    name : str
        Its name in the record.
    same : bool
        Whether all bits are the same.
    then, now : str
        What the record says, and what came out.
    """

    name: str
    same: bool
    then: str
    now: str


def numbers(
    sample: QuerySample, leg: LEGResults, path: LEGTVPath, tv: LEGTVResults, regions: Regions | None = None
) -> JSON:
    """Every number of an explanation, by name.

    Parameters
    ----------
    sample : QuerySample
        What was queried.
    leg, path, tv : LEGResults, LEGTVPath, LEGTVResults
        What was estimated.
    regions : Regions, optional
        Where they were tested.

    Returns
    -------
    dict
        Name to ``{"value", "hex"}`` for scalars and ``{"sha256", "shape", "file", "array"}`` for arrays.
    """
    facts = leg.moments.source
    scalars: dict[str, float | int | None] = {
        "f_x0": sample.f_x0,
        "f_base": sample.f_base,
        "mean_shift": facts["mean_shift"],
        "sd": facts["sd"],
        "leg.r2_heldout": leg.r2_heldout,
        "legtv.L": tv.L,
        "legtv.L_max": tv.L_max,
        "legtv.L_ratio": tv.L_ratio,
        "legtv.r2_heldout": tv.r2_heldout,
        "legtv.n_regions": tv.n_regions,
        "legtv.gap": tv.certificate.gap,
    }
    if sample.stopping is not None and sample.stopping.units:
        scalars |= {"stopping.units": sample.stopping.units[-1], "stopping.half_width": sample.stopping.half_widths[-1]}
    named = _arrays(sample, leg, path, tv)
    if regions is not None:
        scalars |= {"regions.n_regions": regions.n_regions, "regions.n_found": regions.n_found, "regions.L": regions.L}
        named += [("regions", name, array) for name, array in regions.arrays().items()]
    arrays = {f"{file}.{name}": (file, name, array) for file, name, array in named}
    return {
        **{name: _scalar(value) for name, value in scalars.items()},
        **{
            key: {"sha256": array_sha256(array), "shape": list(array.shape), "file": f"{file}.npz", "array": name}
            for key, (file, name, array) in arrays.items()
        },
    }


def _arrays(
    sample: QuerySample, leg: LEGResults, path: LEGTVPath, tv: LEGTVResults
) -> list[tuple[str, str, FloatArray]]:
    """(file, array in it, values) of every array that is saved."""
    found = [("sample", f"responses.{i}", s.responses) for i, s in enumerate(sample.segments)]
    found += [("leg", "params", leg.params), ("legtv", "params", tv.params)]
    if leg.moments.variances is not None:
        found.append(("leg", "variances", leg.moments.variances))
    return found + [("path", name, array) for name, array in path_arrays(path).items()]


def path_arrays(path: LEGTVPath) -> dict[str, FloatArray]:
    """What of a path is saved: L, estimates, and the out-of-sample R^2 where it was measured."""
    arrays = {"Ls": path.Ls, "params": path.params}
    if "heldout" in vars(path):  # only if something asked for it: it costs the path once for each fold
        arrays |= {"heldout_r2": path.heldout.r2, "heldout_std_errors": path.heldout.std_errors}
    return arrays


def _scalar(value: float | None) -> JSON:
    if value is None:
        return {"value": None, "hex": None}
    return {"value": value, "hex": float(value).hex()}


def compare(then: JSON, now: JSON) -> list[Check]:
    """Every number of one explanation beside that of another, named as in either."""
    checks = []
    for name in [*then, *(name for name in now if name not in then)]:
        a, b = then.get(name, {}), now.get(name, {})
        kind = "sha256" if "sha256" in a or "sha256" in b else "hex"
        shown = "sha256" if kind == "sha256" else "value"
        checks.append(Check(name, a.get(kind) == b.get(kind), str(a.get(shown)), str(b.get(shown))))
    return checks
