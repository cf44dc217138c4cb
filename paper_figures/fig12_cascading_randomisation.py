"""Maps while a network's weights are replaced layer by layer from the output (LEG paper, section 6.3 and Fig. 7).

The paper shows VGG19 and four pictures; here are MobileNetV2 and SqueezeNet 1.1 on one, which is not shown, with the
block law in deletion coordinates. The maps are read from ``results/fig12.npz`` and what the check says of them from
``results/fig12.json``, which

    LEGSTAT_DATA=... python paper_figures/fig12_cascading_randomisation.py

makes. "uniform" is the authors' law, U(-0.05, 0.05) for weights and biases; "normal" keeps the size of each tensor. All
networks are asked for the class of the network as it is; in the authors' code each is asked for its own.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from paper_style import bare, figure, save, show_map

CLAIM = (
    "The map of LEG-TV, repeated with other draws, is recognised; it is lost within the cascade, and with all weights "
    "random nothing of it is left that random maps of the same smoothness would not have."
)
STORED = Path(__file__).resolve().parent / "results" / "fig12.npz"
NETWORKS = {"SqueezeNet 1.1": ("squeezenet1.1.onnx", "caffe"), "MobileNetV2": ("mobilenet_v2_1.0_224.onnx", "tf")}
LAWS = ("uniform", "normal")
N_QUERIES, L_RATIO, PLACE = 1000, 0.3, 1
ALPHA = 0.01


def run(data: Path, seed: int = 0) -> None:
    """Cascade after cascade; what is stored already is not computed again."""
    import legstat as ls
    from legstat.checks.cascades import judged

    picture = sorted((data / "images" / "samples").iterdir())[PLACE]
    kept: dict[str, Any] = {}
    said: dict[str, Any] = {}
    if STORED.is_file():
        with np.load(STORED) as file:
            kept = dict(file)
        said = json.loads(STORED.with_suffix(".json").read_text(encoding="utf-8"))
    for law in LAWS:
        for name, (file_name, rule) in NETWORKS.items():
            if f"{name}, {law}" in said:
                continue
            f = ls.onnx_response(data / "models" / file_name, preprocessing=rule)
            image = f.load_image(picture)
            design = ls.MultiscaleBlocks(grid=(28, 28))
            # the design and the operator alone are taken from it
            asked = ls.query(f, image, design, perturbation=ls.Blend("blur", at=0.5), n_queries=4, rng=seed)
            found = ls.checks.cascade(f, asked, law=law, n_queries=N_QUERIES, L_ratio=L_RATIO, rng=seed)
            result = judged(found, alpha=ALPHA, rng=seed)
            kept[f"{name}, {law}: leg"] = found.leg.astype(np.float32)
            kept[f"{name}, {law}: legtv"] = found.legtv.astype(np.float32)
            said[f"{name}, {law}"] = {"layers": found.layers, "shares": found.shares, **result.to_dict()}
            np.savez_compressed(STORED, **kept)
            STORED.with_suffix(".json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
            print(f"{name}, {law}: {result}", flush=True)


def compute(path: Path = STORED, seed: int = 0) -> dict[str, Any]:
    """The stored maps, their rank correlations with the network's own, and the p-values."""
    del seed  # read, not drawn
    with np.load(path) as file:
        maps = dict(file)
    said = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    numbers = {}
    for name, told in said.items():
        for row in (told["details"]["repeated"], *told["details"]["cascade"]):
            for kind in ("leg", "legtv"):
                if kind in row:
                    key = f"{name}, {row['layers']} layers, {kind}"
                    numbers[f"{key}: spearman"] = row[kind]["spearman"] or 0.0
                    numbers[f"{key}: p"] = row[f"{kind}_pvalues"]["spearman"]
    return {"maps": maps, "said": said, "numbers": numbers}


def check(data: dict[str, Any]) -> None:
    """Raise AssertionError unless the claim holds."""
    for name, told in data["said"].items():
        numbers, layers = data["numbers"], told["layers"]
        repeated, last = (f"{name}, {k} layers, legtv" for k in (layers[1], layers[-1]))
        if numbers[f"{repeated}: p"] > ALPHA:
            raise AssertionError(f"fig12: {name}: the map is not recognised when it is repeated")
        if f"{last}: p" in numbers and numbers[f"{last}: p"] <= ALPHA:
            raise AssertionError(f"fig12: {name}: the map is still recognised with all weights random")


def plot(data: dict[str, Any], path: Path) -> None:
    """LEG and LEG-TV for each network and law; a column for each number of layers, all on the scale of the first."""
    said = data["said"]
    columns = max(len(told["layers"]) for told in said.values())
    drawn = figure(1.35 * columns, 2.9 * len(said))
    axes = drawn.subplots(2 * len(said), columns, squeeze=False)
    for pair, (name, told) in zip(axes.reshape(len(said), 2, columns), said.items(), strict=True):
        for row, (kind, called) in zip(pair, (("leg", "LEG"), ("legtv", "LEG-TV")), strict=True):
            maps = data["maps"][f"{name}: {kind}"]
            largest = float(np.abs(maps[0]).max())
            for i, (ax, k) in enumerate(zip(row, told["layers"], strict=True)):
                title = ("as it is", "repeated")[i] if i < 2 else f"{k} layer" + "s" * (k > 1)
                rho = data["numbers"].get(f"{name}, {k} layers, {kind}: spearman")
                if i and rho is not None:
                    title += f"\n{rho:.2f} (p = {data['numbers'][f'{name}, {k} layers, {kind}: p']:.2g})"
                if np.isfinite(maps[i]).all():
                    # on the scale of the network as it is: what is lost is seen to be
                    show_map(ax, maps[i].astype(np.float64), title).set_clim(-largest, largest)
                else:
                    bare(ax, f"{title}\nnot finite")
            row[0].set_ylabel(f"{name}\n{called}", fontsize=7)
    save(drawn, path)


if __name__ == "__main__":
    run(Path(os.environ["LEGSTAT_DATA"]))
