"""Pages that state a few numbers of a small study or benchmark each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from tools.page_numbers import results, row, short, states


@states("docs/how_many_queries.md", "benchmarks/study_theorem.py")
def theorem() -> Iterator[str]:
    """Errors of 3,086 queries beside Theorem 1's bound."""
    found = results("theorem")
    norms = {one["what"]: one["norm"] for one in found["rows"]}
    limit = 0.001 * -(-found["largest_std_error"] // 0.001)
    yield f"queries with standard errors below {limit:.3f}, norms without the mean"
    yield row("gamma itself", f"{norms['gamma']:.3f}")
    for rule in ("bootstrap", "heldout"):
        yield row(f'LEG-TV, L by `"{rule}"`', f"{norms[f'LEG-TV, {rule}']:.3f}")
    yield row("LEG", f"{norms['LEG']:.3f}")
    yield row('the theorem\'s bound, with `L="structured"`', f"{norms['bound, structured L']:.0f}")
    yield row("the theorem's bound", f"{norms['bound']:.0f}")


@states("docs/black_box.md", "benchmarks/bench_cache.py")
def cache() -> Iterator[str]:
    """What keeping and serving answers costs."""
    (one,) = results("cache")["rows"]
    (pass_,) = (
        each["bare ms a query"]
        for each in results("queries")["rows"]
        if (each["model"], each["perturbation"], each["batch"]) == ("mobilenet_v2_1.0_224", "additive", 4)
    )
    keeping = one["keeping, ms a batch"]
    yield f"one transaction for each batch, {keeping:.2f} ms on a busy machine of two cores, which is"
    yield f"which is {100 * keeping / (4 * pass_):.0f} % of a batch of four for MobileNetV2"
    yield f"{one['queries']:,} answers take {one['file, kB']:.0f} kB and are served in {one['serving, ms']:.0f} ms"


@states("docs/theory.md", "benchmarks/study_constraints.py")
def constraints() -> Iterator[str]:
    """Eq. 5 and its edge form under blocks: noise, what each sees, maps."""
    found = results("constraints")
    ours, other = (found["noise"][name] for name in ("eq. 5", "edge form"))
    yield f"(largest eigenvalue over the median: {ours['largest over median']:,.0f}); the second is nearly white ({other['largest over median']:.1f})"
    seen = [
        row("eq. 5" if one is ours else "edge form", *(_two(one["seen"][side]) for side in ("1", "2", "4", "7", "14")))
        for one in (ours, other)
    ]
    yield from seen
    yield f"a 7 x 7 square at a {other['seen']['7'] / ours['seen']['7']:.0f}th of it by eq. 5"
    told = [f"from {one['quantile over median sd']:.2f} to {one['weighted']:.2f}" for one in (ours, other)]
    yield f"{told[0]} (eq. 5) and {told[1]} (edge form)"
    (a, b, c), (d, _, e) = (one["least, median, largest sd"] for one in (ours, other))
    yield f"({a:.2f} to {c:.2f} around {b:.2f}, and {d:.2f} to {e:.2f})"
    frame = pd.DataFrame(found["rows"])
    for (name, share), part in frame.groupby(["map", "L / L_max"], sort=False):
        title = "LEG, same moments" if name == "LEG" else name
        areas, r2 = short(part["areas"].mean(), 2), short(part["r2"].mean(), 2)
        yield row(title, f"{share:g}", f"{part['regions'].median():.0f}", areas, r2)
    of = frame.set_index(["map", "L / L_max", "network", "picture"])["areas"].sort_index()
    gap = of["eq. 5", 0.05] - of["edge form", 0.3]
    yield f"({short(gap.mean(), 2)}, standard error {short(gap.std(ddof=1) / np.sqrt(len(gap)), 2)}, at 47 and 44)"


@states("docs/theory.md", "benchmarks/study_deletion_insertion.py")
def deletion_coordinates() -> Iterator[str]:
    """Areas of LEG in deletion coordinates beside a random map's."""
    rows = {(one["network"], one["map"]): one for one in results("deletion_insertion")["rows"]}

    def areas(network: str, name: str) -> str:
        one = rows[network, name]
        return f"{one['deletion (low)']:.2f} and {one['insertion (high)']:.2f}"

    for network, title in (("mobilenet_v2_1.0_224", "MobileNetV2"), ("squeezenet1.1", "SqueezeNet 1.1")):
        leg, chance = areas(network, "LEG (crossfit)"), areas(network, "random")
        yield f"of {leg} for {title}, where a random map has {chance}"


@states("docs/black_box.md", "benchmarks/gpu/onnx_throughput.py")
def inside_on_a_device() -> Iterator[str]:
    """Pictures a second with the perturbation inside the graph, over outside."""
    rows = results("gpu_onnx_throughput")["rows"]
    plain, bound = (
        [one[f"bound / query inside, {way}"] / one[f"bound / query outside, {way}"] for one in rows]
        for way in ("plain", "bound")
    )
    yield f"it made {min(plain):.1f} to {max(plain):.1f} times as many a second by plain runs, {min(bound):.1f} to {max(bound):.1f}"


def _two(value: float) -> str:
    """Two digits; three between 10 and 12."""
    return f"{value:.0f}" if value > 12 else f"{value:.1f}"
