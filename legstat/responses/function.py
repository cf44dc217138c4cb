"""Any Python function as a response."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from legstat._core.checks import check_count
from legstat._core.contents import contents
from legstat._core.errors import invalid
from legstat._core.typing import JSON, AnyArray, FloatArray
from legstat.responses.base import Response
from legstat.responses.torch.module import torch_parts


class CallableResponse(Response):
    """Any function ``(n, C, H, W) -> (n,)`` as a response.

    Parameters
    ----------
    f : callable
        Takes float64 images in [0, 1], returns one real score per image.
    batch_size : int
        Images per call at most.
    name : str, optional
        Name in the record; by default the function's own.

    Notes
    -----
    The fingerprint is the function's attribute ``fingerprint`` if it has one, else a SHA-256 of what it is made of when
    the response is made: bytecode, constants, defaults, closure, attributes, the class with its methods, and the global
    variables that are read, each followed in the same way. Installed packages count by name, and `describe` has their
    ``versions``. Where part of it could not be hashed (compiled code, a lock, a file), `describe` says
    ``"fingerprint_complete": False`` and names the places: then no cache takes its answers, and it is the caller who
    vouches that two functions are the same.
    The picture is handed over as float64 and is not resized.

    Examples
    --------
    >>> f = CallableResponse(lambda images: images.max(axis=(1, 2, 3)), name="brightest pixel")
    >>> f(np.full((2, 1, 4, 4), 0.5)), f.score_name
    (array([0.5, 0.5]), 'custom')
    """

    def __init__(self, f: Callable[[AnyArray], AnyArray], *, batch_size: int = 64, name: str | None = None) -> None:
        if not callable(f):
            raise TypeError(invalid("as_response", "f", f, "callable as f(images) -> scores"))
        self._f = f
        self.batch_size = check_count("as_response", "batch_size", batch_size)
        self.name = name or str(getattr(f, "__qualname__", type(f).__qualname__))
        self._fingerprint, self._about = _fingerprint(f, self.name)

    def __call__(self, images: AnyArray) -> FloatArray:
        """Scores of a batch; see `Response`."""
        return check_scores(self._f(images), len(images), self.name)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the function by content."""
        return self._fingerprint

    def renewed(self) -> CallableResponse:
        """This response, or one of the function as it is now where that has changed since."""
        now, _ = _fingerprint(self._f, self.name)
        if now == self._fingerprint:
            return self
        return CallableResponse(self._f, batch_size=self.batch_size, name=self.name)

    def describe(self) -> JSON:
        """Name, fingerprint, and whether the fingerprint covers all of the function."""
        return {
            "kind": "callable",
            "name": self.name,
            "fingerprint": self._fingerprint,
            **self._about,
            "score": self.score_name,
            "batch_size": self.batch_size,
        }

    def __repr__(self) -> str:
        return f"<CallableResponse {self.name}>"


def _fingerprint(f: Callable[[AnyArray], AnyArray], name: str) -> tuple[str, JSON]:
    """The fingerprint of a function, and what a description says of it."""
    own = getattr(f, "fingerprint", None)
    if isinstance(own, str):
        return own, {"fingerprint_complete": True}
    found = contents("callable", f, reader=torch_parts, name=name)
    gaps = {"fingerprint_gaps": list(found.gaps)} if found.gaps else {}
    return found.sha256, {"fingerprint_complete": found.complete, **gaps, "versions": found.versions}


def check_scores(scores: object, n: int, name: str) -> FloatArray:
    """Scores as a float64 vector of length n, or an error that says what came instead.

    Parameters
    ----------
    scores : array_like
        What the function returned; (n,) or (n, 1), for one image a number too.
    n : int
        Images handed over.
    name : str
        Name of the function, for the error.

    Returns
    -------
    ndarray of shape (n,)
        float64.

    Raises
    ------
    ValueError
        Wrong shape, or not real numbers.
    """
    try:
        array = np.asarray(scores)
    except Exception as error:  # whatever the array's own library raises: a tensor that needs grad, or lies elsewhere
        remedy = f"{type(error).__name__}: {error} Of a torch tensor return scores.detach().cpu().numpy()."
        raise ValueError(invalid(name, "scores", type(scores).__name__, "what numpy can read", remedy)) from error
    if array.dtype.kind not in "fiub":
        raise ValueError(
            invalid(
                name, "scores", array.dtype, "real numbers, one per image", "A complex or object array is no score."
            )
        )
    if array.shape == (n, 1) or (n == 1 and array.ndim == 0):  # squeezed: one picture, one number
        array = array.reshape(n)
    if array.shape != (n,):
        remedy = "Return scores[:, target] for the class of interest." if array.ndim == 2 else ""
        raise ValueError(
            invalid(name, "scores", array.shape, f"of shape ({n},): one score per image handed over", remedy)
        )
    return array.astype(np.float64)


def as_response(
    f: Response | Callable[[AnyArray], AnyArray], *, batch_size: int = 64, name: str | None = None
) -> Response:
    """Make a response of any function; a `Response` passes through.

    Parameters
    ----------
    f : Response or callable
        ``f(images)`` with images of shape (n, C, H, W), float64 in [0, 1], returning n scores.
    batch_size : int
        Images per call at most (for a plain function).
    name : str, optional
        Name in the record.

    Returns
    -------
    Response
        The response.

    Raises
    ------
    TypeError
        If `f` is not callable.

    Examples
    --------
    >>> import numpy as np
    >>> from legstat.responses.function import as_response
    >>> f = as_response(lambda images: images.mean(axis=(1, 2, 3)), name="mean intensity")
    >>> f(np.full((2, 3, 4, 4), 0.25))
    array([0.25, 0.25])
    >>> f.describe()["name"]
    'mean intensity'
    """
    if isinstance(f, CallableResponse):
        return f.renewed()
    if isinstance(f, Response):
        return f
    return CallableResponse(f, batch_size=batch_size, name=name)
