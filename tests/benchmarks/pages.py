"""What a figure on a page of the benchmarks must be."""

import numpy as np
from PIL import Image

LARGEST = 100_000
"""Bytes of an image that is committed."""


def assert_drawn_and_small(path):
    assert path.stat().st_size < LARGEST
    assert np.asarray(Image.open(path).convert("L")).std() > 5
