"""Cost of the structured sampler over drawing its m + 1 standard normals: the target is at most 1.5.

Processor seconds of one thread, the best of the repeats.

Run: OMP_NUM_THREADS=1 python benchmarks/bench_sampler.py
"""

from __future__ import annotations

import time

import numpy as np
from timing import best_times, save

import legstat as ls
from legstat.designs.blocks import BLOCK


def main() -> None:
    """Time everything and save the table."""
    rows = []
    for side, blocks in ((8, 200), (28, 60), (56, 16), (112, 4), (224, 1)):
        design = ls.StructuredGaussian(grid=(side, side), scale=0.02)
        shape = (BLOCK, design.n_normals)

        def ours(design: ls.StructuredGaussian = design, blocks: int = blocks) -> None:
            for block in range(blocks):
                design.draw((1, 2), 0, block)

        def normals(kind: type[np.random.BitGenerator], shape: tuple[int, int] = shape, blocks: int = blocks) -> None:
            generator = np.random.Generator(kind(1))
            for _ in range(blocks):
                generator.standard_normal(shape)

        times = best_times(
            {"ours": ours, "philox": lambda: normals(np.random.Philox), "pcg64": lambda: normals(np.random.PCG64)},
            clock=time.process_time,
        )
        rows.append(
            {
                "grid": f"{side}x{side}",
                "microseconds a draw": times["ours"] / (blocks * BLOCK) * 1e6,
                "over the same generator's normals (Philox)": times["ours"] / times["philox"],
                "over numpy's default generator (PCG64)": times["ours"] / times["pcg64"],
            }
        )
    save("sampler", rows)


if __name__ == "__main__":
    main()
