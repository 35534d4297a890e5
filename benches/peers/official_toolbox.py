"""Times the reference evaluator of ImageNet-S on the CPU, beside `luss-eval` and bare decoding.

    python official_toolbox.py SET --reference DIR [--luss-eval PATH] [--limit N] [--workers 0]

SET is a folder of `generate_masks.py` (truth/, pred/; made with `--names`, so that the toolbox
finds its pictures). DIR is a checkout of github.com/LUSSeg/ImageNet-S; none of it is kept here. It
is copied to a temporary folder, `.cuda()` is taken out of the copy (nothing else is changed), and
its `evaluation/evaluator.py` and `evaluation/match.py` are imported there. Needs Python 3.11 with
NumPy < 1.24, torch, torchvision, opencv-python-headless, pillow, tqdm, prettytable, munkres.

Prints seconds for: decoding all PNGs (Pillow, OpenCV), the toolbox's matching pass, its scoring
pass, and luss-eval with `--match image` (whole process); then the scores side by side.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", type=Path)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--luss-eval", type=Path)
    parser.add_argument("--limit", type=int, help="pictures, for a quick try")
    parser.add_argument("--workers", type=int, default=0, help="of the toolbox's loader; 0 is its own process")
    parser.add_argument("--threads", type=int, default=2, help="of torch and of luss-eval")
    return parser.parse_args()


def timed(what, work):
    start = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - start
    print(f"{what:<44}{seconds:10.2f} s", flush=True)
    return result, seconds


def copy_for_cpu(reference, names):
    """A copy without `.cuda()`, its name list cut to `names`."""
    copy = Path(tempfile.mkdtemp(prefix="imagenet-s-")) / "ImageNet-S"
    shutil.copytree(reference, copy, ignore=shutil.ignore_patterns(".git"))
    for script in copy.rglob("*.py"):
        script.write_text(script.read_text().replace(".cuda()", ""))
    (copy / "data/names/ImageNetS_im50_validation.txt").write_text("\n".join(names))
    return copy


def decode_all(files, read):
    for file in files:
        assert read(str(file)) is not None


def main():
    options = arguments()
    import cv2
    import numpy as np
    import torch
    from PIL import Image

    torch.set_num_threads(options.threads)
    keys = sorted(p.relative_to(options.set / "truth").with_suffix("") for p in (options.set / "truth").rglob("*.png"))
    keys = keys[: options.limit]
    files = [options.set / kind / f"{key}.png" for key in keys for kind in ("truth", "pred")]
    print(f"{len(keys)} pictures")
    timed("decode with Pillow, one thread", lambda: decode_all(files, lambda f: np.array(Image.open(f))))
    cv2.setNumThreads(1)
    timed("decode with OpenCV, one thread", lambda: decode_all(files, lambda f: cv2.imread(f, cv2.IMREAD_UNCHANGED)))

    copy = copy_for_cpu(options.reference.resolve(), [f"{key}.JPEG {key}.png" for key in keys])
    truth, prediction = ((options.set / kind).resolve() for kind in ("truth", "pred"))
    os.chdir(copy / "evaluation")
    sys.path[:0] = [str(copy / "evaluation"), str(copy)]
    import evaluator
    import match
    import tools

    load = lambda file=None: tools.get_loader(str(prediction), str(truth), "../data/names/ImageNetS_im50_validation.txt", match=file, workers=options.workers)
    matching, matching_seconds = timed("toolbox: matching pass", lambda: match.matching(load(), num_classes=50))
    matching[0] = 0
    Path("match.json").write_text(json.dumps({str(k): int(v) for k, v in matching.items()}))
    log, scoring_seconds = timed("toolbox: scoring pass", lambda: evaluator.evaluator(load("match.json"), num_classes=50))

    if options.luss_eval is None:
        return
    compare(options, truth, prediction, log, matching_seconds, scoring_seconds, len(keys))


def compare(options, truth, prediction, log, matching_seconds, scoring_seconds, pictures):
    def run(*more):
        command = [options.luss_eval.resolve(), "--pred", prediction, "--truth", truth, "--classes", "50"]
        command += ["--json", "ours.json", "--quiet", "--threads", str(options.threads), *more]
        if options.limit:
            command.append("--allow-missing")
        subprocess.run([str(part) for part in command], check=True, stderr=subprocess.DEVNULL)
        return json.loads(Path("ours.json").read_text())

    limited = " (of all pictures: --limit does not hold for it)" if options.limit else ""
    _, seconds = timed("luss-eval --match image, whole process" + limited, lambda: run("--match", "image"))
    toolbox = matching_seconds + scoring_seconds
    if not options.limit:
        print(f"{'times faster than the toolbox':<44}{toolbox / seconds:10.0f}")
        ours = run("--match", "match.json")
        for name, value in [
            ("mIoU", ours["miou"]), ("mBIoU", ours["boundary_miou"]), ("Acc", ours["image_accuracy"]),
            ("FMeasure", ours["f_beta"]), ("S", ours["sizes"]["small"]["miou"]), ("L", ours["sizes"]["large"]["miou"]),
            ("BS", ours["sizes"]["small"]["boundary_miou"]),
        ]:
            print(f"{name:<10} toolbox {log[name]:10.6f}   luss-eval {100 * value:10.6f}   difference {log[name] - 100 * value:+.1e}")


if __name__ == "__main__":
    main()
