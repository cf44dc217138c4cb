"""docs/studies/query_efficiency.md and sample_size.md: accuracy against the number of evaluations."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from legstat.studies import StudyResults
from tools.page_numbers import ROOT, results, row, short, states, table_of

PICTURE = ["network", "picture", "perturbation"]


def _efficiency() -> pd.DataFrame:
    frame = pd.DataFrame(results("query_efficiency")["rows"])
    frame["share"] = frame["r2"] / frame["attainable"]
    return frame


@states("docs/studies/query_efficiency.md", "benchmarks/study_query_efficiency.py")
def query_efficiency() -> Iterator[str]:
    """The table, and what is said of it."""
    frame = _efficiency()
    tv = frame[frame["estimator"] == "LEG-TV"]
    for operator in ("additive", "blend"):
        for n, kind in (
            (6000, "printed"),
            *((n, kind) for n in (2000, 6000) for kind in ("regression", "crossfit", "adaptive")),
        ):
            mine = tv[(tv["perturbation"] == operator) & (tv["n"] == n) & (tv["moments"] == kind)]
            shares = [f"{mine['share'].median():.2f}", f"{mine['share'].min():.2f}"]
            if (n, kind) == (6000, "adaptive"):
                shares[0] = f"**{shares[0]}**"
            name = {"printed": "printed, best L", "adaptive": "**adaptive**"}.get(kind, kind)
            yield row(operator, f"{n:,}", name, f"{mine['r2'].median():.3f}", f"{mine['r2'].min():.3f}", *shares)
    printed = tv[tv["moments"] == "printed"].set_index(PICTURE)["r2"]
    ahead = {}
    for kind in ("adaptive", "regression", "crossfit"):
        ours = tv[(tv["moments"] == kind) & (tv["n"] == 2000)].set_index(PICTURE)["r2"] - printed
        for operator in ("additive", "blend"):
            ahead[kind, operator] = ours.xs(operator, level="perturbation")
    wins = {key: int((margin >= 0.0).sum()) for key, margin in ahead.items()}
    assert wins["adaptive", "additive"] == wins["adaptive", "blend"]
    yield f"ahead on {wins['adaptive', 'additive']} of 40 in either coordinates"
    least, most = (
        getattr(pd.concat([ahead["adaptive", one] for one in ("additive", "blend")]), f)() for f in ("min", "max")
    )
    yield f"The margin is {least:.3f} (Rottweiler, MobileNetV2, additive) to {most:.2f}"
    medians = [ahead["adaptive", one].median() for one in ("additive", "blend")]
    yield f"its median is {medians[0]:.2f} and {medians[1]:.2f}"
    yield f'"regression", the default before, was ahead on {wins["regression", "additive"]} of 40'
    yield f'(additive) and {wins["regression", "blend"]} of 40, "crossfit" on {wins["crossfit", "additive"]} and {wins["crossfit", "blend"]}'
    final = tv[(tv["moments"] == "adaptive") & (tv["n"] == 6000)].set_index("perturbation")
    reached = {one: int((final.loc[one]["share"] >= 0.75).sum()) for one in ("additive", "blend")}
    yield f"{reached['additive']} of 40 additive maps and {reached['blend']} of 40 blends reach three quarters"
    short_of = final[final["share"] < 0.75]["attainable"]
    yield f"(attainable R² {short(short_of.min(), 2)} to {short(short_of.max(), 2)})"
    one = frame[
        (frame["network"] == "mobilenet_v2_1.0_224")
        & (frame["perturbation"] == "additive")
        & (frame["moments"] == "adaptive")
    ]
    two = [
        [short(one[(one["estimator"] == e) & (one["n"] == n)]["r2"].median(), 3) for n in (2000, 6000)]
        for e in ("LEG", "LEG-TV")
    ]
    yield f"has medians {two[0][0]} and {two[0][1]} (additive, MobileNetV2, 2,000 and 6,000) where LEG-TV has {two[1][0]} and {two[1][1]}"


@states("docs/studies/query_efficiency.md", "benchmarks/study_draws.py")
def draws() -> Iterator[str]:
    """Orthogonal and Sobol draws, scales."""
    frame = pd.DataFrame(results("draws")["rows"])
    means = (
        frame[frame["moments"] == "adaptive"].groupby(["draws", "n"])["r2"].mean().map(lambda value: short(value, 3))
    )
    plain, right, sobol = (means[name] for name in ("StructuredGaussian", "Orthogonal", "Sobol"))
    yield f"R² of adaptive maps {plain[2000]} → {right[2000]} at 2,000, {plain[6000]} → {right[6000]} at 6,000"
    yield f"no gain at 2,000 ({plain[2000]} → {sobol[2000]}), {plain[6000]} → {sobol[6000]} at 6,000"
    crossed = frame[(frame["moments"] == "crossfit") & (frame["n"] == 2000)].groupby("draws")["r2"].mean()
    yield f"pilot (R² {short(crossed['StructuredGaussian'], 2)} → {short(crossed['Orthogonal'], 2)})"
    scales = pd.DataFrame(results("scales")["rows"])
    titles = {
        ("n02099601_golden_retriever", "squeezenet1.1"): "golden retriever, SqueezeNet",
        ("n01580077_jay", "mobilenet_v2_1.0_224"): "jay, MobileNetV2",
        ("n01484850_great_white_shark", "squeezenet1.1"): "great white shark, SqueezeNet",
    }
    for (picture, network), title in titles.items():
        mine = scales[(scales["picture"] == picture) & (scales["network"] == network)].sort_values(
            ["perturbation", "scale"]
        )
        yield row(title, *(short(value, 2) for value in mine["own r2"]))


@states("docs/studies/sample_size.md", "paper_figures/stored.py")
def sample_size() -> Iterator[str]:
    """The tables of exponents, and the errors that are named."""
    stored = importlib.import_module("stored")
    for name in ("fig05", "fig06_p", "fig06_s"):
        yield from table_of(stored.table(name).splitlines()[2:])
    frame = StudyResults.load(ROOT / "paper_figures" / "results" / "fig05.csv").frame
    last = frame[frame["n"] == frame["n"].max()]

    def relative(design: str, estimator: str, digits: int = 3) -> str:
        mine = last[(last["design"] == design) & (last["estimator"] == estimator)]
        error = math.sqrt((mine["error_up_to_mean"] ** 2).mean() / (mine["truth_norm_up_to_mean"] ** 2).mean())
        return f"{error:.{digits}f}"

    def both(estimator: str, digits: int = 3) -> str:
        return f"{relative('structured', estimator, digits)} and {relative('isotropic', estimator, digits)}"

    yield f"LEG as printed {both('leg/printed')}, cross-fitted {both('leg/crossfit')};"
    yield f"LEG-TV {both('legtv/crossfit/bootstrap')} with a bootstrap L, {both('legtv/regression/heldout=0.005')} with held-out R²"
    yield f"{both('legtv/printed/L_ratio', 2)} with L = 0.1 L_max, {both('legtv/printed/theory', 2)} with the theorem's L"
    held = frame[frame["estimator"] == "legtv/crossfit/bootstrap"]["feasible"].astype(float)
    yield f"held γ in {held.sum():.0f} of {len(held)} samples ({100 * held.mean():.1f} %)"


@states("docs/studies/sample_size.md", "benchmarks/study_sample_size.py")
def sample_size_of_a_photograph() -> Iterator[str]:
    """The table of the network's errors."""
    found = results("sample_size_network")
    cells = pd.DataFrame(found["rows"])
    for one in found["slopes"]:
        mine: Any = cells[cells["estimator"] == one["estimator"]].sort_values("n")
        exponent = f"{one['exponent']:.2f} ({one['low']:.2f} to {one['high']:.2f})"
        yield row(f"`{one['estimator']}`", *(f"{value:.2f}" for value in mine["rmse"]), exponent)
    yield f"The reference's own error is {math.sqrt(cells['reference_mse'].iloc[0]):.2f}. Here"
    held = cells[cells["estimator"] == "legtv/crossfit/bootstrap"]
    replicates = held["replicates"].iloc[0]
    yield f"(in {(held['feasible'] * replicates).sum():.0f} of {replicates * len(held)} samples at 95 %"
