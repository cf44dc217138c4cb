"""One address: connections kept, retries with growing pauses, a ceiling on the rate."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

import numpy as np

from legstat._typing import JSON
from legstat.errors import BackendUnavailableError, invalid
from legstat.responses.inference_protocol import ProtocolError

WHERE = "http_response"
"""Call to name in errors."""
_AGAIN = (429, 500, 502, 503, 504)
"""Statuses that say "not now"."""
_LONGEST_PAUSE = 60.0
"""Seconds between two attempts at most, whatever the server asks for."""


class TooLargeError(MemoryError):
    """The server refuses a batch for its size: it is halved, as where one does not fit the memory."""


class Endpoint:
    """One model behind one address: connections, retries, rate.

    Parameters
    ----------
    url, model, version, headers, timeout, retries, backoff, rate, ca_certs
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
        retries: int,
        backoff: float,
        rate: float | None,
        ca_certs: str | Path | None,
    ) -> None:
        parts = urlsplit(str(url))
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(invalid(WHERE, "url", url, "an address such as http://localhost:8000"))
        if "@" in parts.netloc:
            raise ValueError(
                invalid(WHERE, "url", "an address with a password", "without one", "Pass headers=, which are not kept.")
            )
        numbers = [("timeout", timeout, 1e-3), ("backoff", backoff, 0.0)] + (
            [] if rate is None else [("rate", rate, 1e-6)]
        )
        for name, value, least in numbers:
            if not (np.isfinite(value) and value >= least):
                raise ValueError(invalid(WHERE, name, value, f"a finite number >= {least:g}"))
        if retries < 0 or retries != int(retries):
            raise ValueError(invalid(WHERE, "retries", retries, "a whole number >= 0"))
        self.url, self.model, self.version = str(url).rstrip("/"), model, version
        self.path = f"v2/models/{quote(model, safe='')}"
        if version is not None:
            self.path += f"/versions/{quote(version, safe='')}"
        self._headers = dict(headers or {})
        self._timeout, self._retries, self._backoff, self._rate = timeout, retries, backoff, rate
        self._ca_certs = None if ca_certs is None else str(ca_certs)
        self.requests = self.repeated = 0
        self._due = 0.0
        self._connect()

    def _connect(self) -> None:
        try:
            import urllib3
        except ImportError as error:
            raise BackendUnavailableError("urllib3", "http", "A response over HTTP") from error

        class Patience(urllib3.Retry):
            """Retries that wait no longer than that, whatever the server asks for."""

            def get_retry_after(self, response: urllib3.BaseHTTPResponse) -> float | None:
                asked = super().get_retry_after(response)
                return None if asked is None else min(asked, _LONGEST_PAUSE)

        retry = Patience(
            total=self._retries,
            redirect=0,  # a redirect would hand the headers on to somewhere else
            allowed_methods=None,  # an inference has no effect: it may be asked for again
            status_forcelist=_AGAIN,
            backoff_factor=self._backoff,
            backoff_max=_LONGEST_PAUSE,
            backoff_jitter=self._backoff / 2,
            raise_on_status=False,
            raise_on_redirect=False,
        )
        limit = urllib3.Timeout(connect=self._timeout, read=self._timeout)
        self._lock = threading.Lock()
        self._pool: urllib3.PoolManager = urllib3.PoolManager(retries=retry, timeout=limit, ca_certs=self._ca_certs)

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
            No answer, or none but refusals for the moment, after all retries.
        RuntimeError
            The server refuses.
        """
        import urllib3

        self._wait()
        where = f"{self.url}/{path}"
        try:
            answer = self._pool.request(
                "GET" if body is None else "POST", where, body=body, headers={**self._headers, **(headers or {})}
            )
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            raise ConnectionError(
                f"legstat.{WHERE}: no answer from {where} in {self._retries + 1} attempts of {self._timeout:g} s: "
                f"{type(reason).__name__}: {reason}"
            ) from error
        self.requests += 1
        self.repeated += 0 if answer.retries is None else len(answer.retries.history)
        if answer.status == 200:
            return answer.data, answer.headers
        text = f"legstat.{WHERE}: {where} answered {answer.status} {answer.reason or ''}: {_complaint(answer.data)}"
        if answer.status == 413 and body is not None:
            raise TooLargeError(text)
        raise (ConnectionError if answer.status in _AGAIN else RuntimeError)(text)

    def _wait(self) -> None:
        """Hold back until the rate allows for one more request."""
        if self._rate is None:
            return
        with self._lock:
            now = time.monotonic()
            pause = max(self._due - now, 0.0)
            self._due = now + pause + 1.0 / self._rate
        time.sleep(pause)

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
        """All but the connections."""
        return {key: value for key, value in self.__dict__.items() if key not in ("_pool", "_lock")}

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
