"""What each public class has: a repr of one line that says what it is, without an array in it, and a pickle."""

from __future__ import annotations

import inspect
import pickle
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

import legstat as ls
from legstat.comparison.methods.controls import RandomMap
from legstat.data import digits_model_path, load_digit
from tests.helpers_http import serving

LONGEST = 200
"""Characters: wider than a terminal, narrower than two."""


def _mean(images: Any) -> Any:
    return images.mean(axis=(1, 2, 3))


@pytest.fixture(scope="module")
def instances(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One of each public class, by name."""
    folder = tmp_path_factory.mktemp("instances")
    torch = pytest.importorskip("torch", reason="TorchResponse is among the classes")
    image = load_digit(0)[0]
    network = ls.onnx_response(digits_model_path())
    design = ls.StructuredGaussian(grid=(8, 8), scale=0.25)
    found = ls.explain(network, image, n_queries=801, rng=0, progress=False)
    sample, leg, tv = found.sample, found.leg, found.tv
    stopped = ls.query(network, image, design, n_queries=2001, until=1e9, rng=0, progress=False)
    region = leg.region((0, 2, 0, 4))
    with torch.random.fork_rng():
        module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    with serving() as server:
        behind = ls.http_response(server.url, "digits")
        told = ls.inspect_endpoint(server.url, "digits", repeats=2)
    files = found.save(folder)
    compared = ls.compare([RandomMap((8, 8))], network, [image], n_queries=[0], progress=False)
    return {
        "LEG": ls.LEG(sample),
        "LEGTV": ls.LEGTV(sample),
        "Additive": ls.Additive(),
        "BernoulliCells": ls.BernoulliCells(grid=(4, 4)),
        "BatchTimings": ls.BatchTimings({1: 0.1, 2: 0.05}, 9),
        "Blend": ls.Blend(np.zeros((1, 8, 8))),
        "CallableResponse": ls.as_response(_mean),
        "Certificate": tv.certificate,
        "Contrasts": region,
        "EndpointReport": told,
        "Explanation": found,
        "GaussianDesign": ls.GaussianDesign(np.eye(16), grid=(4, 4)),
        "Grid": ls.Grid((4, 4)),
        "HalfWidth": ls.HalfWidth(0.1, contrasts=np.ones((3, 64))),
        "HeldOut": found.path.heldout,
        "HttpResponse": behind,
        "IsotropicGaussian": ls.IsotropicGaussian(grid=(4, 4)),
        "LEGResults": leg,
        "LEGTVPath": found.path,
        "LEGTVResults": tv,
        "Ledger": sample.ledger,
        "ModelReport": ls.inspect_model(digits_model_path(), seconds=0),
        "Comparison": compared,
        "MethodMap": ls.MethodMap(np.zeros((8, 8)), 100),
        "Moments": leg.moments,
        "MultipleTest": leg.test(fdr=0.1),
        "MultiscaleBlocks": ls.MultiscaleBlocks(grid=(4, 4)),
        "NestedTest": leg.test_boxes(),
        "NoiseProbe": ls.noise_probe(network, image, design, rng=0),
        "OnnxResponse": network,
        "Preprocessing": ls.Preprocessing(),
        "QueryCache": ls.QueryCache(folder / "cache"),
        "QuerySample": sample,
        "Regions": ls.Regions.of(ls.region_inference(sample, L_ratio=0.3, cov_type="sandwich")),
        "RegionInference": ls.region_inference(sample, L_ratio=0.3),
        "Segment": sample.segments[0],
        "Stopping": stopped.stopping,
        "SessionSettings": ls.SessionSettings(),
        "SpectralBinary": ls.SpectralBinary(grid=(4, 4)),
        "SpectralGaussian": ls.SpectralGaussian(grid=(4, 4)),
        "StructuredGaussian": design,
        "Transport": ls.Transport(),
        "TorchSettings": ls.TorchSettings(),
        "TorchResponse": ls.torch_response(module),
        "Verification": ls.verify(files[-1], progress=False),
        "WaldTest": region.wald_test(),
    }


def test_each_class_is_among_them(instances: dict[str, Any]) -> None:
    kinds = {name: getattr(ls, name) for name in ls.__all__ if inspect.isclass(getattr(ls, name))}
    made = {name for name, kind in kinds.items() if not (issubclass(kind, BaseException) or inspect.isabstract(kind))}
    made -= {"Method"}  # a protocol
    assert not made - set(instances), "add one to the table above"


def test_a_repr_is_one_line(instances: dict[str, Any]) -> None:
    shown = {name: repr(one) for name, one in instances.items()}
    wrong = {name: text for name, text in shown.items() if "\n" in text or len(text) > LONGEST or " at 0x" in text}
    assert not wrong, "\n".join(f"{name}: {text[:150]}" for name, text in wrong.items())


class Tags(HTMLParser):
    """Whether every tag is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.met: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.met.add(tag)
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.met.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_what_has_more_than_a_line_shows_it_in_a_notebook(instances: dict[str, Any]) -> None:
    rich = set()
    for name, one in instances.items():
        told = [hasattr(one, way) for way in ("summary", "to_frame", "as_text")]
        if any(told) or (type(one).__str__ is not object.__str__ and "\n" in str(one)):
            rich.add(name)
            tags = Tags()
            tags.feed(one._repr_html_())
            assert not tags.open, name
            assert {"table", "pre"} & tags.met, name
    assert rich >= {"Comparison", "Explanation", "LEGTVPath", "ModelReport", "NestedTest", "Regions", "Verification"}
    assert {name for name, one in instances.items() if hasattr(one, "_repr_html_")} == rich


def test_each_of_them_pickles_after_use(instances: dict[str, Any]) -> None:
    wrong = {}
    for name, one in instances.items():
        for attribute in dir(type(one)):  # what is computed on first use may be what does not pickle
            if not attribute.startswith("_") and not callable(getattr(type(one), attribute)):
                getattr(one, attribute)
        try:
            again = pickle.loads(pickle.dumps(one))
        except Exception as error:  # whatever a class raises: all are told at once
            wrong[name] = f"{type(error).__name__}: {error}"
        else:
            if repr(again) != repr(one):
                wrong[name] = repr(again)
    assert not wrong, "\n".join(f"{name}: {text[:150]}" for name, text in wrong.items())
