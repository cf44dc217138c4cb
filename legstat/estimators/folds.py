"""LEG-TV without each fold of a sample, whatever is asked of it: no program is solved twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from legstat._core.conventions import MomentKind
from legstat._core.frozen import Portable
from legstat._core.typing import FloatArray
from legstat.estimators.channels import Channels, Solving
from legstat.estimators.legtv_results import LEGTVResults
from legstat.samples.sample import QuerySample

Fold = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Folds(Portable):
    """The programs of a sample without each of its folds, and what was solved of them.

    Attributes
    ----------
    sample : QuerySample
        All observations.
    kind : str
        How b is estimated from those that are left.
    whole : Channels
        The programs of the whole sample, with which the folds' share what does not depend on b.
    """

    sample: QuerySample
    kind: MomentKind
    whole: Channels

    def __repr__(self) -> str:
        return f"<Folds of {self.sample!r}>"

    @cached_property
    def _channels(self) -> dict[Fold, Channels]:
        return {}

    @cached_property
    def _solved(self) -> dict[tuple[Fold, str, bytes], LEGTVResults]:
        return {}

    def results(self, fold: Fold, radii: Sequence[FloatArray], solving: Solving) -> list[LEGTVResults]:
        """The maps without a fold, at each of `radii` (an L for each program), which descend."""
        keys = [(fold, repr(solving), L.tobytes()) for L in radii]
        missing = [(key, L) for key, L in zip(keys, radii, strict=True) if key not in self._solved]
        found = self._without(fold).along([L for _, L in missing], solving)
        self._solved.update((key, result) for (key, _), result in zip(missing, found, strict=True))
        return [self._solved[key] for key in keys]

    def _without(self, fold: Fold) -> Channels:
        if fold not in self._channels:
            moments = self.sample.moments(self.kind, leave_out=fold)
            self._channels[fold] = Channels(moments, None, False, self.whole.relaxed, self.whole)
        return self._channels[fold]
