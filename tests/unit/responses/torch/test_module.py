"""The module as it was handed over: left alone, identified, watched."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import legstat as ls
from legstat.responses.torch.opening import torch_response

torch = pytest.importorskip("torch")

X0 = np.linspace(0.0, 1.0, 3 * 8 * 8).reshape(3, 8, 8)


@pytest.fixture
def net() -> object:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torch.nn.Sequential(
            torch.nn.Conv2d(3, 6, 3),
            torch.nn.BatchNorm2d(6),
            torch.nn.ReLU(inplace=True),
            torch.nn.Dropout(0.5),
            torch.nn.Flatten(),
            torch.nn.Linear(6 * 36, 5),
        )


class Scaled(torch.nn.Module):
    """A module whose parts outside the state dict determine what it computes."""

    def __init__(
        self, factor: float = 1.0, unsaved: float = 0.0, plain: float = 0.0, listed: tuple[float, ...] = ()
    ) -> None:
        super().__init__()
        self.factor, self.listed = factor, {"inside": [listed]}
        self.register_buffer("shift", torch.tensor(unsaved), persistent=False)
        self.plain = torch.tensor(plain)

    def forward(self, x: object) -> object:
        return x.flatten(1)[:, :5] * self.factor + self.shift + self.plain


def double(module: object, args: object, output: object) -> object:
    return 2 * output


def scores(module: object, **more: object) -> np.ndarray:
    f, _ = torch_response(module, target=1, score="logit", output_kind="logits", **more).bind(X0)
    return f(np.stack([X0, X0[:, ::-1], 1 - X0]).astype(np.float32))


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"settings": ls.TorchSettings(channels_last=True)},
        {"device": ["cpu", "cpu"]},
        {"settings": ls.TorchSettings(autocast="bfloat16")},
    ],
)
def test_the_users_module_stays_as_it_is(net: object, more: dict[str, object]) -> None:
    net.train()
    net[1].eval()  # mixed, as in fine-tuning with frozen statistics
    modes = [part.training for part in net.modules()]
    tensors = [(t.data_ptr(), t.stride(), t.dtype, t._version) for t in (*net.parameters(), *net.buffers())]
    first = scores(net, **more)
    assert np.array_equal(scores(net, **more), first)  # no dropout, no learning statistics
    assert [part.training for part in net.modules()] == modes
    assert [(t.data_ptr(), t.stride(), t.dtype, t._version) for t in (*net.parameters(), *net.buffers())] == tensors
    assert net[1].num_batches_tracked == 0


def test_weights_are_shared_where_they_are_in_place(net: object) -> None:
    shared, copied = torch_response(net), torch_response(net, settings=ls.TorchSettings(channels_last=True))
    assert shared._replicas.module[0].weight is net[0].weight
    assert copied._replicas.module[0].weight.data_ptr() != net[0].weight.data_ptr()
    assert copied._replicas.module[0].weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    "change",
    [
        lambda net: net[5].weight.add_(1.0),
        lambda net: net[1].running_mean.zero_(),
        lambda net: net.load_state_dict(net.state_dict()),
        lambda net: net.double(),
    ],
)
def test_weights_that_change_while_it_serves_are_an_error(net: object, change: object) -> None:
    f, _ = torch_response(net, target=1).bind(X0)
    f(X0[None].astype(np.float32))
    with torch.no_grad():
        change(net)
    with pytest.raises(RuntimeError, match=r"has changed, or was moved, since the response was made"):
        f(X0[None].astype(np.float32))
    design = ls.StructuredGaussian(grid=(4, 4), scale=0.1)
    with pytest.raises(ls.QueryError, match="has changed, or was moved"):
        ls.query(f, X0, design, n_queries=21, rng=0, progress=False)


def test_a_module_that_writes_into_its_input_spoils_no_picture() -> None:
    class InPlace(torch.nn.Module):
        def forward(self, x: object) -> object:
            return x.mul_(-1.0).flatten(1)

    images = np.stack([X0, 1 - X0]).astype(np.float32)
    before = images.copy()
    f, value = torch_response(InPlace(), target=1, score="logit").bind(X0)
    assert value == np.float32(-X0[0, 0, 1])
    assert np.array_equal(f(images), -before[:, 0, 0, 1])
    assert np.array_equal(images, before)
    images.flags.writeable = False
    assert np.array_equal(f(images), -before[:, 0, 0, 1])


def test_a_module_that_cannot_be_copied_is_refused() -> None:
    module = torch.nn.Flatten()
    module.lock = threading.Lock()
    with pytest.raises(ValueError, match=r"`module` must be a module that can be copied.*as_response"):
        torch_response(module)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_weight_normalisation_and_scripts_are_taken(net: object) -> None:
    with torch.random.fork_rng():
        layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(192, 5))
    normed = torch.nn.Sequential(torch.nn.Flatten(), layer)
    with torch.no_grad():
        expected = normed(torch.from_numpy(X0[None]).float())[0, 1].item()
        scripted = torch.jit.trace(net.eval(), torch.zeros(1, 3, 8, 8))
    assert scores(normed)[0] == pytest.approx(expected, rel=1e-5)  # products of one row and of three rows
    assert np.array_equal(scores(scripted), scores(net))


def test_fingerprints_follow_all_that_determines_the_scores(net: object) -> None:
    def fingerprint(module: object, **more: object) -> str:
        return torch_response(module, target=1, **more).fingerprint

    base = fingerprint(Scaled())
    assert fingerprint(Scaled()) == base
    others = [
        fingerprint(Scaled(2.0)),
        fingerprint(Scaled(unsaved=1.0)),
        fingerprint(Scaled(plain=1.0)),
        fingerprint(Scaled(listed=(1.0,))),
        fingerprint(Scaled(), settings=ls.TorchSettings(autocast="bfloat16")),
        fingerprint(Scaled(), settings=ls.TorchSettings(autocast="float16")),
        fingerprint(Scaled(), settings=ls.TorchSettings(tf32=True)),
        fingerprint(Scaled(), compose="inside"),
    ]
    hooked = Scaled()
    hooked.register_forward_hook(double)
    others.append(fingerprint(hooked))

    class Other(Scaled):
        def forward(self, x: object) -> object:
            return x.flatten(1)[:, :5] * self.factor - self.shift

    Other.__qualname__ = Scaled.__qualname__
    others.append(fingerprint(Other()))
    assert len({base, *others}) == 1 + len(others)
    # what changes nothing but rounding is in the record, not in the fingerprint
    last = ls.TorchSettings(channels_last=True)
    assert fingerprint(net, settings=last) == fingerprint(net) == fingerprint(net, device=["cpu", "cpu"])
    before = fingerprint(net)
    with torch.no_grad():
        net[0].weight[0, 0, 0, 0] += 1e-3
    assert fingerprint(net) != before
    assert torch_response(hooked).describe()["forward_hooks"] == 1


def test_attributes_in_circles_end() -> None:
    def circle(last: float) -> Scaled:
        module = Scaled()
        module.others = [Scaled() for _ in range(29)] + [Scaled(last)]
        for other in module.others:
            other.others = [module, *module.others]
        return module

    one, same, other = (torch_response(circle(factor), target=1) for factor in (1.0, 1.0, 2.0))
    assert one.describe()["fingerprint_complete"]
    assert one.fingerprint == same.fingerprint != other.fingerprint


def test_what_cannot_be_hashed_is_said_and_kept_from_the_cache(tmp_path: Path) -> None:
    module = Scaled()
    module.opened = _Unpicklable()
    f = torch_response(module, target=1, score="logit", output_kind="logits")
    assert not f.describe()["fingerprint_complete"]
    design = ls.StructuredGaussian(grid=(4, 4), scale=0.1)
    with pytest.raises(ValueError, match=r"Not seen by its fingerprint: module.*opened"):
        ls.query(f, X0, design, n_queries=21, rng=0, progress=False, cache=tmp_path)


class _Unpicklable:
    """Copies itself, but says not what it holds: stands for an object of compiled code."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __deepcopy__(self, memo: object) -> object:
        return self


@pytest.mark.parametrize("name", ["shift", "plain"])
def test_tensors_that_are_not_saved_are_watched(name: str) -> None:
    class Drifting(Scaled):
        """Writes to its own tensors while it serves."""

        def forward(self, x: object) -> object:
            made = super().forward(x)
            getattr(self, name).add_(1.0)
            return made

    module = Drifting()
    f = torch_response(module, target=1, score="logit", output_kind="logits")
    with pytest.raises(RuntimeError, match=rf"'{name}' of the module has changed.*run it once before"):
        f.bind(X0)[0](X0[None].astype(np.float32))


def test_a_buffer_of_the_user_s_that_is_not_saved_is_watched() -> None:
    module = Scaled()
    f, _ = torch_response(module, target=1, score="logit", output_kind="logits").bind(X0)
    module.shift.mul_(3.0)
    with pytest.raises(RuntimeError, match="'shift' of the module has changed"):
        f(X0[None].astype(np.float32))


def test_a_buffer_that_is_replaced_while_it_serves_is_watched() -> None:
    class Replacing(Scaled):
        def forward(self, x: object) -> object:
            self.shift = self.shift + 1.0
            return super().forward(x)

    f = torch_response(Replacing(), target=1, score="logit", output_kind="logits")
    with pytest.raises(RuntimeError, match="'shift' of the module has changed"):
        f.bind(X0)[0](X0[None].astype(np.float32))


def test_a_binary_module_that_ends_in_squeeze_gives_one_score_for_one_picture() -> None:
    class Binary(torch.nn.Module):
        def forward(self, x: object) -> object:
            return x.mean(dim=(1, 2, 3), keepdim=True).squeeze()

    f, value = torch_response(Binary(), score="logit", output_kind="logits").bind(X0)
    assert value == pytest.approx(X0.mean(), rel=1e-6)  # float32
    images = np.stack([X0, 1 - X0]).astype(np.float32)
    assert f(images[:1]).shape == (1,)
    assert f(images[:1])[0] == pytest.approx(f(images)[0], rel=1e-6)
    sample = ls.query(f, X0, ls.StructuredGaussian(grid=(4, 4), scale=0.1), n_queries=22, rng=0, progress=False)
    assert sample.ledger.perturbed == 20


def test_a_tensor_that_needs_grad_is_no_score() -> None:
    def f(images: np.ndarray) -> object:
        return torch.ones(len(images), requires_grad=True)

    with pytest.raises(ValueError, match=r"`scores` must be what numpy can read.*scores\.detach\(\)\.cpu"):
        ls.as_response(f).bind(X0)


def test_a_function_around_a_module_is_told_by_the_module(net: object) -> None:
    def around(module: object) -> object:
        return lambda images: module(torch.from_numpy(images).float())[:, 1].detach().numpy()

    net.eval()
    first = ls.as_response(around(net))
    assert first.describe()["fingerprint_complete"]
    assert first.fingerprint == ls.as_response(around(net)).fingerprint
    seen = {first.fingerprint}
    net.train()
    seen.add(ls.as_response(around(net)).fingerprint)
    net.eval()
    with torch.no_grad():
        net[0].weight[0, 0, 0, 0] += 1.0
    seen.add(ls.as_response(around(net)).fingerprint)
    seen.add(ls.as_response(around(torch.nn.Sequential(*reversed(net)))).fingerprint)
    assert len(seen) == 4


def test_it_is_pickled_and_opens_again_in_another_process(net: object, tmp_path: Path) -> None:
    images = np.stack([X0, 1 - X0]).astype(np.float32)
    for more in ({}, {"device": ["cpu", "cpu"]}, {"settings": ls.TorchSettings(channels_last=True)}):
        f, _ = torch_response(net, target=1, **more).bind(X0)
        f(images)
        here = pickle.loads(pickle.dumps(f))
        assert here.fingerprint == f.fingerprint
        assert np.array_equal(here(images), f(images))
    (tmp_path / "f.pickle").write_bytes(pickle.dumps(f))
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "scores.npy", f(images))
    script = (
        "import pickle, numpy as np, torch\n"
        f"torch.set_num_threads({torch.get_num_threads()})\n"
        "f = pickle.load(open('f.pickle', 'rb'))\n"
        "assert np.array_equal(f(np.load('images.npy')), np.load('scores.npy'))\n"
        "print(f.fingerprint)\n"
    )
    # the folder of the package is on the path of `python -c` only if it is the current one
    root = str(Path(ls.__file__).parents[1])
    code = f"import sys; sys.path.insert(0, {root!r})\n{script}"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == f.fingerprint, done.stderr
