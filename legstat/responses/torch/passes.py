"""One network's passes for several who ask it at a time: what all of them wait for is run in common batches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from legstat._core.typing import FloatArray
from legstat.responses.network.scores import Score

Array = NDArray[np.generic]
Answer = tuple[Array, FloatArray | None]
"""Class outputs; or scores, and their gradients at the pictures."""
Forward = Callable[[Array, bool, bool], Array]
Backward = Callable[[Array, Sequence[Score]], tuple[FloatArray, FloatArray]]


@dataclass(frozen=True, eq=False)
class Question:
    """What a member waits for.

    Attributes
    ----------
    inputs : ndarray
        The network's input; of a question that goes backward pictures (n, C, H, W). The first axis counts.
    score : Score or None
        What the gradient is of; None of a question that only goes forward.
    autocast, compiled : bool
        As for `Replica`.
    """

    inputs: Array = field(repr=False)
    score: Score | None = None
    autocast: bool = True
    compiled: bool = True


Ask = Callable[[Question], Answer]
Asking = TypeVar("Asking")


class MemberLeft(RuntimeError):
    """Another member failed, or the run was interrupted: there will be no answer."""


class SharedPasses(Generic[Asking]):
    """Passes of a network that several members, each in a thread of its own, ask for.

    A question waits until every member that is at work waits with one. Then those that only go forward are answered, or
    those that go backward where there are no others: line searches differ in length, and the gradients after them are
    common all the same. So what is run together depends on what is asked alone, not on anybody's speed.

    Parameters
    ----------
    forward : callable
        ``(inputs, autocast, compiled) -> class outputs``.
    backward : callable
        ``(pictures, scores) -> (values, gradients)``, a score for each picture.
    asking : callable
        From how a member asks to what it asks with: the network's response, whose passes are asked for in that way.
    members : int
        How many there are.
    """

    def __init__(self, forward: Forward, backward: Backward, asking: Callable[[Ask], Asking], members: int) -> None:
        self._forward, self._backward, self._asking, self._working = forward, backward, asking, members
        self._changed = threading.Condition()
        self._waiting: dict[int, Question] = {}
        self._answers: dict[int, Answer] = {}
        self._closed = False
        self._fault: BaseException | None = None

    @contextmanager
    def member(self, number: int) -> Iterator[Asking]:
        """What the member of that number asks with; it is at work from the start to the end of this."""
        try:
            yield self._asking(lambda question: self._ask(number, question))
        except BaseException as fault:
            self._close(fault)
            raise
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()

    def serve(self) -> None:
        """Answer until all members have left, in the thread that calls this; raise what one of them raised."""
        try:
            with self._changed:
                while self._working and not self._closed:
                    if len(self._waiting) < self._working:
                        self._changed.wait()
                        continue
                    self._answer()
                    self._changed.notify_all()
        finally:  # an interrupt too ends their waiting
            self._close()
        if self._fault is not None:
            raise self._fault

    def _ask(self, number: int, question: Question) -> Answer:
        with self._changed:
            self._waiting[number] = question
            self._changed.notify_all()
            self._changed.wait_for(lambda: number in self._answers or self._closed)
            if number not in self._answers:
                raise MemberLeft("legstat.batched: another picture failed, or the run was interrupted.")
            return self._answers.pop(number)

    def _answer(self) -> None:
        """Answer those that come first, members in their order."""
        forward = {number: one for number, one in self._waiting.items() if one.score is None}
        groups: dict[tuple[object, ...], list[int]] = {}
        for number, one in sorted((forward or self._waiting).items()):
            alike = (one.inputs.shape[1:], one.autocast, one.compiled)
            groups.setdefault(alike, []).append(number)
        for numbers in groups.values():
            self._answers |= dict(
                zip(numbers, self._together([self._waiting.pop(one) for one in numbers]), strict=True)
            )

    def _together(self, questions: list[Question]) -> list[Answer]:
        """The answers to questions that differ in inputs and score alone."""
        inputs = np.concatenate([one.inputs for one in questions])
        ends = np.cumsum([len(one.inputs) for one in questions])[:-1]
        if questions[0].score is None:
            rows = self._forward(inputs, questions[0].autocast, questions[0].compiled)
            return [(part, None) for part in np.split(rows, ends)]
        scores = [one.score for one in questions for _ in one.inputs if one.score is not None]
        values, gradients = self._backward(inputs, scores)
        return list(zip(np.split(values, ends), np.split(gradients, ends), strict=True))

    def _close(self, fault: BaseException | None = None) -> None:
        with self._changed:
            if not self._closed:
                self._closed, self._fault = True, fault
            self._changed.notify_all()
