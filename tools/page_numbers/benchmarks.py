"""What docs/black_box.md says of benchmarks; their own page is drawn from the results."""

from __future__ import annotations

from collections.abc import Iterator

from tools.page_numbers import results, row, states


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
