"""Several pictures at a time: each has iterations of its own, their passes of the network are run in common batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from legstat._core.checks import check_count, check_rng
from legstat._core.errors import invalid
from legstat._core.typing import AnyArray
from legstat.baselines.adversarial import adversarial
from legstat.baselines.games import mask
from legstat.baselines.integrated import igos
from legstat.baselines.result import BaselineResult
from legstat.baselines.sparse import l1q
from legstat.responses.base import Response

METHODS: tuple[Callable[..., BaselineResult], ...] = (mask, igos, l1q, adversarial)


def batched(
    method: Callable[..., BaselineResult],
    response: Response,
    images: Sequence[AnyArray],
    *,
    rng: Any = None,
    at_once: int = 16,
    **options: Any,
) -> list[BaselineResult]:
    """A baseline of several pictures, whose forward and backward passes are run together.

    A single picture leaves an accelerator idle: the mask has one picture a pass, I-GOS as many as its path has points.
    Here each picture goes its own way, with its own target, its own random numbers and its own line search, and the
    passes that they wait for are made in common, in batches of the response's ``batch_size``.

    Parameters
    ----------
    method : {mask, igos, l1q, adversarial}
        Which of the functions of this module.
    response : TorchResponse
        A torch module as response.
    images : sequence of ndarray of shape (C, H, W)
        Pictures in [0, 1].
    rng : None, int, Generator or anything `numpy.random.default_rng` takes
        Picture i draws from ``numpy.random.default_rng(rng).spawn(len(images))[i]``.
    at_once : int, default 16
        Pictures that are on their way at most. Picture i waits for picture i - at_once.
    **options
        Of the method, the same for all pictures; a ceiling holds for each.

    Returns
    -------
    list of BaselineResult
        One for each picture, in their order.

    Raises
    ------
    TypeError
        The response is no torch module.
    ValueError
        Another method; no picture; what the method itself refuses. Where one picture fails, so does the whole call.

    Notes
    -----
    Results are those of one call for each picture but for rounding: kernels of float32 networks round by the size of
    their batches, by a few units in the last place of a score. What each counts is what it asked for. The first picture
    is evaluated some times more, to learn whether the network answers otherwise in company; if so, pictures are run one
    by one.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> import legstat as ls
    >>> from legstat.baselines import batched, mask
    >>> net = torch.nn.Sequential(torch.nn.AvgPool2d(4), torch.nn.Flatten())
    >>> f = ls.torch_response(net, output_kind="sigmoid_logits", target=2)
    >>> images = np.random.default_rng(0).random((3, 1, 8, 8))
    >>> how = {"iterations": 5, "shape": (2, 2), "baseline": "black"}
    >>> found = batched(mask, f, images, rng=0, **how)
    >>> alone = mask(f, images[1], rng=np.random.default_rng(0).spawn(3)[1], **how)
    >>> bool(np.allclose(found[1].mask, alone.mask, atol=1e-5))
    True
    """
    where = "batched"
    if method not in METHODS:
        names = ", ".join(one.__name__ for one in METHODS)
        raise ValueError(invalid(where, "method", method, f"one of the functions {names} of legstat.baselines"))
    if not hasattr(response, "shared_among"):
        remedy = "Call the method for each picture; `legstat.compare(..., n_jobs=)` runs several processes."
        raise TypeError(invalid(where, "response", response, "a torch module (torch_response)", remedy))
    at_once = check_count(where, "at_once", at_once)
    pictures = [response.check_image(image, where) for image in images]
    if not pictures:
        raise ValueError(invalid(where, "images", images, "at least one picture"))
    generators = check_rng(where, rng).spawn(len(pictures))
    members = min(at_once, len(pictures))
    passes = response.shared_among(members, pictures[0])

    def work(member: int) -> list[BaselineResult]:
        with passes.member(member) as own:
            return [
                method(own, pictures[i], rng=generators[i], **options) for i in range(member, len(pictures), members)
            ]

    with ThreadPoolExecutor(members, thread_name_prefix="legstat-batched") as pool:
        runs = [pool.submit(work, member) for member in range(members)]
        passes.serve()
    parts = [run.result() for run in runs]
    return [parts[i % members][i // members] for i in range(len(pictures))]
