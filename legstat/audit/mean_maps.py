"""Mean maps of groups of pictures, and the cells whose mean differs from 0."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from legstat._core.checks import check_choice, check_count, check_level, check_rng
from legstat._core.errors import InferenceUnavailableError, invalid
from legstat._core.frozen import Portable
from legstat._core.typing import BoolArray, FloatArray
from legstat._core.values import read_only
from legstat.audit.run import AuditRun
from legstat.inference.covariance import SEED
from legstat.inference.intervals import normal_quantile, symmetric, t_quantiles, two_sided_pvalues

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MapName = Literal["legtv", "leg"]
EVERYONE = "all"
"""Name of the group of all pictures."""
_NUMBERS = 1 << 22
"""Of an array that is held at a time: 32 MiB."""
MINIMUM_CLUSTERS = 20
"""Clusters from which intervals over pictures are offered: means of fewer skewed shares are covered too rarely."""


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
    weights : ndarray of shape (clusters,)
        Share of the pictures that is in each cluster.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> one = MeanMap.of("all", rng.normal(1.0, 1.0, (40, 2, 2)), np.arange(40))
    >>> one
    <MeanMap 'all' 2x2 of 40 pictures in 40 clusters>
    >>> one.significant()
    array([[ True,  True],
           [ True,  True]])
    """

    group: str
    pictures: int
    mean: FloatArray
    deviations: FloatArray
    weights: FloatArray

    def __post_init__(self) -> None:
        for array in (self.mean, self.deviations, self.weights):
            read_only(array)

    @classmethod
    def of(cls, group: str, maps: FloatArray, clusters: Any) -> MeanMap:
        """The mean of maps (n, p1, p2) whose clusters are told one by one."""
        flat = maps.reshape(len(maps), -1)
        mean = flat.mean(axis=0)
        codes = np.unique(np.asarray(clusters), return_inverse=True)[1]
        sums = np.zeros((codes.max() + 1, flat.shape[1]))
        np.add.at(sums, codes, (flat - mean) / len(maps))
        weights = np.bincount(codes) / len(maps)
        return cls(group=group, pictures=len(maps), mean=mean.reshape(maps.shape[1:]), deviations=sums, weights=weights)

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

    def conf_int(self, *, level: float = 0.95) -> FloatArray:
        """Student intervals of the cells, each by itself.

        Parameters
        ----------
        level : float, default 0.95
            Coverage.

        Returns
        -------
        ndarray of shape (p1, p2, 2)
            Lower and upper ends.

        Raises
        ------
        InferenceUnavailableError
            Below 20 clusters.

        Notes
        -----
        Cells that are 0 in most maps have means that are skewed, and intervals that cover less: of mean LEG-TV maps of
        digits 92 % at 20 pictures and 94 % at 60, of mean LEG maps 95 % at both. Bands that hold for all cells at once
        are not offered, since such cells are in them. `significant` is what holds for all.
        """
        quantile = normal_quantile(check_level("MeanMap.conf_int", "level", level))
        self._check("conf_int")
        errors = self.std_errors.ravel()
        df = np.full(errors.shape, self.clusters - 1.0)
        return symmetric(self.mean.ravel(), t_quantiles(quantile, df) * errors).reshape(*self.mean.shape, 2)

    @property
    def has_intervals(self) -> bool:
        """Whether there are clusters enough for intervals and tests."""
        return self.clusters >= MINIMUM_CLUSTERS

    def significant(self, *, alpha: float = 0.05, n_draws: int = 2000, rng: Any = SEED) -> BoolArray:
        r"""Cells whose mean differs from 0, at a familywise error over all cells; none where clusters are too few.

        Parameters
        ----------
        alpha : float, default 0.05
            Probability that any cell is named whose mean is 0.
        n_draws : int, default 2000
            Draws of the clusters' signs.
        rng : int or anything `numpy.random.default_rng` takes
            Their source; the same signs each time by default.

        Returns
        -------
        ndarray of bool, shape (p1, p2)
            The cells.

        Notes
        -----
        A cell is named where its \|t\| is above the :math:`1 - \alpha` quantile of the largest \|t\| over all cells
        when each cluster's maps have a random sign, each draw's t with the draw's own standard error. Exact where maps
        are as likely as their negatives when the means are 0, for any number and dependence of cells.
        """
        where = "MeanMap.significant"
        level = 1.0 - check_level(where, "alpha", alpha)
        check_count(where, "n_draws", n_draws, 1)
        generator = check_rng(where, rng)
        if not self.has_intervals:
            return np.zeros(self.mean.shape, dtype=np.bool_)
        sums = self.deviations + np.outer(self.weights, self.mean)
        observed = self._abs_t(np.ones((1, self.clusters)), sums)[0]
        most = max(1, _NUMBERS // self.mean.size)
        sizes = [most] * (n_draws // most) + [n_draws % most]
        largest = [
            self._abs_t(generator.choice([-1.0, 1.0], size=(size, self.clusters)), sums).max(axis=1) for size in sizes
        ]
        threshold = np.quantile(np.concatenate(largest), level, method="higher")
        return np.asarray(observed > threshold).reshape(self.mean.shape)

    def _abs_t(self, signs: FloatArray, sums: FloatArray) -> FloatArray:
        """|t| of each cell's mean, shape (draws, cells), when clusters have these signs; 0 where nothing varies."""
        means, weight = signs @ sums, float(np.square(self.weights).sum())
        # the sum over clusters of (sign sum - weight mean)^2, as `std_errors` has it
        spread = np.square(sums).sum(axis=0) - 2.0 * means * ((signs * self.weights) @ sums) + weight * means**2
        variances = self.clusters / max(self.clusters - 1, 1) * np.maximum(spread, 0.0)
        t: FloatArray = np.divide(np.abs(means), np.sqrt(variances), out=np.zeros_like(means), where=variances > 0)
        return t

    def plot(self, ax: Axes | Figure | None = None, *, limit: float | None = None) -> Axes:
        """Draw the map, with the cells outlined that `significant` names.

        Parameters
        ----------
        ax : matplotlib Axes or empty Figure, optional
            Where to draw; a new figure of pyplot's unless given.
        limit : float, optional
            Absolute value at the end of the colours; the largest of the map by default.

        Returns
        -------
        Axes
            The axes drawn on.
        """
        from legstat.report.findings import plot_mean_map

        return plot_mean_map(self, ax, limit=limit)

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
