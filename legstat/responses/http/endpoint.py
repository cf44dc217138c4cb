"""One address: connections kept, retries with growing pauses, a ceiling on the rate, a deadline for each request."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from legstat._core.errors import invalid
from legstat._core.typing import JSON
from legstat.responses.http.connections import AGAIN, Call, OutOfTime, pool_of
from legstat.responses.http.protocol import ProtocolError
from legstat.responses.transport import Transport

WHERE = "http_response"
"""Call to name in errors."""


class TooLargeError(MemoryError):
    """The server refuses a batch for its size: it is halved, as where one does not fit the memory."""


class Endpoint:
    """One model behind one address: connections, retries, rate, deadlines. Safe to use from several threads.

    Parameters
    ----------
    url, model, version, transport
        As for `http_response`.

    Raises
    ------
    ValueError
        An address that cannot be right.
    BackendUnavailableError
        urllib3 is missing.
    """

    def __init__(self, url: str, model: str, version: str | None, transport: Transport) -> None:
        parts = urlsplit(str(url))
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(invalid(WHERE, "url", url, "an address such as http://localhost:8000"))
        if "@" in parts.netloc:
            remedy = "Pass Transport(headers=...), which are not kept."
            raise ValueError(invalid(WHERE, "url", "an address with a password", "without one", remedy))
        self.url, self.model, self.version = str(url).rstrip("/"), model, version
        self.path = f"v2/models/{quote(model, safe='')}"
        if version is not None:
            self.path += f"/versions/{quote(version, safe='')}"
        self.transport = transport
        self.requests = self.repeated = 0
        self._due = 0.0
        self._connect()

    def _connect(self) -> None:
        self._lock = threading.Lock()
        self._calls: set[Call] = set()
        self._here = threading.local()
        self._pool = pool_of(self)

    @property
    def current(self) -> Call:
        """The request that this thread is at."""
        call: Call = self._here.call
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

        where, how = f"{self.url}/{path}", self.transport
        call = self._here.call = Call()
        with self._lock:
            self._calls.add(call)
        watch = threading.Timer(how.deadline, call.end)
        watch.daemon = True
        try:
            self.wait_for_turn()
            call.due = time.monotonic() + how.deadline
            watch.start()
            answer = self._pool.request(
                "GET" if body is None else "POST",
                where,
                body=body,
                headers={**(how.headers or {}), **(headers or {})},
            )
            if call.ended.is_set():  # its connection was shut, and to http.client the end of headers looks like that
                raise OutOfTime
        except OutOfTime:
            raise ConnectionError(
                f"legstat.{WHERE}: no answer from {where} within {how.deadline:g} s, in {call.attempts} attempts; "
                f"the last one: {call.trouble}"
            ) from None
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            raise ConnectionError(
                f"legstat.{WHERE}: no answer from {where} in {call.attempts} attempts of {how.timeout:g} s: "
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
        raise (ConnectionError if answer.status in AGAIN else RuntimeError)(text)

    def stop(self) -> None:
        """End all requests that other threads are at."""
        with self._lock:
            calls = list(self._calls)
        for call in calls:
            call.end()

    def wait_for_turn(self) -> None:
        """Hold this thread's request back until the rate allows for one more attempt."""
        if self.transport.rate is None:
            return
        with self._lock:
            now = time.monotonic()
            pause = max(self._due - now, 0.0)
            self._due = now + pause + 1.0 / self.transport.rate
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


def _complaint(body: bytes) -> str:
    """What an answer says is wrong, at most 300 characters of it."""
    try:
        found = json.loads(body)
        text = str(found["error"]) if isinstance(found, dict) and "error" in found else str(found)
    except ValueError:
        text = body[:300].decode("utf-8", "replace")
    return text[:300] or "(nothing)"
