"""Pictures that several tests share."""

import json
from pathlib import Path

import numpy as np
import pytest

import recomputed

GOLDEN = Path(__file__).parents[2] / "golden" / "data"


@pytest.fixture
def pairs():
    """Eleven predictions and truths of five classes, of several sizes, some pixels ignored."""
    rng = np.random.default_rng(7)
    drawn = []
    for index in range(11):
        height, width = 17 + 4 * index, 41 - 2 * index
        truth = recomputed.blobs(rng, height, width, [0, 1, 2, 3, 4, 5, 1000])
        drawn.append((recomputed.blobs(rng, height, width, range(6)), truth))
    return drawn


def read_mask(path):
    """An RGB mask, id = R + 256 G."""
    image = pytest.importorskip("PIL.Image")
    pixels = np.asarray(image.open(path)).astype(np.uint16)
    return pixels[..., 0] + 256 * pixels[..., 1]


class GoldenSet:
    """A label set of the crate `golden`, with the numbers of other programs."""

    def __init__(self, name):
        self.folder = GOLDEN / name
        self.images = json.loads((self.folder / "set.json").read_text())["images"]
        self.official = json.loads((self.folder / "official.json").read_text())
        self.independent = json.loads((self.folder / "independent.json").read_text())

    def masks(self, kind):
        return [read_mask(self.folder / kind / f"{image}.png") for image in self.images]


@pytest.fixture(params=["a_basic50", "e_curve50"])
def golden(request):
    return GoldenSet(request.param)
