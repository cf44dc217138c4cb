"""Mean maps of groups of pictures, with intervals that hold for all cells at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from legstat._core.checks import check_choice, check_count, check_flag, check_level, check_rng
from legstat._core.errors import InferenceUnavailableError, invalid
from legstat._core.frozen import Portable
from legstat._core.typing import BoolArray, FloatArray
from legstat._core.values import read_only
from legstat.audit.run import AuditRun
from legstat.inference.covariance import SEED
from legstat.inference.intervals import (
    joint_quantile,
    max_t_draws,
    normal_quantile,
    symmetric,
    t_quantiles,
    two_sided_pvalues,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MapName = Literal["legtv", "leg"]
EVERYONE = "all"
"""Name of the group of all pictures."""
MINIMUM_CLUSTERS = 10
"""Clusters from which intervals over pictures are offered."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MeanMap(Portable):
    """Mean map of a group of pictures, each map divided by the sum of its absolute values.

    Attributes
    ----------
    group : str
        Which.
    pictures : int
        How many.
    mean : ndarray of shape (p1, p2)
        Each cell's mean share of the saliency, signed.
    deviations : ndarray of shape (clusters, p1 p2)
        Sums over each cluster of what its maps differ from the mean, over the number of pictures.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> one = MeanMap.of("all", rng.normal(1.0, 1.0, (40, 2, 2)), np.arange(40))
    >>> one
    <MeanMap 'all' 2x2 of 40 pictures in 40 clusters>
    >>> bool((one.conf_int(simultaneous=True)[..., 0] < one.conf_int()[..., 0]).all())
    True
    """

    group: str
    pictures: int
    mean: FloatArray
    deviations: FloatArray

    def __post_init__(self) -> None:
        for array in (self.mean, self.deviations):
            read_only(array)

    @classmethod
    def of(cls, group: str, maps: FloatArray, clusters: Any) -> MeanMap:
        """The mean of maps (n, p1, p2) whose clusters are told one by one."""
        flat = maps.reshape(len(maps), -1)
        mean = flat.mean(axis=0)
        codes = np.unique(np.asarray(clusters), return_inverse=True)[1]
        sums = np.zeros((codes.max() + 1, flat.shape[1]))
        np.add.at(sums, codes, (flat - mean) / len(maps))
        return cls(group=group, pictures=len(maps), mean=mean.reshape(maps.shape[1:]), deviations=sums)

    @property
    def clusters(self) -> int:
        """How many clusters."""
        return len(self.deviations)

    @property
    def std_errors(self) -> FloatArray:
        """Cluster-robust standard errors, shape (p1, p2): the sandwich times clusters / (clusters - 1)."""
        scale = self.clusters / max(self.clusters - 1, 1)
        errors: FloatArray = np.sqrt(scale * np.square(self.deviations).sum(axis=0))
        return errors.reshape(self.mean.shape)

    @property
    def pvalues(self) -> FloatArray:
        """Two-sided p-values of each cell by itself, shape (p1, p2)."""
        self._check("pvalues")
        errors = self.std_errors
        t = np.divide(self.mean, errors, out=np.zeros_like(errors), where=errors > 0)
        return two_sided_pvalues(t, np.full(self.mean.shape, self.clusters - 1.0))

    def conf_int(self, *, level: float = 0.95, simultaneous: bool = False, n_draws: int = 2000) -> FloatArray:
        """Intervals of the cells, each by itself or all at once.

        Parameters
        ----------
        level : float, default 0.95
            Coverage.
        simultaneous : bool, default False
            Whether all cells hold at once: by the largest |t| over the cells, with multipliers for the clusters.
        n_draws : int, default 2000
            Draws of it.

        Returns
        -------
        ndarray of shape (p1, p2, 2)
            Lower and upper ends.

        Raises
        ------
        InferenceUnavailableError
            Below 10 clusters.
        """
        where = "MeanMap.conf_int"
        quantile = normal_quantile(check_level(where, "level", level))
        joint = check_flag(where, "simultaneous", simultaneous)
        check_count(where, "n_draws", n_draws, 1)
        self._check("conf_int")
        errors = self.std_errors.ravel()
        if joint:
            quantile = joint_quantile(max_t_draws(self, errors, n_draws), level)
        df = np.full(errors.shape, self.clusters - 1.0)
        flat = symmetric(self.mean.ravel(), t_quantiles(quantile, df) * errors)
        return flat.reshape(*self.mean.shape, 2)

    @property
    def has_intervals(self) -> bool:
        """Whether there are clusters enough for intervals."""
        return self.clusters >= MINIMUM_CLUSTERS

    def significant(self, *, level: float = 0.95) -> BoolArray:
        """Cells whose intervals, which hold for all cells at once, leave out 0; none where there are no intervals.

        Parameters
        ----------
        level : float, default 0.95
            Coverage of all cells.

        Returns
        -------
        ndarray of bool, shape (p1, p2)
            The cells.
        """
        if not self.has_intervals:
            return np.zeros(self.mean.shape, dtype=np.bool_)
        low, high = np.moveaxis(self.conf_int(level=level, simultaneous=True), -1, 0)
        return np.asarray((low > 0) | (high < 0), dtype=np.bool_)

    def plot(self, ax: Axes | None = None, *, limit: float | None = None) -> Axes:
        """Draw the map, with the cells outlined that `significant` names.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure unless given.
        limit : float, optional
            Absolute value at the end of the colours; the largest of the map by default.

        Returns
        -------
        Axes
            The axes drawn on.
        """
        from legstat.report.findings import plot_mean_map

        return plot_mean_map(self, ax, limit=limit)

    def draws(self, n_draws: int, rng: Any = SEED) -> list[FloatArray]:
        """Draws of the mean's error, shape (n_draws, p1 p2): a standard normal for each cluster."""
        scale = np.sqrt(self.clusters / max(self.clusters - 1, 1))
        drawn = check_rng("MeanMap.draws", rng).standard_normal((n_draws, self.clusters))
        return [scale * drawn @ self.deviations]

    def _check(self, method: str) -> None:
        if not self.has_intervals:
            raise InferenceUnavailableError(
                f"legstat.MeanMap.{method}: {self.clusters} clusters of pictures are too few for intervals; "
                f"{MINIMUM_CLUSTERS} are the least. Audit more pictures."
            )

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.mean.shape))
        return f"<MeanMap {self.group!r} {shape} of {self.pictures} pictures in {self.clusters} clusters>"


def mean_maps(run: AuditRun, *, map: MapName = "legtv", cluster: str = "name") -> list[MeanMap]:
    """Mean map of all pictures, and of each group.

    Parameters
    ----------
    run : AuditRun
        The run.
    map : {"legtv", "leg"}, default "legtv"
        Which map.
    cluster : str, default "name"
        Fact that says the cluster: "label", "group", or any other of `AuditRun.to_frame`.

    Returns
    -------
    list of MeanMap
        All pictures first; flat maps are left out, and groups of one picture.

    Raises
    ------
    ValueError
        No picture has a map that is not flat, or none has that fact.

    Notes
    -----
    Holds a map a picture: 6 kB at 28 x 28.

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
    ...     mean_maps(run)
    [<MeanMap 'all' 8x8 of 2 pictures in 2 clusters>]
    """
    found = grouped_maps(run, map, cluster)
    if not found:
        raise ValueError(invalid("mean_maps", "run", run, "of at least two pictures whose maps are not flat"))
    return found


def grouped_maps(run: AuditRun, map_: MapName, cluster: str) -> list[MeanMap]:
    """What `mean_maps` gives; nothing for fewer than two pictures whose maps are not flat."""
    check_choice("mean_maps", "map", map_, ("legtv", "leg"))
    rows, found = list(_scaled(run, map_, cluster)), []
    for group in [EVERYONE, *sorted({row[0] for row in rows if row[0] is not None})]:
        some = [row for row in rows if group in (EVERYONE, row[0])]
        if len(some) > 1:
            found.append(MeanMap.of(group, np.stack([row[2] for row in some]), np.array([row[1] for row in some])))
    return found


def _scaled(run: AuditRun, map_: MapName, cluster: str) -> Iterator[tuple[str | None, str, FloatArray]]:
    """(group, cluster, map over the sum of its absolute values) of each picture."""
    for one in run:
        facts = {"name": one.name, **one.facts}
        if cluster not in facts:
            raise ValueError(invalid("mean_maps", "cluster", cluster, f"one of {list(facts)[:8]} ..."))
        values = one.legtv if map_ == "legtv" else one.leg
        total = np.abs(values).sum()
        if total > 0:
            yield one.facts.get("group"), str(facts[cluster]), values / total
