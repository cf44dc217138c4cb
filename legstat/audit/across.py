"""What the pictures of a run say together, in one value: a table, mean maps, and a figure of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from legstat._core.frozen import Portable
from legstat._core.notebooks import Rich
from legstat._core.typing import JSON, AxesArray, AxesLike
from legstat.audit.mean_maps import EVERYONE, MapName, MeanMap, grouped_maps
from legstat.audit.run import AuditRun
from legstat.audit.shares import compare_groups, known_shares, mean_shares, object_tests

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_FDR = 0.1
"""Of the pictures in which the object is said to matter."""
_COLUMNS = ("finding", "group", "pictures", "estimate", "low", "high", "area", "pvalue", "pvalue_adjusted")


@dataclass(frozen=True, kw_only=True, eq=False)
class Findings(Rich, Portable):
    """What the pictures of a run say together. Made by `findings`.

    Attributes
    ----------
    rows : sequence of dict
        ``finding``: "share inside" (mean share of saliency inside the object; the p-value is of no excess over
        ``area``, the object's share of the cells), "groups differ" (difference in that excess, adjusted by Holm) and
        "object matters" (number of pictures where LEG differs between object and surroundings at FDR 10 %);
        ``group``, ``pictures``, ``estimate``, ``low``, ``high``, ``area``, ``pvalue``, ``pvalue_adjusted``, NaN where
        there is none. Empty for a run without objects.
    mean_maps : sequence of MeanMap
        Of all pictures, and of each group; empty for a run of one picture.
    level : float
        Of the intervals.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> one = Findings(rows=(), mean_maps=(MeanMap.of("all", rng.normal(1.0, 1.0, (40, 2, 2)), np.arange(40)),))
    >>> one
    <Findings 0 rows, mean maps of 'all'>
    >>> one.plot()[0].get_title()
    'all: 40 pictures'
    """

    rows: Sequence[JSON]
    mean_maps: Sequence[MeanMap]
    level: float = 0.95

    def to_frame(self) -> pd.DataFrame:
        """A row a finding."""
        import pandas as pd

        return pd.DataFrame(list(self.rows), columns=list(_COLUMNS))

    def plot(self, axes: AxesLike | Figure | None = None) -> AxesArray:
        """Draw shares inside, differences of groups and mean maps, what there is of them.

        Parameters
        ----------
        axes : ndarray or sequence of matplotlib Axes, or empty Figure, optional
            Where to draw, a panel each; a new figure of pyplot's unless given.

        Returns
        -------
        ndarray of Axes
            The axes drawn on, as far as there are any: shares, differences, a panel each mean map.

        Raises
        ------
        ValueError
            There is nothing to draw, or `axes` are not as many.
        """
        from legstat.report.findings import plot_findings

        return plot_findings(self, axes)

    def __repr__(self) -> str:
        groups = ", ".join(repr(one.group) for one in self.mean_maps) or "none"
        return f"<Findings {len(self.rows)} rows, mean maps of {groups}>"


def findings(run: AuditRun, *, map: MapName = "legtv", cluster: str = "name", level: float = 0.95) -> Findings:
    """What can be said across the pictures of a run.

    Parameters
    ----------
    run : AuditRun
        The run.
    map, cluster, level : optional
        As for `shares_inside` and `mean_shares`.

    Returns
    -------
    Findings
        A table of them, mean maps, and a figure of both.

    Notes
    -----
    Reads every picture twice, and holds a map of each: 6 kB at 28 x 28.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> import legstat as ls
    >>> from legstat.data import digits_model_path, load_digit
    >>> f = ls.onnx_response(digits_model_path(), preprocessing="unit")
    >>> digits = np.stack([load_digit(i)[0] for i in range(2)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = f"{folder}/digits.npz"
    ...     np.savez(store, images=digits, boxes=[[1, 0, 7, 8]] * 2, groups=["a", "b"])
    ...     plan = ls.audit.Plan(places=(store,), model={"model": "digits"}, n_queries=250, steps=0, L_ratio=0.1)
    ...     run = ls.audit.audit(f, plan, f"{folder}/run", progress=False)
    ...     found = findings(run)
    >>> found
    <Findings 5 rows, mean maps of 'all'>
    >>> found.to_frame()["finding"].tolist()
    ['share inside', 'share inside', 'share inside', 'groups differ', 'object matters']
    """
    rows = finding_rows(run, map, cluster, level)
    return Findings(rows=tuple(rows), mean_maps=tuple(grouped_maps(run, map, cluster)), level=level)


def finding_rows(run: AuditRun, map_: MapName = "legtv", cluster: str = "name", level: float = 0.95) -> list[JSON]:
    """The rows of `findings`, which read every picture once."""
    shares = known_shares(run, map_)
    if shares.empty:
        return []
    rows = [
        _row(
            "share inside",
            row["group"],
            row["pictures"],
            row["share"],
            low=row["share_low"],
            high=row["share_high"],
            area=row["area"],
            pvalue=row["pvalue"],
        )
        for row in mean_shares(shares, cluster=cluster, level=level).to_dict("records")
    ]
    if shares["group"].nunique() > 1:
        sizes = shares.dropna(subset=["share"])["group"].value_counts()
        rows += [
            _row(
                "groups differ",
                f"{row['a']} - {row['b']}",
                int(sizes.get(row["a"], 0) + sizes.get(row["b"], 0)),
                row["difference"],
                **{kind: row[kind] for kind in ("low", "high", "pvalue", "pvalue_adjusted")},
            )
            for row in compare_groups(shares, cluster=cluster, level=level).to_dict("records")
        ]
    tests = object_tests(run)
    if len(tests):
        rows.append(_row("object matters", EVERYONE, len(tests), int((tests["pvalue_adjusted"] <= _FDR).sum())))
    return rows


def _row(finding: str, group: str, pictures: int, estimate: float, **more: Any) -> JSON:
    told = {"finding": finding, "group": group, "pictures": pictures, "estimate": estimate, **more}
    return {name: told.get(name, float("nan")) for name in _COLUMNS}
