"""How an endpoint is reached: what is sent besides pictures, how long to wait, how often to ask again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from legstat._core.checks import check_count, check_type, check_within
from legstat._core.errors import invalid


@dataclass(frozen=True)
class Transport:
    """How an endpoint is reached. Nothing of it changes scores, and no record holds it but `in_flight`.

    Parameters
    ----------
    headers : mapping of str to str, optional
        Sent with every request (authorisation). They appear in no record, error or representation.
    ca_certs : str or Path, optional
        Certificates to trust, where the system's do not do.
    in_flight : int, default 4
        Requests that may be under way at the same time, each on a connection and a thread of its own. Answers are put
        in the order of the pictures; 1 makes one request after another.
    timeout : float, default 30
        Seconds to wait for a connection, and for each silence of the server, in one attempt.
    deadline : float, default 300
        Seconds for one request with all its attempts and pauses, however the server spends them: a byte now and then
        does not extend it.
    retries : int, default 4
        Further attempts where there is no answer, or one of 429, 500, 502, 503, 504.
    backoff : float, default 0.5
        Pause before the second retry in seconds, doubled from one to the next, with a random half of it on top; a
        server's Retry-After is obeyed up to 60 s.
    rate : float, optional
        Attempts in a second, at most, over all requests under way.

    Raises
    ------
    TypeError
        `headers` is no mapping, or a number none.
    ValueError
        For a number out of range, a header with a line break, certificates that are not there.

    Examples
    --------
    >>> Transport(headers={"Authorization": "Bearer secret"}, rate=5.0)
    Transport(ca_certs=None, in_flight=4, timeout=30.0, deadline=300.0, retries=4, backoff=0.5, rate=5.0)
    """

    headers: Mapping[str, str] | None = field(default=None, repr=False, hash=False)
    ca_certs: str | Path | None = None
    in_flight: int = 4
    timeout: float = 30.0
    deadline: float = 300.0
    retries: int = 4
    backoff: float = 0.5
    rate: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "headers", _checked(self.headers))
        object.__setattr__(self, "in_flight", check_count("Transport", "in_flight", self.in_flight))
        object.__setattr__(self, "retries", check_count("Transport", "retries", self.retries, 0))
        for name, least in (("timeout", 1e-3), ("deadline", 1e-3), ("backoff", 0.0), ("rate", 1e-6)):
            if name != "rate" or self.rate is not None:
                check_within("Transport", name, getattr(self, name), least)
        check_type("Transport", "ca_certs", self.ca_certs, str | Path | None, "the file of certificates")
        if self.ca_certs is not None and not Path(self.ca_certs).exists():
            raise ValueError(invalid("Transport", "ca_certs", str(self.ca_certs), "an existing file of certificates"))


def _checked(headers: Mapping[str, str] | None) -> dict[str, str]:
    """What is sent with every request; no error shows a value."""
    given: object = {} if headers is None else headers
    if not isinstance(given, Mapping):
        raise TypeError(invalid("Transport", "headers", type(given).__name__, "a mapping of names to texts"))
    for name, value in given.items():
        if not isinstance(name, str) or not isinstance(value, str) or set("\r\n") & set(name + value):
            raise ValueError(invalid("Transport", "headers", name, "of names and texts without line breaks"))
    return dict(given)
