"""Several pictures at a time: the numbers of one call each, in fewer passes of the network."""

from __future__ import annotations

import threading
from typing import ClassVar

import numpy as np
import pytest

import legstat as ls
from legstat.baselines import adversarial, batched, igos, l1q, layer_mask, mask
from legstat.samples.faults import NonFiniteResponseError

torch = pytest.importorskip("torch", reason="exact gradients are torch's")

HOW = {
    "mask": (mask, {"iterations": 8, "shape": (4, 4), "baseline": "black"}),
    "igos": (igos, {"iterations": 6, "shape": (4, 4), "baseline": "black", "noise": 0.05}),
    "igos, queries": (igos, {"shape": (4, 4), "baseline": "black", "gradient": "queries", "n_queries": 300}),
    "l1q": (l1q, {"epsilon": 2.0, "q": 0.9, "iterations": 5}),
    "adversarial": (adversarial, {"epsilon": 0.1, "iterations": 5}),
}


class Cells(torch.nn.Module):
    """Three classes' evidence in cells of a quarter; every row is summed by itself, so that no batch rounds otherwise.

    Notes every pass: pictures and thread.
    """

    passes: ClassVar[list[tuple[int, int]]] = []  # of the class, since responses run a copy

    def __init__(self) -> None:
        super().__init__()
        weights = np.random.default_rng(3).standard_normal((3, 4, 4))
        self.register_buffer("weights", torch.from_numpy(weights).float())

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        self.passes.append((len(pictures), threading.get_ident()))
        cells = torch.nn.functional.avg_pool2d(pictures[:, 0], 4)
        rows = [
            torch.stack([(one * weight).sum() for weight in self.weights]) for one in torch.tanh(10.0 * (cells - 0.5))
        ]
        return 4.0 * torch.stack(rows)


@pytest.fixture(autouse=True)
def no_passes():
    Cells.passes.clear()


def response(module: torch.nn.Module | None = None, **options) -> ls.Response:
    return ls.torch_response(module or Cells(), output_kind="logits", score="log_odds", **{"batch_size": 7, **options})


def pictures(n: int = 5) -> np.ndarray:
    return np.random.default_rng(1).random((n, 1, 16, 16))


@pytest.mark.parametrize("at_once", [2, 16])
@pytest.mark.parametrize("name", HOW)
def test_they_are_the_numbers_of_one_call_each(name, at_once):
    method, how = HOW[name]
    f, targets = response(), set()
    found = batched(method, f, pictures(), rng=4, at_once=at_once, **how)
    for one, image, rng in zip(found, pictures(), np.random.default_rng(4).spawn(5), strict=True):
        alone = method(f, image, rng=rng, **how)
        np.testing.assert_array_equal(one.solution, alone.solution)
        np.testing.assert_array_equal(one.saliency, alone.saliency)
        np.testing.assert_array_equal(one.image, image)
        for term, values in alone.trace.items():
            np.testing.assert_array_equal(one.trace[term], values, err_msg=term)
        assert (one.n_queries, one.n_backward) == (alone.n_queries, alone.n_backward)
        assert one.source == alone.source
        targets.add(one.source["response"]["target"])
    assert len(targets) > 1  # each explains its own first choice


def test_passes_are_run_together_in_the_thread_that_called():
    how = {"iterations": 20, "start": "ones", "jitter": 1, "shape": (4, 4), "baseline": "black"}
    found = batched(mask, response(), pictures(6), **how)
    # a batch of 7 holds all six; it is tried before whether answers depend on the batch
    together = [size for size, _ in Cells.passes if size == 6]
    assert Cells.passes[-len(together) :] == [(6, threading.get_ident())] * len(together)
    assert len(together) == 1 + 1 + 20  # x0, baseline, iterations
    assert sum(one.n_queries for one in found) == 6 * len(together)


def test_no_batch_is_larger_than_the_response_says():
    batched(igos, response(batch_size=4), pictures(), iterations=3, shape=(4, 4), baseline="black")
    assert max(size for size, _ in Cells.passes) == 4


def test_a_network_whose_answers_depend_on_the_batch_sees_one_picture_at_a_time():
    class Mixing(Cells):
        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return super().forward(pictures) + pictures.mean()

    how = {"iterations": 4, "shape": (4, 4), "baseline": "black"}
    with pytest.warns(ls.LegstatWarning, match="Pictures are run one by one"):
        found = batched(mask, response(Mixing()), pictures(3), rng=0, **how)
    with pytest.warns(ls.LegstatWarning, match="Pictures are run one by one"):
        alone = mask(response(Mixing()), pictures(3)[1], rng=np.random.default_rng(0).spawn(3)[1], **how)
    np.testing.assert_array_equal(found[1].mask, alone.mask)


def test_a_picture_that_fails_ends_the_call():
    class Broken(Cells):
        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            found = super().forward(pictures)
            bad = (pictures[:, 0, 0, 0] == 0.25)[:, None]  # the third picture, under a mask of ones alone
            return torch.where(bad, found * torch.nan, found)

    images = pictures()
    images[:, :, 0, 0], images[2, :, 0, 0] = 0.5, 0.25
    before = threading.active_count()
    with pytest.raises(NonFiniteResponseError, match=r"legstat\.mask: evaluation"):
        batched(mask, response(Broken()), images, start="ones", jitter=1, shape=(4, 4), baseline="black")
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("arguments", "options", "fault", "text"),
    [
        ((layer_mask, None, None), {}, ValueError, "one of the functions mask, igos, l1q, adversarial"),
        ((mask, lambda x: x.mean(axis=(1, 2, 3)), None), {}, TypeError, "must be a torch module"),
        ((mask, None, []), {}, ValueError, "`images` must be at least one picture"),
        ((mask, None, [np.full((1, 4, 4), 2.0)]), {}, ValueError, "image"),
        ((mask, None, None), {"at_once": 0}, ValueError, "`at_once` must be a whole number >= 1"),
        ((mask, None, None), {"rng": -1}, ValueError, "`rng`"),
        ((mask, None, None), {"l1": -1.0}, ValueError, "`l1`"),
    ],
)
def test_what_cannot_be_run_is_refused(arguments, options, fault, text):
    method, black_box, images = arguments
    with pytest.raises(fault, match=text):
        batched(method, black_box or response(), pictures() if images is None else images, **options)
    # the method's own arguments are looked at by the method, when it is known whether pictures may be run together
    assert not Cells.passes or "l1" in options
