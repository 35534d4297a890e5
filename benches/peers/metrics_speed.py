"""Times scoring 752 masks: luss-eval beside hotcoco, vernier and torchmetrics, in turns on the same cores.

    python generate_masks.py s50
    python metrics_speed.py s50 --luss-eval ../../target/release/luss-eval [--rounds 5] [--without torchmetrics]

The masks are written once more as 8-bit grey PNG (ignored pixels 255) into SET/grey, the only kind that all of them
read. Each program is a whole process: start, decoding, scores, JSON. In memory, each library gets the same uint8
arrays, one pair a call. Prints medians of the clock and of the processor, and the mIoU of each. Needs what metrics.py needs.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np

LABELS, IGNORE = 51, 255


def grey(folder):
    """Flat folders of grey masks, which hotcoco and vernier need."""
    grey, unfinished = folder / "grey", folder / "grey.unfinished"
    if not grey.exists():
        shutil.rmtree(unfinished, ignore_errors=True)
        for kind in ("truth", "pred"):
            write_grey(folder / kind, unfinished / kind)
        unfinished.rename(grey)
    return grey / "truth", grey / "pred"


def write_grey(masks, out):
    out.mkdir(parents=True)
    for path in sorted(masks.rglob("*.png")):
        blue_green_red = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        ids = blue_green_red[..., 2] + 256 * blue_green_red[..., 1].astype(np.uint16)
        name = "_".join(path.relative_to(masks).parts)
        cv2.imwrite(str(out / name), np.where(ids == 1000, IGNORE, ids).astype(np.uint8))


def run(command, stdout=subprocess.PIPE):
    environment = dict(os.environ, RAYON_NUM_THREADS="2", OMP_NUM_THREADS="2")
    command = [str(part) for part in command]
    return subprocess.run(command, check=True, stdout=stdout, stderr=subprocess.DEVNULL, env=environment).stdout


def luss_eval(program, truth, pred):
    options = ["--classes", LABELS - 1, "--ignore", IGNORE, "--absent", "skip", "--threads", 2, "--quiet", "--json", "-"]
    return json.loads(run([program, "--pred", pred, "--truth", truth, *options]))["miou"]


def hotcoco(truth, pred):
    program = Path(sys.executable).parent / "coco"
    options = ["--classes", LABELS, "--ignore-index", IGNORE, "--json"]
    return json.loads(run([program, "semantic", "eval", "--gt", truth, "--pred", pred, *options]))["mIoU"]


VERNIER = f"""
import sys; from pathlib import Path; from vernier import semantic
folders = [dict(enumerate(sorted(Path(folder).iterdir()))) for folder in sys.argv[1:]]
evaluator = semantic.Evaluator(parity_mode="strict")
print(evaluator.evaluate_from_pngs(*folders, n_classes={LABELS}, ignore_label={IGNORE}, num_threads=2).miou)
"""

TORCHMETRICS = f"""
import sys; from pathlib import Path; import numpy as np, torch; from PIL import Image
from torchmetrics.classification import MulticlassJaccardIndex
torch.set_num_threads(2)
metric = MulticlassJaccardIndex({LABELS}, ignore_index={IGNORE})
truth, pred = map(Path, sys.argv[1:])
for path in sorted(truth.iterdir()):
    read = lambda path: torch.from_numpy(np.asarray(Image.open(path)).astype(np.int64))
    metric.update(read(pred / path.name), read(path))
print(float(metric.compute()))
"""


def script(text, truth, pred):
    return float(run([sys.executable, "-c", text, truth, pred]))


def programs(luss, truth, pred):
    return {
        "luss-eval (all its scores)": lambda: luss_eval(luss, truth, pred),
        "hotcoco, coco semantic eval": lambda: hotcoco(truth, pred),
        "vernier, evaluate_from_pngs": lambda: script(VERNIER, truth, pred),
        "torchmetrics with Pillow": lambda: script(TORCHMETRICS, truth, pred),
    }


def in_memory(pairs):
    import luss_metrics
    import torch
    from hotcoco.semantic import SemanticEval
    from torchmetrics.classification import MulticlassJaccardIndex
    from vernier import semantic

    torch.set_num_threads(2)

    def ours():
        evaluator = luss_metrics.Evaluator(LABELS - 1, ignore=IGNORE, absent_class="skip")
        for prediction, truth in pairs:
            evaluator.add(prediction, truth)
        return evaluator.report()["miou"]

    def theirs(**settings):
        metric = MulticlassJaccardIndex(LABELS, ignore_index=IGNORE, **settings)
        for prediction, truth in pairs:
            metric.update(torch.from_numpy(prediction), torch.from_numpy(truth))
        return float(metric.compute())

    def hot():
        evaluator = SemanticEval(LABELS, ignore_index=IGNORE)
        for prediction, truth in pairs:
            evaluator.update(truth, prediction)
        return evaluator.results()["mIoU"]

    def ver():
        maps = [dict(enumerate(masks)) for masks in zip(*pairs)]
        truth = semantic.Dataset.from_arrays(maps[1], LABELS, IGNORE)
        return semantic.Evaluator(parity_mode="strict").evaluate(truth, semantic.Predictions.from_arrays(maps[0])).miou

    return {
        "luss_metrics (all its scores)": ours, "torchmetrics": theirs,
        "torchmetrics, validate_args=False": lambda: theirs(validate_args=False), "hotcoco": hot, "vernier": ver,
    }


def processor_seconds():
    """Of this process and of those that it waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def measure(works, rounds):
    """Seconds and result of each, in turns. On a busy machine the processor's seconds say more than the clock's."""
    seconds, processor, results = {name: [] for name in works}, {name: [] for name in works}, {}
    for _ in range(rounds):
        for name, work in works.items():
            clock, busy = time.perf_counter(), processor_seconds()
            results[name] = work()
            seconds[name].append(time.perf_counter() - clock)
            processor[name].append(processor_seconds() - busy)
    print("| | median s | lowest to highest | processor, median s | mIoU |\n|---|---|---|---|---|")
    for name, times in seconds.items():
        spread = f"{min(times):.2f} to {max(times):.2f}"
        print(f"| {name} | {statistics.median(times):.2f} | {spread} | {statistics.median(processor[name]):.2f} | {results[name]:.9f} |")
    print(flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", type=Path)
    parser.add_argument("--luss-eval", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--without", help="leave out what has this in its name, such as torchmetrics: it takes minutes")
    arguments = parser.parse_args()
    truth, pred = grey(arguments.set)
    read = lambda path: cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    pairs = [(read(pred / path.name), read(path)) for path in sorted(truth.iterdir())]
    print(f"{len(pairs)} pairs, load {os.getloadavg()[0]:.1f} of {os.cpu_count()} cores\n")
    for works in (programs(arguments.luss_eval, truth, pred), in_memory(pairs)):
        kept = {name: work for name, work in works.items() if not arguments.without or arguments.without not in name}
        measure(kept, arguments.rounds)
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
