"""urllib3 with a deadline for each request: attempts, pauses and silences all end with it."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from legstat._core.errors import BackendUnavailableError
from legstat.responses.transport import Transport

if TYPE_CHECKING:
    import urllib3
    from urllib3.connectionpool import ConnectionPool

AGAIN = (429, 500, 502, 503, 504)
"""Statuses that say "not now"."""
_LONGEST_PAUSE = 60.0
"""Seconds between two attempts at most, whatever the server asks for."""


class OutOfTime(Exception):
    """A request was given up on: its deadline is over, or it was called off."""


class Call:
    """One request with all its attempts; may be ended from another thread."""

    def __init__(self) -> None:
        self.due = float("inf")
        self.ended = threading.Event()
        self.socket: socket.socket | None = None
        self.attempts = 1
        self.trouble: object = "its answer was not complete"

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.due - time.monotonic()

    def pause(self, seconds: float) -> None:
        """Wait, unless there is no time for it."""
        if seconds > self.left or self.ended.wait(seconds):
            raise OutOfTime

    def end(self) -> None:
        """Give up at once, whatever the other side is doing: a read that waits returns with an error."""
        self.ended.set()
        if self.socket is not None:
            with suppress(OSError):
                socket.socket.shutdown(self.socket, socket.SHUT_RDWR)


class Asking(Protocol):
    """Who asks: knows the request that the present thread is at."""

    transport: Transport

    @property
    def current(self) -> Call:
        """That request."""

    def wait_for_turn(self) -> None:
        """Hold the request back until the rate allows for one more attempt."""


def pool_of(asking: Asking) -> urllib3.PoolManager:
    """Connections that keep to the transport's times; BackendUnavailableError where urllib3 is missing."""
    try:
        import urllib3
    except ImportError as error:
        raise BackendUnavailableError("urllib3", "http", "A response over HTTP") from error
    how = asking.transport
    pool = urllib3.PoolManager(
        retries=_patience(asking)(
            total=how.retries,
            redirect=0,  # a redirect would hand the headers on to somewhere else
            allowed_methods=None,  # an inference has no effect: it may be asked for again
            status_forcelist=AGAIN,
            backoff_factor=how.backoff,
            backoff_max=_LONGEST_PAUSE,
            backoff_jitter=how.backoff / 2,
            raise_on_status=False,
            raise_on_redirect=False,
        ),
        timeout=_limit(asking)(connect=how.timeout, read=how.timeout),
        maxsize=how.in_flight,
        ca_certs=None if how.ca_certs is None else str(how.ca_certs),
    )
    pool.pool_classes_by_scheme = _pools(asking)
    return pool


def _patience(asking: Asking) -> type[urllib3.Retry]:
    """urllib3's rule for retries, which ends with the request's deadline and keeps to the rate."""
    import urllib3

    class Patience(urllib3.Retry):
        """Retries that wait no longer than `_LONGEST_PAUSE`, whatever the server asks for."""

        def get_retry_after(self, response: urllib3.BaseHTTPResponse) -> float | None:
            asked = super().get_retry_after(response)
            return None if asked is None else min(asked, _LONGEST_PAUSE)

        def increment(
            self,
            method: str | None = None,
            url: str | None = None,
            response: urllib3.BaseHTTPResponse | None = None,
            error: Exception | None = None,
            _pool: ConnectionPool | None = None,
            _stacktrace: TracebackType | None = None,
        ) -> Self:
            call = asking.current
            call.trouble = f"{type(error).__name__}: {error}" if response is None else f"status {response.status}"
            if call.ended.is_set() or call.left <= 0:
                raise OutOfTime
            return super().increment(method, url, response, error, _pool, _stacktrace)

        def sleep(self, response: urllib3.BaseHTTPResponse | None = None) -> None:
            call = asking.current
            asked = None if response is None else self.get_retry_after(response)
            call.pause(asked or self.get_backoff_time())
            asking.wait_for_turn()
            call.attempts += 1

    return Patience


def _limit(asking: Asking) -> type[urllib3.Timeout]:
    """urllib3's rule for silences, which never reach beyond the request's deadline."""
    import urllib3

    class Limit(urllib3.Timeout):
        """Seconds of silence: what was asked for, or what is left."""

        def clone(self) -> urllib3.Timeout:
            seconds = min(asking.transport.timeout, max(asking.current.left, 1e-3))
            return urllib3.Timeout(connect=seconds, read=seconds)

    return Limit


def _pools(asking: Asking) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    """urllib3's pools of connections, whose sockets can be shut when a request's time is over.

    A timeout of a socket is for one silence: a server that sends a byte now and then never reaches it.
    """
    import urllib3

    class Plain(urllib3.connection.HTTPConnection):
        """A connection that says what socket it is on."""

        def request(self, *args: Any, **more: Any) -> None:
            super().request(*args, **more)
            asking.current.socket = self.sock

    class Encrypted(urllib3.connection.HTTPSConnection):
        """Likewise."""

        def request(self, *args: Any, **more: Any) -> None:
            super().request(*args, **more)
            asking.current.socket = self.sock

    class PlainPool(urllib3.HTTPConnectionPool):
        """Connections of that kind."""

        ConnectionCls = Plain

    class EncryptedPool(urllib3.HTTPSConnectionPool):
        """Connections of that kind."""

        ConnectionCls = Encrypted

    return {"http": PlainPool, "https": EncryptedPool}
