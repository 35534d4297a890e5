"""Writes a validation set of the size of ImageNet-S50: masks of realistic blobs and predictions.

    python generate_masks.py OUT [--images 752] [--classes 50] [--seed 1] [--names LIST]

OUT/truth and OUT/pred hold RGB PNGs (id = R + 256 G) of about 500 x 375 pixels, in class folders,
written with OpenCV as the toolbox's users do; OUT/scores holds float16 attention maps (.npy).
LIST is a name list of the official toolbox (`CLASS/NAME.JPEG CLASS/NAME.png`); without it, names
are made up. Needs NumPy and OpenCV.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

SIZES = [(500, 375)] * 11 + [(375, 500)] * 3 + [(500, 333)] * 4 + [(500, 400), (500, 500)]
IGNORE = 1000


def wobbly_ellipse(rng, width, height):
    """A closed contour around a random centre, with waves."""
    angle = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    waves = sum(
        rng.normal(0, 0.25 / k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi)) for k in range(2, 12)
    )
    scale = np.exp(rng.normal(-0.1, 0.5))
    radius = 0.25 * scale * np.clip(1 + waves, 0.2, 2)
    x = width * (rng.uniform(0.3, 0.7) + radius * np.cos(angle))
    y = height * (rng.uniform(0.3, 0.7) + radius * np.sin(angle))
    return np.stack([x, y], axis=-1).round().astype(np.int32)


def truth_of(rng, width, height, classes, label):
    """One to three objects, some with an ignored rim."""
    mask = np.zeros((height, width), np.uint16)
    count = rng.choice([1, 2, 3], p=[0.75, 0.2, 0.05])
    for index in range(count):
        contour = wobbly_ellipse(rng, width, height)
        if rng.random() < 0.25:
            cv2.polylines(mask, [contour], True, IGNORE, int(rng.integers(3, 9)))
        fill = label if index == 0 or rng.random() < 0.7 else int(rng.integers(1, classes + 1))
        cv2.fillPoly(mask, [contour], int(fill))
    return mask


def prediction_of(rng, truth, cluster_of, classes):
    """A shifted, ragged copy with clusters instead of classes, and stray regions."""
    height, width = truth.shape
    field = cv2.resize(rng.normal(0, 1, (height // 16 + 2, width // 16 + 2)).astype(np.float32),
                       (width, height), interpolation=cv2.INTER_CUBIC)
    dx, dy = rng.integers(-12, 13, 2)
    moved = np.roll(np.where(truth == IGNORE, 0, truth), (dy, dx), (0, 1))
    prediction = cluster_of[moved]
    prediction[field > 1.3] = 0
    prediction[field < -1.7] = rng.integers(1, classes + 1)
    if rng.random() < 0.45:
        prediction[prediction > 0] = rng.integers(1, classes + 1)
    return prediction, field


def attention_of(rng, prediction, field):
    """Higher on the prediction's foreground, smooth, in 0..1."""
    logits = 1.2 * (prediction > 0) - 0.6 + 0.5 * field
    return (1 / (1 + np.exp(-cv2.GaussianBlur(logits.astype(np.float32), (0, 0), 4)))).astype(np.float16)


def write_mask(path, mask):
    path.parent.mkdir(parents=True, exist_ok=True)
    blue_green_red = np.stack([np.zeros_like(mask), mask // 256, mask % 256], axis=-1)
    assert cv2.imwrite(str(path), blue_green_red.astype(np.uint8))


def names_of(arguments):
    if arguments.names:
        lines = Path(arguments.names).read_text().splitlines()
        return [line.split()[1].removesuffix(".png") for line in lines][: arguments.images]
    return [f"c{i % arguments.classes + 1:03}/picture_{i:05}" for i in range(arguments.images)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", type=int, default=752)
    parser.add_argument("--classes", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--names")
    arguments = parser.parse_args()

    names = names_of(arguments)
    folders = sorted({name.split("/")[0] for name in names})
    shuffled = np.random.default_rng(arguments.seed).permutation(arguments.classes) + 1
    cluster_of = np.concatenate([[0], shuffled]).astype(np.uint16)
    for index, name in enumerate(names):
        rng = np.random.default_rng([arguments.seed, index])
        width, height = SIZES[rng.integers(len(SIZES))]
        label = folders.index(name.split("/")[0]) % arguments.classes + 1
        truth = truth_of(rng, width, height, arguments.classes, label)
        prediction, field = prediction_of(rng, truth, cluster_of, arguments.classes)
        write_mask(arguments.out / "truth" / f"{name}.png", truth)
        write_mask(arguments.out / "pred" / f"{name}.png", prediction)
        scores = arguments.out / "scores" / f"{name}.npy"
        scores.parent.mkdir(parents=True, exist_ok=True)
        np.save(scores, attention_of(rng, prediction, field))
    print(f"{len(names)} pictures in {arguments.out}")


if __name__ == "__main__":
    main()
