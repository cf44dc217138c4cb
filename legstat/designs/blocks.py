"""Draws come in numbered blocks from a counter-based generator.

Block j of a stream depends on the key, the stream and j alone, so a draw is the same whatever the batch size, the order
of evaluation or the process that makes it.
"""

from __future__ import annotations

import numpy as np

BLOCK = 32
"""Observations in one block of draws. Part of the sample format: changing it changes every draw."""

Key = tuple[int, int]
"""The two 64-bit words that key the generator."""


def block_generator(key: Key, stream: int, block: int) -> np.random.Generator:
    """The generator (Philox 4x64) at the start of one block of one stream.

    Examples
    --------
    >>> one, again = block_generator((1, 2), 0, 7), block_generator((1, 2), 0, 7)
    >>> one.standard_normal() == again.standard_normal()
    True
    """
    bits = np.random.Philox(
        key=np.array(key, dtype=np.uint64), counter=np.array([0, 0, stream, block], dtype=np.uint64)
    )
    return np.random.Generator(bits)
