"""Views of JPEGs by torchvision and Pillow and by imagenet-s: images per second of one thread.

    python torchvision_views.py PICTURES [--rounds 5]
    python torchvision_views.py PICTURES --mosaics FOLDER

PICTURES is a folder of JPEGs of about 500 x 375 pixels. The second form makes 200 of them, cut out
of mosaics of the photographs below FOLDER, for those who have no ImageNet at hand.

One view: RandomResizedCrop(224), flip, colour jitter, gray, Gaussian blur (Pillow's, which is faster
than torchvision's), normalised to a float array. Two and six views: 2 x 224 and 6 x 96. Both sides
decode each picture once and draw their own random numbers. torchvision and `cargo bench
-p luss-benches --bench multi_crop` take turns; medians of the rounds are compared.

Needs torch, torchvision and pillow.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import time
from pathlib import Path

import PIL
import torch
import torchvision
import torchvision.transforms as T
from PIL import Image, ImageFilter

ROOT = Path(__file__).resolve().parents[2]
WORK = ["decoding", "one view", "two and six views"]


class Blur:
    def __call__(self, picture):
        return picture.filter(ImageFilter.GaussianBlur(random.uniform(0.1, 2.0)))


def view(side, scale):
    return T.Compose([
        T.RandomResizedCrop(side, scale),
        T.RandomHorizontalFlip(),
        T.RandomApply([T.ColorJitter(0.8, 0.8, 0.8, 0.2)], p=0.8),
        T.RandomGrayscale(p=0.2),
        T.RandomApply([Blur()], p=0.5),
        T.ToTensor(),
        T.Normalize([0.485, 0.456, 0.406], [0.228, 0.224, 0.225]),
    ])


LARGE, SMALL = view(224, (0.14, 1.0)), view(96, (0.05, 0.14))


def decoded(path):
    with open(path, "rb") as file:
        return Image.open(file).convert("RGB")


def two_and_six(path):
    picture = decoded(path)
    return [LARGE(picture) for _ in range(2)] + [SMALL(picture) for _ in range(6)]


def torchvision_rates(paths):
    rates = []
    for work in (decoded, lambda path: LARGE(decoded(path)), two_and_six):
        start = time.perf_counter()
        for path in paths:
            work(path)
        rates.append(len(paths) / (time.perf_counter() - start))
    return rates


def our_rates(pictures, count):
    command = "cargo bench -q -p luss-benches --bench multi_crop".split()
    environment = {**os.environ, "LUSS_PICTURES": str(pictures.resolve())}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    rates = []
    for work in WORK:
        estimates = ROOT / "target/criterion/multi_crop" / work / "new/estimates.json"
        seconds = json.loads(estimates.read_text())["median"]["point_estimate"] / 1e9
        rates.append(count / seconds)
    return rates


def make_mosaics(photographs, pictures):
    random.seed(0)
    paths = sorted(path for path in photographs.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    pictures.mkdir(parents=True, exist_ok=True)
    for index in range(200):
        wall = Image.new("RGB", (700, 500))
        for row in range(4):
            x = 0
            while x < 700:
                photograph = Image.open(random.choice(paths)).convert("RGB")
                wall.paste(photograph.crop((0, 0, photograph.width, min(photograph.height, 160))), (x, 125 * row))
                x += photograph.width
        left, top = random.randrange(200), random.randrange(125)
        wall.crop((left, top, left + 500, top + 375)).save(pictures / f"{index:04}.jpg", quality=93)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--mosaics", type=Path, metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.mosaics:
        return make_mosaics(options.mosaics, options.pictures)
    torch.set_num_threads(1)
    paths = sorted(options.pictures.iterdir())
    kilobytes = sum(path.stat().st_size for path in paths) / len(paths) / 1000
    print(f"{len(paths)} pictures, {kilobytes:.0f} KB on average; torchvision {torchvision.__version__}, Pillow {PIL.__version__}")
    torchvision_rates(paths[:20])
    theirs, ours = [], []
    for _ in range(options.rounds):
        theirs.append(torchvision_rates(paths))
        ours.append(our_rates(options.pictures, len(paths)))
    print(f"{'images per second, one thread':<32}{'torchvision':>12}{'imagenet-s':>12}{'ratio':>8}")
    for work, their, our in zip(WORK, zip(*theirs), zip(*ours)):
        their, our = statistics.median(their), statistics.median(our)
        print(f"{work:<32}{their:>12.1f}{our:>12.1f}{our / their:>8.2f}")


main()
