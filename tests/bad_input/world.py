"""What the rows of the tables have at hand: pictures, files, a sample that is there already, responses that count."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from typer.testing import CliRunner

import legstat as ls
from legstat.cli import FAULT, app
from legstat.data import digits_model_path, load_digit
from tests.helpers import Counting, smooth


class Row(NamedTuple):
    """One kind of bad input: what is called, and the error that has to come before any evaluation."""

    name: str
    call: Callable[[World], object]
    error: type[BaseException]
    words: tuple[str, ...]


class ToldError(Exception):
    """A command ended with the code of a fault; its text is what it wrote."""


class Finished:
    """A small run that is there already, made once for all rows."""

    def __init__(self) -> None:
        self.design = ls.StructuredGaussian(grid=(4, 4), scale=0.05)
        self.image = np.random.default_rng(0).random((1, 8, 8))
        self.sample = ls.query(Counting(smooth), self.image, self.design, n_queries=901, rng=0, progress=False)
        self.other = ls.query(smooth, self.image / 2, self.design, n_queries=201, rng=1, progress=False)
        self.found = ls.Explanation.of(self.sample, L_ratio=0.2, progress=False)
        self.leg, self.path, self.tv = self.found.leg, self.found.path, self.found.tv
        self.moments = ls.Moments(b=self.leg.moments.b, design=self.design, n=450)


class World:
    """One row's surroundings; `evaluations` counts what any of its responses was asked."""

    def __init__(self, folder: Path, finished: Finished) -> None:
        self.folder, self.done = folder, finished
        self.f = Counting(smooth)
        self.image, self.design, self.sample = finished.image, finished.design, finished.sample
        self.digits = digits_model_path()
        self.digit = load_digit(0)[0]
        self.session_runs = 0
        self.forward_passes = 0

    @property
    def evaluations(self) -> int:
        return self.f.count + self.session_runs + self.forward_passes

    # -- calls that many rows make -------------------------------------------------------------------------------

    def query(self, **changed: Any) -> object:
        given = {"f": self.f, "image": self.image, "design": self.design, "n_queries": 100, "rng": 0, **changed}
        return ls.query(**given, progress=False)

    def explain(self, **changed: Any) -> object:
        given = {"f": self.f, "image": self.image, "n_queries": 100, "rng": 0, **changed}
        return ls.explain(**given, progress=False)

    def onnx(self, **changed: Any) -> ls.OnnxResponse:
        return ls.onnx_response(**{"path": self.digits, **changed})

    def torch(self, module: Any = None, **changed: Any) -> ls.TorchResponse:
        pytest.importorskip("torch", reason="the row is about a torch module")
        import torch

        world = self

        class Counted(torch.nn.Linear):
            def forward(self, images: torch.Tensor) -> torch.Tensor:
                world.forward_passes += 1
                return super().forward(images.flatten(1))

        with torch.random.fork_rng():  # weights are drawn from torch's global state
            network = Counted(64, 10)
        return ls.torch_response(network if module is None else module, **changed)

    def command(self, *words: object) -> None:
        """Run `legstat` with these words; what it says, where it ends with the code of a fault."""
        # a box breaks its lines where the width is reached, in the middle of a path too
        done = CliRunner(env={"COLUMNS": "1000"}).invoke(app, [str(word) for word in words])
        if done.exit_code == FAULT:
            raise ToldError(done.output)
        raise AssertionError(f"exit code {done.exit_code}: {done.output}") from done.exception

    def explained(self, *words: object, picture: Path | None = None, model: Path | None = None) -> None:
        """`legstat explain` with these words."""
        self.command(
            *("explain", picture or self.picture, "--model", model or self.digits, "--n-queries", 60),
            *("--out", self.folder / "out", *words),
        )

    # -- files ---------------------------------------------------------------------------------------------------

    def file(self, name: str, content: bytes | str = b"") -> Path:
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    @cached_property
    def picture(self) -> Path:
        from PIL import Image

        path = self.folder / "digit.png"
        Image.fromarray(np.asarray(self.digit[0] * 255, dtype=np.uint8)).save(path)
        return path

    def saved(self, name: str, pixels: Any, mode: str | None = None) -> Path:
        """A picture of those pixels."""
        from PIL import Image

        path = self.folder / name
        image = Image.fromarray(np.asarray(pixels))
        (image if mode is None else image.convert(mode)).save(path)
        return path

    def archive(self, name: str, header: object = None, **arrays: Any) -> Path:
        """An .npz with (or, without a header, as anybody else's) arrays."""
        path = self.folder / name
        if header is not None:
            arrays["header.json"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
        np.savez(path, **arrays)
        return path

    def record(self, **changed: Any) -> Path:
        """The record of the finished run in this row's folder, with some of its parts changed."""
        self.done.found.save(self.folder / "run")
        path = self.folder / "run" / "record.json"
        record = {**json.loads(path.read_text(encoding="utf-8")), **changed}
        path.write_text(json.dumps({key: value for key, value in record.items() if value is not None}))
        return path
