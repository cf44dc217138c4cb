r"""How much of each map lies on the object: its mean by group, whether groups differ, and in which pictures it matters.

With :math:`m_i \ge 0` the positive part of a picture's map and :math:`o_i` the share of each cell that belongs to the
object, the share inside is :math:`s_i = \sum_c m_{ic} o_{ic} / \sum_c m_{ic}`, and its excess what that is above the
object's share of the cells. Pictures are the observations: intervals are over pictures like these, by the sandwich
with clusters where pictures come in clusters (Liang and Zeger, 1986), with Student's law of one degree less than there
are clusters. The maps' own errors are part of the pictures' spread.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from legstat._core.checks import check_choice, check_level
from legstat._core.errors import invalid
from legstat._core.typing import FloatArray
from legstat.audit.mean_maps import EVERYONE, MINIMUM_CLUSTERS, MapName
from legstat.audit.run import AuditRun
from legstat.inference.multiplicity import CORRECTIONS, corrected

if TYPE_CHECKING:
    import pandas as pd


def shares_inside(run: AuditRun, *, map: MapName = "legtv") -> pd.DataFrame:
    """How much of each picture's map lies on the object.

    Parameters
    ----------
    run : AuditRun
        The run; pictures without boxes and mask are left out.
    map : {"legtv", "leg"}, default "legtv"
        Which map; its positive part counts.

    Returns
    -------
    DataFrame
        A row a picture: ``name``, ``group``, ``label``, ``target``, ``right``, ``share`` (NaN for a map without
        positive values), ``area`` (the object's share of the cells), ``excess`` (share - area).

    Raises
    ------
    ValueError
        No picture has boxes or a mask.

    Examples
    --------
    >>> import tempfile
    >>> import legstat as ls
    >>> from legstat.data import digits_model_path, load_digit
    >>> f = ls.onnx_response(digits_model_path(), preprocessing="unit")
    >>> digits = np.stack([load_digit(i)[0] for i in range(2)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = f"{folder}/digits.npz"
    ...     np.savez(store, images=digits, boxes=[[1, 0, 7, 8]] * 2, groups=["a", "b"])
    ...     plan = ls.audit.Plan(places=(store,), model={"model": "digits"}, n_queries=250, steps=0, L_ratio=0.1)
    ...     run = ls.audit.audit(f, plan, f"{folder}/run", progress=False)
    ...     shares_inside(run)[["name", "area"]]
            name  area
    0  digits[0]  0.75
    1  digits[1]  0.75
    """
    shares = known_shares(run, map)
    if shares.empty:
        remedy = "Give a table with a column boxes or mask."
        raise ValueError(invalid("shares_inside", "run", run, "of pictures with boxes or masks", remedy))
    return shares


def known_shares(run: AuditRun, map_: MapName) -> pd.DataFrame:
    """What `shares_inside` gives; nothing where no object is known, or none that leaves a part of the picture."""
    import pandas as pd

    check_choice("shares_inside", "map", map_, ("legtv", "leg"))
    rows = []
    for one in run:
        if one.inside is None:
            continue
        mass = np.maximum(one.legtv if map_ == "legtv" else one.leg, 0.0)
        share = float((mass * one.inside).sum() / mass.sum()) if mass.any() else float("nan")
        area = float(one.inside.mean())
        facts = {name: one.facts.get(name) for name in ("group", "label", "target", "right")}
        rows.append({"name": one.name, **facts, "share": share, "area": area, "excess": share - area})
    return pd.DataFrame(rows)


def mean_shares(shares: pd.DataFrame, *, by: str = "group", cluster: str = "name", level: float = 0.95) -> pd.DataFrame:
    """Mean share of saliency inside the object, of all pictures and by group, with cluster-robust intervals.

    Parameters
    ----------
    shares : DataFrame
        From `shares_inside`; columns may be added.
    by : str, default "group"
        Column that says the group; pictures without one belong to all only.
    cluster : str, default "name"
        Column of what pictures share that makes them alike (a patient, a camera): errors within are taken as one.
    level : float, default 0.95
        Of each interval.

    Returns
    -------
    DataFrame
        A row a group, ``all`` first: ``pictures``, ``clusters``, ``share``, ``share_low``, ``share_high``, ``area``,
        ``excess``, ``excess_low``, ``excess_high``, ``pvalue`` (of no excess). Intervals and p-values are NaN below
        20 clusters.

    Raises
    ------
    ValueError
        No such column.

    Notes
    -----
    statsmodels' OLS on a constant with ``cov_type="cluster"``.

    Examples
    --------
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> shares = pd.DataFrame({"name": range(40), "group": ["photo", "x-ray"] * 20, "share": rng.uniform(0.5, 0.9, 40)})
    >>> shares = shares.assign(area=0.25, excess=shares["share"] - 0.25)
    >>> mean_shares(shares)[["group", "pictures", "share_low", "share_high"]].round(2)
       group  pictures  share_low  share_high
    0    all        40       0.68        0.75
    1  photo        20       0.69        0.79
    2  x-ray        20       0.63        0.75
    """
    import pandas as pd

    where = "mean_shares"
    _check_columns(where, shares, {"by": by, "cluster": cluster})
    check_level(where, "level", level)
    known = shares.dropna(subset=["share"])
    rows = []
    for name, some in [(EVERYONE, known), *known.groupby(by, sort=True)]:
        share, excess = (_ols(some[column], np.ones(len(some)), some[cluster], level) for column in ("share", "excess"))
        rows.append(
            {
                by: name,
                "pictures": len(some),
                "clusters": some[cluster].nunique(),
                "share": share["estimate"],
                "share_low": share["low"],
                "share_high": share["high"],
                "area": float(some["area"].mean()),
                "excess": excess["estimate"],
                "excess_low": excess["low"],
                "excess_high": excess["high"],
                "pvalue": excess["pvalue"],
            }
        )
    return pd.DataFrame(rows)


def compare_groups(
    shares: pd.DataFrame,
    *,
    by: str = "group",
    cluster: str = "name",
    value: str = "excess",
    level: float = 0.95,
    method: str = "Holm",
) -> pd.DataFrame:
    """Whether groups of pictures differ in their mean: each pair, with multiplicity over the pairs.

    Parameters
    ----------
    shares : DataFrame
        From `shares_inside`, or any table with a row a picture.
    by, cluster : str
        As for `mean_shares`.
    value : str, default "excess"
        Column whose means are compared.
    level : float, default 0.95
        Of each interval.
    method : {"Holm", "BH", "BY", "Bonferroni"}, default "Holm"
        Of the adjusted p-values.

    Returns
    -------
    DataFrame
        A row a pair: ``a``, ``b``, ``difference`` (a - b), ``low``, ``high``, ``pvalue``, ``pvalue_adjusted``; NaN
        where one of the two has fewer than 20 clusters.

    Raises
    ------
    ValueError
        No such column, fewer than two groups, or an unknown method.

    Examples
    --------
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> shares = pd.DataFrame({"name": range(40), "group": ["photo", "x-ray"] * 20, "share": rng.uniform(0.5, 0.9, 40)})
    >>> shares = shares.assign(area=0.25, excess=shares["share"] - 0.25)
    >>> compare_groups(shares)[["a", "b", "difference", "pvalue_adjusted"]].round(2)
           a      b  difference  pvalue_adjusted
    0  photo  x-ray        0.05              0.2
    """
    import pandas as pd

    where = "compare_groups"
    _check_columns(where, shares, {"by": by, "cluster": cluster, "value": value})
    check_level(where, "level", level)
    check_choice(where, "method", method, CORRECTIONS)
    known = shares.dropna(subset=[value, by])
    names = sorted(known[by].unique(), key=str)
    if len(names) < 2:
        raise ValueError(invalid(where, "by", by, "a column of two groups or more", f"There are {names}."))
    rows = []
    for a, b in itertools.combinations(names, 2):
        two = known[known[by].isin([a, b])]
        columns = np.column_stack([two[by] == a, np.ones(len(two))]).astype(np.float64)
        fewest = min(known.loc[known[by] == one, cluster].nunique() for one in (a, b))
        told = _ols(two[value], columns, two[cluster], level, fewest)
        rows.append({"a": a, "b": b, "difference": told.pop("estimate"), **told})
    frame = pd.DataFrame(rows)
    frame["pvalue_adjusted"] = corrected(frame["pvalue"].to_numpy(), method)
    return frame


def object_tests(run: AuditRun, *, method: str = "BH") -> pd.DataFrame:
    """In which pictures the model responds to the object otherwise than to what surrounds it.

    Each picture by itself: LEG's mean over the object less its mean over the rest, from that picture's own queries.

    Parameters
    ----------
    run : AuditRun
        The run; pictures without object or without intervals are left out.
    method : {"BH", "BY", "Holm", "Bonferroni"}, default "BH"
        Of the p-values adjusted over the pictures. Pictures are queried independently, so BH controls the rate of false
        discoveries.

    Returns
    -------
    DataFrame
        A row a picture: ``name``, ``group``, ``estimate``, ``low``, ``high`` (95 %), ``pvalue``, ``pvalue_adjusted``.

    Raises
    ------
    ValueError
        An unknown method.

    Examples
    --------
    >>> import tempfile
    >>> import legstat as ls
    >>> from legstat.data import digits_model_path, load_digit
    >>> f = ls.onnx_response(digits_model_path(), preprocessing="unit")
    >>> digits = np.stack([load_digit(i)[0] for i in range(2)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = f"{folder}/digits.npz"
    ...     np.savez(store, images=digits, boxes=[[1, 0, 7, 8]] * 2, groups=["a", "b"])
    ...     plan = ls.audit.Plan(places=(store,), model={"model": "digits"}, n_queries=250, steps=0, L_ratio=0.1)
    ...     run = ls.audit.audit(f, plan, f"{folder}/run", progress=False)
    ...     list(object_tests(run).columns[:4])
    ['name', 'group', 'estimate', 'low']
    """
    import pandas as pd

    check_choice("object_tests", "method", method, CORRECTIONS)
    rows = []
    for header in run.headers():
        facts = header["facts"]
        if facts.get("object") is not None:
            told = {kind: facts["object"][kind] for kind in ("estimate", "low", "high", "pvalue")}
            rows.append({"name": header["name"], "group": facts.get("group"), **told})
    columns = ["name", "group", "estimate", "low", "high", "pvalue"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["pvalue_adjusted"] = corrected(frame["pvalue"].to_numpy(dtype=np.float64), method)
    return frame


def _ols(
    y: pd.Series[float], x: FloatArray, clusters: pd.Series[Any], level: float, fewest: int | None = None
) -> dict[str, float]:
    """The first coefficient with its cluster-robust interval and p-value; NaN of too few clusters."""
    from statsmodels.regression.linear_model import OLS

    nothing = dict.fromkeys(("low", "high", "pvalue"), float("nan"))
    codes = np.unique(clusters.astype(str), return_inverse=True)[1]
    if (codes.max(initial=-1) + 1 if fewest is None else fewest) < MINIMUM_CLUSTERS:
        found = np.linalg.lstsq(x.reshape(len(y), -1), y.to_numpy(), rcond=None)[0][0] if len(y) else np.nan
        return {"estimate": float(found), **nothing}
    fitted = OLS(y.to_numpy(), x).fit(cov_type="cluster", cov_kwds={"groups": codes}, use_t=True)
    low, high = np.asarray(fitted.conf_int(1.0 - level))[0]
    return {"estimate": float(fitted.params[0]), "low": float(low), "high": float(high),
            "pvalue": float(fitted.pvalues[0])}  # fmt: skip


def _check_columns(where: str, frame: pd.DataFrame, columns: dict[str, str]) -> None:
    for argument, name in columns.items():
        if name not in frame:
            raise ValueError(invalid(where, argument, name, f"a column of the table, one of {list(frame)}"))
