"""A black box on its way to workers: opened once in each of them, and kept there from picture to picture."""

from __future__ import annotations

import functools
import inspect
import pickle
from collections.abc import Callable

from legstat._core.errors import invalid
from legstat.responses.base import Response

Source = Response | Callable[[], Response]
"""A response, or what opens one where it is called: on a worker's own device, say."""


class Carried:
    """A response as it is in this process; in another one it is opened at the first picture, and once.

    Parameters
    ----------
    source : Response or callable
        The response, or a function of no argument that opens it.
    where : str
        Call to name in an error.

    Examples
    --------
    >>> import legstat as ls
    >>> Carried(ls.as_response(len), "compare").response
    <CallableResponse len>
    """

    def __init__(self, source: Source, where: str) -> None:
        self._source, self._where = source, where
        self.response = opened(where, source)
        self._payload: bytes | None = None

    @property
    def payload(self) -> bytes:
        """The source as bytes, for a process that opens it.

        Raises
        ------
        TypeError
            It cannot be sent.
        """
        import joblib

        if self._payload is None:
            try:
                # functions of a script or a notebook go along by value
                wrapped = joblib.wrap_non_picklable_objects(self._source, keep_wrapper=False)
                self._payload = pickle.dumps(wrapped)
            except (TypeError, AttributeError, pickle.PicklingError) as error:
                remedy = f"Pass a function of no argument that opens it, or n_jobs=1. ({type(error).__name__}: {error})"
                raise TypeError(
                    invalid(self._where, "response", self._source, "what can be sent to workers", remedy)
                ) from error
        return self._payload

    def check(self, n_jobs: int | None) -> None:
        """TypeError where workers in processes of their own are asked for, and the source cannot be sent there."""
        import joblib

        backend, _ = joblib.parallel.get_active_backend()
        if joblib.effective_n_jobs(n_jobs) > 1 and not getattr(backend, "uses_threads", False):
            _ = self.payload

    def __reduce__(self) -> tuple[Callable[[bytes, str], Carried], tuple[bytes, str]]:
        return _carried, (self.payload, self._where)


@functools.lru_cache(maxsize=1)
def _carried(payload: bytes, where: str) -> Carried:
    found = Carried(pickle.loads(payload), where)
    found._payload = payload
    return found


def opened(where: str, source: object) -> Response:
    """The response, or the one that a function of no argument opens; TypeError for anything else."""
    remedy = "as_response(f) makes one of a function of pictures."
    valid = "a Response, or a function of no argument that opens one"
    if isinstance(source, Response):
        return source
    try:
        inspect.signature(source).bind()  # type: ignore[arg-type]  # what is no callable is refused by it
    except (TypeError, ValueError) as error:
        raise TypeError(invalid(where, "response", source, valid, remedy)) from error
    found: object = source()  # type: ignore[operator]  # it has a signature
    if not isinstance(found, Response):
        raise TypeError(invalid(where, "response", f"a function that gives {found!r}", valid, remedy))
    return found
