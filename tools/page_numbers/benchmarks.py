"""benchmarks/README.md, and the GPU's figures of docs/black_box.md: times, ratios, memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from tools.page_numbers import results, row, short, states

PAGE = "benchmarks/README.md"


def digits(value: float, count: int) -> str:
    """So many significant digits, never with an exponent."""
    decimals = max(count - 1 - math.floor(math.log10(abs(value))), 0)
    return f"{float(f'{value:.{count}g}'):.{decimals}f}"


def _load(*files: str) -> str:
    loads = [round(results(file)["machine"]["load"]) for file in files]
    return f"{min(loads)}" if min(loads) == max(loads) else f"{min(loads)} to {max(loads)}"


@states(PAGE, "bench_sampler.py")
def sampler() -> Iterator[str]:
    """The table and the load."""
    yield f"load {results('sampler')['machine']['load']:.1f}"
    for one in results("sampler")["rows"]:
        micro, *ratios = list(one.values())[1:]
        yield row(
            one["grid"],
            digits(micro, 2 if micro < 10 else 3 if micro < 1000 else 4),
            *(f"{ratio:.2f}" for ratio in ratios),
        )


@states(PAGE, "bench_queries.py")
def queries() -> Iterator[str]:
    """The table."""
    for one in results("queries")["rows"]:
        model, operator, batch, bare, *ratios = one.values()
        yield row(model, operator, batch, f"{bare:.2f}", *(f"{ratio:.3f}" for ratio in ratios))


@states(PAGE, "bench_metrics.py")
def metrics() -> Iterator[str]:
    """The table; RISE; the comparison."""
    found = {one["what"]: one for one in results("metrics")["rows"]}
    over, beside = "over its forward passes, median", "beside them ms"
    for title, names in {
        "deletion; with I-GOS' blur": ("deletion", "deletion, I-GOS blur"),
        "insertion; with RISE's blur": ("insertion", "insertion, RISE blur"),
        "infidelity": ("infidelity",),
        "key size": ("key_size",),
        "patch deletions": ("patch_deletions",),
        "masking curve": ("masking_curve",),
        "ROAD": ("road",),
    }.items():
        ones = [found[name] for name in names]
        ratios = "; ".join(f"{one[over]:.3f}" if one[over] < 2.0 else f"{one[over]:.1f}" for one in ones)
        more = "; ".join(f"{one[beside]:.0f}" if one[beside] > 5.0 else f"{one[beside]:.1f}" for one in ones)
        yield row(title, ones[0]["evaluations"], ratios, more)
    rise = found["RISE, 300 evaluations"]
    yield f"RISE with 300 evaluations takes {rise['over a straight loop, median of neighbours']:.2f}"
    yield f"the maps agree to {rise['largest difference of the maps, over their range']:.0e} of their range".replace(
        "e-0", "e-"
    )
    (one,) = results("metrics_comparison")["rows"]
    yield f"of {one['counted evaluations']:,} counted evaluations {one['of them cached']:,} came from the cache"
    yield f"and {one['pictures that reached the network']:,} pictures reached the network"
    yield f"The same call again took {one['again: processor s']:.2f} s and asked for nothing."
    yield f"first took {one['processor s']:.0f} processor seconds, {one['over its forward passes']:.1f} times those of its forward passes"


@states(PAGE, "bench_memory.py")
def memory() -> Iterator[str]:
    """Peaks."""
    peaks = {one["queries"]: f"{one['peak resident MiB']:.1f}" for one in results("memory")["rows"]}
    first, *others = peaks.items()
    yield f"{first[1]} MiB at {first[0]:,} queries, " + ", ".join(f"{peak} at {n:,}" for n, peak in others)


@states(PAGE, "bench_lp.py")
def programs() -> Iterator[str]:
    """The two tables."""
    at = {0.3: {}, 0.1: {}}
    for one in results("lp")["against_dense"]:
        at[one["L/L_max"]][one["28 x 28"]] = one
    titles = {
        "dense, Clarabel (cvxpy's default)": ("dense, Clarabel (cvxpy's default)", 1),
        "dense, HiGHS": ("dense, HiGHS", 3),
        "dense, HiGHS, entries below 1e-12 set to 0": ("dense, HiGHS, entries of 4e-15 set to 0", 3),
        "cvxpy, vertex": ("`cvxpy`, vertex", 4),
        "highs, vertex": ("`highs`, vertex", 4),
        "highs, closest": ("`highs`, closest", 4),
        "network, vertex": ("`network`, vertex", 5),
        "network, closest": ("`network`, closest", 4),
    }
    for key, (title, decimals) in titles.items():
        two: list[Any] = [at[share][key] for share in (0.3, 0.1)]
        seconds = " / ".join(f"{one['cpu s']:.{decimals}f}" for one in two)
        if decimals == 1:
            yield row(title, seconds, 1, 1)
        else:
            ratios = (
                " / ".join(f"{float(f'{one[name]:.4g}'):.0f}" for one in two) for name in ("cpu", "Clarabel/this, wall")
            )
            yield row(title, seconds, *ratios)
    sizes = {(one["grid"], one["engine"], one["selection"], one["L/L_max"]): one for one in results("lp")["sizes"]}
    for grid in (56, 112, 224):
        cells = []
        for engine in ("network", "highs"):
            for selection in ("vertex", "closest"):
                two = [digits(sizes[grid, engine, selection, share]["cpu s"], 2) for share in (0.3, 0.1)]
                cells.append(" / ".join(text.removeprefix("0") for text in two))
        yield row(grid, *cells)
    growth = [one["time grows like p^"] for one in results("lp")["growth"]]
    yield f"Time grows like p^{min(growth):.1f} to p^{max(growth):.1f}"


@states(PAGE, "bench_path.py")
def paths() -> Iterator[str]:
    """The table and the line below it."""
    found = {one["28 x 28"]: one for one in results("path")["against_dense"]}
    clarabel, highs = "Clarabel/this, cpu", "dense HiGHS/this, cpu"

    def ratio(value: float) -> str:
        return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}"

    one, two = found["one dense solve, Clarabel"], found["one dense solve, HiGHS"]
    yield row(
        "one dense solve: Clarabel; HiGHS",
        f"{one['cpu s']:.1f}; {two['cpu s']:.2f}",
        f"1; {two[clarabel]:.0f}",
        f"{one[highs]:.2f}; 1",
    )
    for engine in ("network", "highs", "cvxpy"):
        pair = [found[f"50 L, {engine}, {selection}"] for selection in ("vertex", "closest")]
        seconds = "; ".join(digits(value["cpu s"], 2) for value in pair)
        ratios = ("; ".join(ratio(value[name]) for value in pair) for name in (clarabel, highs))
        yield row(f"50 L, {engine}, vertex; closest", seconds, *ratios)
    for share, note in {"0.1": "207 knots, 412 solves", "0.02": "455 knots"}.items():
        pair = [found[f"exact path to {share} L_max, {engine}"] for engine in ("network", "highs")]
        assert all(value["note"].startswith(note) for value in pair)
        seconds = "; ".join(f"{value['cpu s']:.2f}" for value in pair)
        ratios = ("; ".join(ratio(value[name]) for value in pair) for name in (clarabel, highs))
        yield row(f"exact path to {share} L_max ({note}), network; highs", seconds, *ratios)
    sizes = {(o["grid"], o["engine"], o["selection"]): f"{o['cpu s']:.1f}" for o in results("path")["sizes"]}
    vertex, closest, lifted = (
        sizes[224, *key] for key in (("network", "vertex"), ("network", "closest"), ("highs", "vertex"))
    )
    yield f"20 values of L at 224 x 224: network {vertex} (vertex), {closest} (closest), highs {lifted} (vertex) processor seconds"
    whole = next(one for one in results("path")["banded"] if one["grid"] == 224)
    yield f"with a certified error of 1e-3: {whole['solves']} solves, {whole['cpu s']:.1f} s"


@states(PAGE, "bench_lift.py")
def lifted_programs() -> Iterator[str]:
    """The table and its load."""
    found = {(one["grid"], one["what"]): one for one in results("lift")["rows"]}
    yield f"load {_load('lift')})"
    for what in ("20 L to 0.05 L_max", "20 L to 0.005 L_max"):
        small, large = (found[grid, f"lifted, {what}"] for grid in ("14 x 14", "28 x 28"))
        worst = f"{max(small['worst gap'], large['worst gap']):.0e}"
        yield row(what, f"{small['cpu s']:.2f}", f"{large['cpu s']:.1f}", worst)
    ones = [
        [found[grid, f"lifted, one L at {share} L_max"] for share in ("0.3", "0.05")] for grid in ("14 x 14", "28 x 28")
    ]
    small, large = ("; ".join(f"{one['cpu s']:.{d}f}" for one in two) for two, d in zip(ones, (2, 1), strict=True))
    yield row("one L at 0.3; 0.05 L_max", small, large, f"{max(one['worst gap'] for two in ones for one in two):.0e}")
    dense = found["14 x 14", "dense, one L at 0.3 L_max"]
    yield row("dense, one L at 0.3 L_max", f"{dense['cpu s']:.2f}", "not in this run", f"{dense['worst gap']:.0e}")


@states(PAGE, "bench_estimation.py")
def estimation() -> Iterator[str]:
    """The table, its load, and how far the two ways differ."""
    rows = results("estimation")["rows"]
    loads = [one["load"] for one in rows]
    yield f"load {min(loads):.0f} to {max(loads):.0f}, one repeat"
    for law in ("structured", "blocks"):
        for n in (500, 2000):
            before, now = (one for one in rows if (one["law"], one["evaluations"]) == (law, n))
            parts = [now[f"{part}, cpu s"] for part in ("leg", "moments of leg-tv", "path", "choice of L", "all")]
            path = f"{parts[2]:.2f}" if parts[2] < 1.0 else f"{parts[2]:.1f}"
            choice = f"{parts[3]:.2f}" if parts[3] < 10.0 else f"{parts[3]:.1f}"
            cells = f"{parts[0]:.2f}", f"{parts[1]:.2f}", path, choice, f"{parts[4]:.1f}", f"{before['all, cpu s']:.1f}"
            yield row(f"{law}, {n:,}", *cells)
    tv, leg = (max(one[f"{name}: difference"] or 0.0 for one in rows) for name in ("LEG-TV", "LEG"))
    yield f"between the two ways is {tv:.0e} of LEG-TV's largest entry, {leg:.0e} of LEG's"


@states(PAGE, "bench_selection.py")
def selection() -> Iterator[str]:
    """The table at 0.2 L_max."""
    at = {(one["grid"], one["selection"]): one for one in results("selection")["rows"] if one["L/L_max"] == 0.2}
    for grid in ("8 x 8", "28 x 28", "56 x 56"):
        closest, interior = at[grid, "closest"], at[grid, "interior"]
        seconds = [
            digits(one[f"{who}, cpu s"], 2).removeprefix("0")
            for one in (closest, interior)
            for who in ("in use", "rival")
        ]
        proved = ", ".join(f"{closest[who]:.0e}".replace("e-0", "e-") for who in ("error", "rival's error"))
        yield row(grid, seconds[0], seconds[1], proved, seconds[2], seconds[3])


@states(PAGE, "study_deletion_insertion.py")
def deletion_insertion() -> Iterator[str]:
    """The table."""
    for one in results("deletion_insertion")["rows"]:
        network, name, deletion, insertion, key_size, errors = one.values()
        yield row(network, name, f"{deletion:.3f}", f"{insertion:.3f}", f"{key_size:.3f}", errors)


@states(PAGE, "study_query_efficiency.py")
def efficiency() -> Iterator[str]:
    """The medians of the share of the attainable R^2."""
    rows = [one for one in results("query_efficiency")["rows"]
            if (one["estimator"], one["moments"], one["n"]) == ("LEG-TV", "adaptive", 6000)]  # fmt: skip
    shares = {
        kind: sorted(one["r2"] / one["attainable"] for one in rows if one["perturbation"] == kind)
        for kind in ("additive", "blend")
    }
    additive, blend = (short((s[len(s) // 2 - 1] + s[len(s) // 2]) / 2.0, 2) for s in shares.values())
    yield f"at 6,000 it has {additive} (additive) and {blend} (blend) of the attainable R^2 in the median"


@states("docs/black_box.md", "benchmarks/gpu/")
def on_a_gpu() -> Iterator[str]:
    """Correctness and throughput on an H100."""
    torch = {one["run"]: one["rms error / spread"] for one in results("gpu_torch_correctness")["rows"]}
    yield row("float32 on the CPU", f"{torch['cpu, float32']:.6f}")
    yield row("float32; composed on the host, the same bits", f"{torch['float32']:.6f}")
    four = [torch[f"float32, {how}"] for how in ("batches of 7", "channels_last", "compiled", "CUDA graphs")]
    yield row("float32, batches of 7; channels_last; compiled; CUDA graphs", "; ".join(f"{one:.6f}" for one in four))
    yield row("TF32", f"{torch['TF32']:.3f}")
    half = (torch[name] for name in ("float16", "float16, channels_last, compiled"))
    yield row("float16; with channels_last, compiled", "; ".join(f"{one:.3f}" for one in half))
    yield row("bfloat16", f"{torch['bfloat16']:.2f}")
    onnx = {one["run"]: one for one in results("gpu_onnx_correctness")["rows"]}
    scores = [onnx[name]["scores: difference / their standard deviation"] for name in ("plain runs", "TF32")]
    yield f"(scores: {scores[0]:.4f} and {scores[1]:.2f} of their spread)"
    large, small = results("gpu_torch_throughput")["rows"]
    bare, best = "bare pictures a second", "query / bare, throughput"
    yield f"`query` over the bare forward pass {large[best]:.2f} at batches of 256 ({large[bare]:,.0f} pictures a second bare)"
    yield f"and {small[best]:.2f} at 64 ({small[bare]:,.0f})"
    one, host = "inside, one at a time / bare, throughput", "outside, one at a time / bare, throughput"
    yield f"it is {large[one]:.2f} and {small[one]:.2f}; with pictures made on the host {large[host]:.2f} and {small[host]:.2f}"
    for found in results("gpu_onnx_throughput")["rows"]:
        title = f"{'TF32' if found['tf32'] else 'float32'}, {found['batch']}"
        ways = (
            f"{found[f'bound / query {way}']:.2f}"
            for way in ("inside, plain", "inside, bound", "outside, plain", "outside, bound")
        )
        yield row(title, f"{found['bound: pictures a second']:,.0f}", *ways)


@states("docs/black_box.md", "benchmarks/bench_fused.py")
def inside_the_graph() -> Iterator[str]:
    """Ratios of both ways on a CPU."""
    rows = results("fused")["rows"]
    plain, bound = ([one[name] for one in rows] for name in ("inside / outside", "inside, bound / outside"))
    yield f"on two idle cores had {min(plain):.2f} to {max(plain):.2f} times the outside way's"
    yield f"{min(bound):.2f} to {max(bound):.2f} with bound buffers"
