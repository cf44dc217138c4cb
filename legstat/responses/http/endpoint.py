"""One address: connections kept, retries with growing pauses, a ceiling on the rate, a deadline for each request."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlsplit

from legstat._core.checks import check_count, check_within
from legstat._core.errors import BackendUnavailableError, invalid
from legstat._core.typing import JSON
from legstat.responses.http.protocol import ProtocolError

if TYPE_CHECKING:
    import urllib3
    from urllib3.connectionpool import ConnectionPool

WHERE = "http_response"
"""Call to name in errors."""
_AGAIN = (429, 500, 502, 503, 504)
"""Statuses that say "not now"."""
_LONGEST_PAUSE = 60.0
"""Seconds between two attempts at most, whatever the server asks for."""


class TooLargeError(MemoryError):
    """The server refuses a batch for its size: it is halved, as where one does not fit the memory."""


class _OutOfTime(Exception):
    """A request was given up on: its deadline is over, or it was called off."""


class _Call:
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
            raise _OutOfTime

    def end(self) -> None:
        """Give up at once, whatever the other side is doing: a read that waits returns with an error."""
        self.ended.set()
        if self.socket is not None:
            with suppress(OSError):
                socket.socket.shutdown(self.socket, socket.SHUT_RDWR)


def _checked_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """What is sent with every request; no error shows a value."""
    given: object = {} if headers is None else headers
    if not isinstance(given, Mapping):
        raise TypeError(invalid(WHERE, "headers", type(given).__name__, "a mapping of names to texts"))
    for name, value in given.items():
        if not isinstance(name, str) or not isinstance(value, str) or set("\r\n") & set(name + value):
            raise ValueError(invalid(WHERE, "headers", name, "of names and texts without line breaks"))
    return dict(given)


class Endpoint:
    """One model behind one address: connections, retries, rate, deadlines. Safe to use from several threads.

    Parameters
    ----------
    url, model, version, headers, timeout, deadline, retries, backoff, rate, in_flight, ca_certs
        As for `http_response`.

    Raises
    ------
    ValueError
        An address that cannot be right.
    BackendUnavailableError
        urllib3 is missing.
    """

    def __init__(
        self,
        url: str,
        model: str,
        version: str | None,
        *,
        headers: Mapping[str, str] | None,
        timeout: float,
        deadline: float,
        retries: int,
        backoff: float,
        rate: float | None,
        in_flight: int,
        ca_certs: str | Path | None,
    ) -> None:
        parts = urlsplit(str(url))
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(invalid(WHERE, "url", url, "an address such as http://localhost:8000"))
        if "@" in parts.netloc:
            raise ValueError(
                invalid(WHERE, "url", "an address with a password", "without one", "Pass headers=, which are not kept.")
            )
        numbers = [("timeout", timeout, 1e-3), ("deadline", deadline, 1e-3), ("backoff", backoff, 0.0)]
        for name, value, least in numbers + ([] if rate is None else [("rate", rate, 1e-6)]):
            check_within(WHERE, name, value, least)
        retries = check_count(WHERE, "retries", retries, 0)
        if ca_certs is not None and not Path(ca_certs).exists():
            raise ValueError(invalid(WHERE, "ca_certs", str(ca_certs), "an existing file of certificates"))
        self.url, self.model, self.version = str(url).rstrip("/"), model, version
        self.path = f"v2/models/{quote(model, safe='')}"
        if version is not None:
            self.path += f"/versions/{quote(version, safe='')}"
        self._headers = _checked_headers(headers)
        self.timeout, self._deadline, self._retries, self._backoff = timeout, deadline, retries, backoff
        self._rate, self._in_flight = rate, in_flight
        self._ca_certs = None if ca_certs is None else str(ca_certs)
        self.requests = self.repeated = 0
        self._due = 0.0
        self._connect()

    def _connect(self) -> None:
        try:
            import urllib3
        except ImportError as error:
            raise BackendUnavailableError("urllib3", "http", "A response over HTTP") from error

        self._lock = threading.Lock()
        self._calls: set[_Call] = set()
        self._here = threading.local()
        retry, limit = _patience(self), _limit(self)
        self._pool: urllib3.PoolManager = urllib3.PoolManager(
            retries=retry(
                total=self._retries,
                redirect=0,  # a redirect would hand the headers on to somewhere else
                allowed_methods=None,  # an inference has no effect: it may be asked for again
                status_forcelist=_AGAIN,
                backoff_factor=self._backoff,
                backoff_max=_LONGEST_PAUSE,
                backoff_jitter=self._backoff / 2,
                raise_on_status=False,
                raise_on_redirect=False,
            ),
            timeout=limit(connect=self.timeout, read=self.timeout),
            maxsize=self._in_flight,
            ca_certs=self._ca_certs,
        )
        self._pool.pool_classes_by_scheme = _pools(self)

    @property
    def current(self) -> _Call:
        """The request that this thread is at."""
        call: _Call = self._here.call
        return call

    def call(
        self, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[bytes, Mapping[str, str]]:
        """Body and headers of the answer to a request.

        Parameters
        ----------
        path : str
            Below the endpoint's address.
        body : bytes, optional
            To post; without one it is a GET.
        headers : mapping, optional
            Besides the user's.

        Raises
        ------
        ConnectionError
            No answer, or none but refusals for the moment, after all retries or within the deadline.
        RuntimeError
            The server refuses.
        """
        import urllib3

        where = f"{self.url}/{path}"
        call = self._here.call = _Call()
        with self._lock:
            self._calls.add(call)
        watch = threading.Timer(self._deadline, call.end)
        watch.daemon = True
        try:
            self.wait_for_turn()
            call.due = time.monotonic() + self._deadline
            watch.start()
            answer = self._pool.request(
                "GET" if body is None else "POST", where, body=body, headers={**self._headers, **(headers or {})}
            )
            if call.ended.is_set():  # its connection was shut, and to http.client the end of headers looks like that
                raise _OutOfTime
        except _OutOfTime:
            raise ConnectionError(
                f"legstat.{WHERE}: no answer from {where} within {self._deadline:g} s, in {call.attempts} attempts; "
                f"the last one: {call.trouble}"
            ) from None
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            raise ConnectionError(
                f"legstat.{WHERE}: no answer from {where} in {call.attempts} attempts of {self.timeout:g} s: "
                f"{type(reason).__name__}: {reason}"
            ) from error
        finally:
            watch.cancel()
            with self._lock:
                self._calls.discard(call)
                self.repeated += call.attempts - 1
        with self._lock:
            self.requests += 1
        if answer.status == 200:
            return answer.data, answer.headers
        text = f"legstat.{WHERE}: {where} answered {answer.status} {answer.reason or ''}: {_complaint(answer.data)}"
        if answer.status == 413 and body is not None:
            raise TooLargeError(text)
        raise (ConnectionError if answer.status in _AGAIN else RuntimeError)(text)

    def stop(self) -> None:
        """End all requests that other threads are at."""
        with self._lock:
            calls = list(self._calls)
        for call in calls:
            call.end()

    def wait_for_turn(self) -> None:
        """Hold this thread's request back until the rate allows for one more attempt."""
        if self._rate is None:
            return
        with self._lock:
            now = time.monotonic()
            pause = max(self._due - now, 0.0)
            self._due = now + pause + 1.0 / self._rate
        self.current.pause(pause)

    def json(self, path: str) -> JSON:
        """A JSON object from the endpoint."""
        body, _ = self.call(path)
        try:
            found = json.loads(body)
        except ValueError as error:
            raise ProtocolError(f"legstat.{WHERE}: {self.url}/{path} answered no JSON: {_complaint(body)}") from error
        if not isinstance(found, dict):
            raise ProtocolError(f"legstat.{WHERE}: {self.url}/{path} answered {_complaint(body)}")
        return found

    def __getstate__(self) -> dict[str, object]:
        """All but connections, and what belongs to this process's threads."""
        gone = ("_pool", "_lock", "_calls", "_here")
        return {key: value for key, value in self.__dict__.items() if key not in gone}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Restore, with connections of its own."""
        self.__dict__.update(state)
        self._connect()


def _patience(endpoint: Endpoint) -> type[urllib3.Retry]:
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
            call = endpoint.current
            call.trouble = f"{type(error).__name__}: {error}" if response is None else f"status {response.status}"
            if call.ended.is_set() or call.left <= 0:
                raise _OutOfTime
            return super().increment(method, url, response, error, _pool, _stacktrace)

        def sleep(self, response: urllib3.BaseHTTPResponse | None = None) -> None:
            call = endpoint.current
            asked = None if response is None else self.get_retry_after(response)
            call.pause(asked or self.get_backoff_time())
            endpoint.wait_for_turn()
            call.attempts += 1

    return Patience


def _limit(endpoint: Endpoint) -> type[urllib3.Timeout]:
    """urllib3's rule for silences, which never reach beyond the request's deadline."""
    import urllib3

    class Limit(urllib3.Timeout):
        """Seconds of silence: what was asked for, or what is left."""

        def clone(self) -> urllib3.Timeout:
            seconds = min(endpoint.timeout, max(endpoint.current.left, 1e-3))
            return urllib3.Timeout(connect=seconds, read=seconds)

    return Limit


def _pools(endpoint: Endpoint) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    """urllib3's pools of connections, whose sockets can be shut when a request's time is over.

    A timeout of a socket is for one silence: a server that sends a byte now and then never reaches it.
    """
    import urllib3

    class Plain(urllib3.connection.HTTPConnection):
        """A connection that says what socket it is on."""

        def request(self, *args: Any, **more: Any) -> None:
            super().request(*args, **more)
            endpoint.current.socket = self.sock

    class Encrypted(urllib3.connection.HTTPSConnection):
        """Likewise."""

        def request(self, *args: Any, **more: Any) -> None:
            super().request(*args, **more)
            endpoint.current.socket = self.sock

    class PlainPool(urllib3.HTTPConnectionPool):
        """Connections of that kind."""

        ConnectionCls = Plain

    class EncryptedPool(urllib3.HTTPSConnectionPool):
        """Connections of that kind."""

        ConnectionCls = Encrypted

    return {"http": PlainPool, "https": EncryptedPool}


def _complaint(body: bytes) -> str:
    """What an answer says is wrong, at most 300 characters of it."""
    try:
        found = json.loads(body)
        text = str(found["error"]) if isinstance(found, dict) and "error" in found else str(found)
    except ValueError:
        text = body[:300].decode("utf-8", "replace")
    return text[:300] or "(nothing)"
