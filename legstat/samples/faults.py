"""What stops a query run midway, each with the sample of all that was paid for."""

from __future__ import annotations

from legstat.samples.sample import QuerySample


class QueryError(RuntimeError):
    """A query run stopped midway; `sample` holds all that was paid for.

    Go on with ``query(..., resume=error.sample)``.

    Attributes
    ----------
    sample : QuerySample or None
        The part of the sample that was completed; None where the fault came before the first draw.
    """

    def __init__(self, message: str, sample: QuerySample | None = None) -> None:
        super().__init__(message)
        self.sample = sample


class NonFiniteResponseError(QueryError):
    """The response returned NaN or infinity; `index` is the first such evaluation."""

    def __init__(self, message: str, sample: QuerySample | None = None, index: int | None = None) -> None:
        super().__init__(message, sample)
        self.index = index


class QueryInterrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM during a query run; `sample` holds all that was paid for."""

    def __init__(self, sample: QuerySample | None) -> None:
        super().__init__("interrupted; what was evaluated is in `.sample`")
        self.sample = sample
