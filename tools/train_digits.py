"""Trains the digit classifier that the package ships and writes it with its held-out pictures.

One command, from the project's root, in an environment that has the extras ``torch``, ``onnx`` and ``test``::

    python tools/train_digits.py

The data are the 1,797 digits of 8 x 8 pixels that scikit-learn bundles (`sklearn.datasets.load_digits`), grey values
0..16 divided by 16. A fixed draw of 397 of them is held out: the network never sees them, and nothing (epochs, step
size, shape of the network) was chosen by them. The network is written layer by layer with `onnx.helper` rather than
by a tracing exporter: the file then holds these nodes and nothing else, and does not depend on the exporter's version.

Three files are written to ``legstat/data``:

- ``digits_cnn.onnx``: input ``input`` float32 (N, 1, 8, 8) in [0, 1], output ``logits`` (N, 10), N free;
- ``digits_heldout.npz``: ``images`` uint8 (397, 8, 8) in 0..16, ``labels`` int64 (397,), and ``indices`` into
  scikit-learn's order, without pickle;
- ``digits.json``: what was trained on what, with which versions, and the accuracy measured by ONNX Runtime.

A second run on the same machine with the same versions writes the same bytes; other machines round differently in
the last digits, which is why the files are kept under version control.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import sklearn
import torch
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from torch import nn

SEED = 20240607
HELD_OUT = 397
EPOCHS = 60
BATCH = 50
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 1e-3
OUT = Path(__file__).resolve().parents[1] / "legstat" / "data"


def split(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers of the training part and of the held-out part, both ascending."""
    order = np.random.default_rng(SEED).permutation(n)
    return np.sort(order[HELD_OUT:]), np.sort(order[:HELD_OUT])


def network() -> nn.Sequential:
    """Two 3 x 3 convolutions, one pooling, one linear layer: 9,930 weights."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(512, 10),
    )


def shifted(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Each picture moved by -1, 0 or 1 pixels along both axes, zeros moving in."""
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    rows, columns = torch.randint(0, 3, (2, len(images)), generator=generator)
    return torch.stack([p[:, r : r + 8, c : c + 8] for p, r, c in zip(padded, rows, columns, strict=True)])


def train(images: torch.Tensor, labels: torch.Tensor) -> nn.Sequential:
    """The network after `EPOCHS` passes of Adam with a cosine step size over shifted pictures."""
    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)  # sums of several threads would round differently from run to run
    generator = torch.Generator().manual_seed(SEED)
    model = network()
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, EPOCHS)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images), generator=generator).split(BATCH):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(model(shifted(images[batch], generator)), labels[batch])
            loss.backward()
            optimiser.step()
        schedule.step()
    return model.eval()


def to_onnx(model: nn.Sequential) -> onnx.ModelProto:
    """The network as an ONNX graph of operator set 17 with a free batch."""
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    names = {
        "0.weight": "conv1.weight",
        "0.bias": "conv1.bias",
        "2.weight": "conv2.weight",
        "2.bias": "conv2.bias",
        "6.weight": "linear.weight",
        "6.bias": "linear.bias",
    }
    pads = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["input", "conv1.weight", "conv1.bias"], ["c1"], name="conv1", **pads),
        helper.make_node("Relu", ["c1"], ["r1"], name="relu1"),
        helper.make_node("Conv", ["r1", "conv2.weight", "conv2.bias"], ["c2"], name="conv2", **pads),
        helper.make_node("Relu", ["c2"], ["r2"], name="relu2"),
        helper.make_node("MaxPool", ["r2"], ["p2"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p2"], ["flat"], name="flatten"),
        helper.make_node("Gemm", ["flat", "linear.weight", "linear.bias"], ["logits"], name="linear", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "digits_cnn",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(weights[key], name) for key, name in names.items()],
    )
    # operator set 17 and IR 8 are read by every ONNX Runtime since 1.12
    proto = helper.make_model(graph, producer_name="legstat", opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def accuracy(model: bytes, images: np.ndarray, labels: np.ndarray) -> float:
    """Share of pictures whose largest logit is the label's, by ONNX Runtime."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"input": (images[:, None] / 16).astype(np.float32)})
    return float((np.asarray(logits).argmax(1) == labels).mean())


def main(out: Path) -> dict[str, Any]:
    """Trains, writes the three files to `out`, and returns what it wrote into the JSON file."""
    pictures, labels = load_digits(return_X_y=True)
    images = pictures.reshape(-1, 8, 8).astype(np.uint8)
    labels = labels.astype(np.int64)
    fit, held = split(len(images))
    model = train(torch.from_numpy(images[fit, None] / 16).float(), torch.from_numpy(labels[fit]))

    proto = to_onnx(model).SerializeToString()
    (out / "digits_cnn.onnx").write_bytes(proto)
    np.savez_compressed(out / "digits_heldout.npz", images=images[held], labels=labels[held], indices=held)
    info: dict[str, Any] = {
        "data": "sklearn.datasets.load_digits: test part of Optical Recognition of Handwritten Digits"
        " (E. Alpaydin, C. Kaynak, 1998; UCI Machine Learning Repository, CC BY 4.0)",
        "input": {"name": "input", "shape": ["N", 1, 8, 8], "dtype": "float32", "range": [0.0, 1.0]},
        "output": {"name": "logits", "shape": ["N", 10], "kind": "logits", "labels": [str(k) for k in range(10)]},
        "n_train": len(fit),
        "n_heldout": len(held),
        "accuracy_train": accuracy(proto, images[fit], labels[fit]),
        "accuracy_heldout": accuracy(proto, images[held], labels[held]),
        "seed": SEED,
        "epochs": EPOCHS,
        "sha256": {
            name: hashlib.sha256((out / name).read_bytes()).hexdigest()
            for name in ("digits_cnn.onnx", "digits_heldout.npz")
        },
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scikit-learn": sklearn.__version__,
            "torch": torch.__version__,
            "onnx": onnx.__version__,
            "onnxruntime": onnxruntime.__version__,
        },
    }
    (out / "digits.json").write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")
    return info


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train the digit classifier that legstat ships.")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the three files (default: legstat/data)")
    print(json.dumps(main(parser.parse_args().out), indent=2))
