"""``legstat explain --method``: a baseline in place of LEG, by gradients that are estimated from queries."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

from legstat._core.errors import invalid
from legstat._core.typing import JSON
from legstat.baselines import igos, l1q, mask
from legstat.cli.common import Voice
from legstat.responses.base import Response
from legstat.sampling.defaults import N_QUERIES


class MethodChoice(StrEnum):
    """Baselines that the command line runs."""

    mask = "mask"
    igos = "igos"
    l1q = "l1q"


def check_flags(method: MethodChoice | None, of_leg: JSON, epsilon: float | None, q: float | None) -> None:
    """Refuse flags that the method has no use for, before anything is opened.

    Parameters
    ----------
    method : MethodChoice or None
        None is LEG.
    of_leg : dict
        Flags of LEG alone by name, None or False where they were left out.
    epsilon, q : float or None
        Flags of l1q alone.

    Raises
    ------
    ValueError
        Such a flag was given; l1q without --epsilon.
    """
    if method is not None:
        for name, value in of_leg.items():
            if value not in (None, False):
                raise ValueError(invalid("explain", name, value, f"left out with --method {method}", "It is LEG's."))
    for name, value in {"--epsilon": epsilon, "--q": q}.items():
        if method is not MethodChoice.l1q and value is not None:
            raise ValueError(invalid("explain", name, value, "left out but with --method l1q"))
    if method is MethodChoice.l1q and epsilon is None:
        remedy = "12 in the l2 ball at 224 x 224 is the paper's, 224 sqrt(3) times that in the l1 ball."
        raise ValueError(invalid("explain", "--epsilon", None, "given with --method l1q", remedy))


def explain_by(
    method: MethodChoice,
    response: Response,
    picture: Path,
    *,
    shape: tuple[int, int] | None,
    n_queries: int | None,
    seed: int,
    epsilon: float | None,
    q: float | None,
    out: Path,
    voice: Voice,
) -> None:
    """Run the method on a picture file, and write its result and a figure.

    Parameters
    ----------
    method : MethodChoice
        Which.
    response : Response
        The black box.
    picture : Path
        Picture file.
    shape : tuple of int or None
        Cells; None: the default.
    n_queries : int or None
        Budget; None: that of LEG.
    seed : int
        Seed of the draws.
    epsilon, q : float or None
        Of l1q.
    out : Path
        Folder that is there.
    voice : Voice
        What is said.
    """
    from legstat.report.plots import save_figure  # matplotlib is slow to load, and reads the environment as it does
    from legstat.report.saliency import side_by_side

    image = response.load_image(picture)
    budget = N_QUERIES if n_queries is None else n_queries
    how: dict[str, Any] = {"gradient": "auto", "n_queries": budget, "rng": seed}
    if method is MethodChoice.l1q:
        given = {name: value for name, value in {"epsilon": epsilon, "q": q}.items() if value is not None}
        found = l1q(response, image, **given, **how)  # type: ignore[arg-type]  # epsilon is there, as was checked
    else:
        run = mask if method is MethodChoice.mask else igos
        found = run(response, image, shape=shape, **how)
    files = [out / f"{method}.npz", out / f"{method}.png"]
    found.save(files[0])
    save_figure(side_by_side(found.plot, found.plot_trace), files[1])
    voice.say(
        f"{method} with gradients by {found.gradient}: {found.n_queries} of {budget} evaluations, "
        f"f(x0) = {found.source['f_x0']:.4g}, {found.tied} of {found.saliency.size} cells tied."
    )
    voice.say("Written to " + str(out) + ": " + ", ".join(file.name for file in files))
    facts = {"method": found.method, "gradient": found.gradient, "n_queries": found.n_queries, "tied": found.tied}
    voice.data({**facts, "settings": found.settings, "source": found.source, "saliency": found.saliency.tolist()})
