"""Compares our scores with those of other tools on the same arrays, and writes the table of docs/PARITY.md.

    python metrics.py [--write ../../docs/PARITY.md] [--golden ../../crates/golden/data]

Needs luss_metrics (`pip install ../../crates/luss-metrics-python`), NumPy, Pillow, OpenCV, SciPy, scikit-learn, torch,
torchmetrics, hotcoco and vernier; what is missing is said and left out. The formulas of mmsegmentation and of
boundary-iou-api are written here from their documentation and papers, since neither installs beside a current PyTorch.
"""

import argparse
import json
from importlib.metadata import version
from itertools import count
from pathlib import Path

import luss_metrics
import numpy as np
from PIL import Image

CLASSES, LABELS, IGNORE = 50, 51, 1000


# Inputs -----------------------------------------------------------------------------------------------------------


def read_mask(path):
    pixels = np.asarray(Image.open(path)).astype(np.int64)
    return pixels[..., 0] + 256 * pixels[..., 1]


class Input:
    """Predictions with class ids, and their truths."""

    def __init__(self, name, pairs, official=None, independent=None):
        self.name, self.pairs = name, pairs
        self.official, self.independent = official, independent

    def counted(self):
        """All counted pixels: truth, prediction."""
        kept = [(t[t != IGNORE], p[t != IGNORE]) for p, t in self.pairs]
        return np.concatenate([t for t, _ in kept]), np.concatenate([p for _, p in kept])


def golden(folder, name):
    """A label set under the toolbox's own matching."""
    folder = folder / name
    official, independent = (json.loads((folder / f"{kind}.json").read_text()) for kind in ("official", "independent"))
    match = official["imagenets_match"]
    class_of = np.array([match.get(str(cluster), 0) for cluster in range(LABELS)])
    names = json.loads((folder / "set.json").read_text())["images"]
    read = lambda kind, image: read_mask(folder / kind / f"{image}.png")
    pairs = [(class_of[read("pred", image)], read("gt", image)) for image in names]
    return Input(name, pairs, official["imagenets_matched"], independent["matched"])


def edges(folder):
    """One edge case a picture, without the two whose predictions hold ids that mean nothing."""
    folder = folder / "b_edge50"
    names = json.loads((folder / "set.json").read_text())["images"]
    pairs = [tuple(read_mask(folder / kind / f"{image}.png") for kind in ("pred", "gt")) for image in names]
    return Input("b_edge50", [(p, t) for p, t in pairs if p.max() <= CLASSES])


# Other tools: each a dict of scores by our names ------------------------------------------------------------------


def confusion(truth, prediction):
    return np.bincount(truth * LABELS + prediction, minlength=LABELS**2).reshape(LABELS, LABELS)


def mmsegmentation(data):
    """IoUMetric: histograms of intersections and areas, means that skip NaN (from its documentation)."""
    table = confusion(*data.counted())
    both, predicted, true = np.diag(table), table.sum(0), table.sum(1)
    with np.errstate(invalid="ignore"):
        iou, accuracy = both / (predicted + true - both), both / true
        dice, precision = 2 * both / (predicted + true), both / predicted
    return {
        "miou, absent skipped": np.nanmean(iou), "aacc": both.sum() / true.sum(), "macc": np.nanmean(accuracy),
        "iou": iou, "recall": accuracy, "dice": dice, "precision": precision,
    }


def torchmetrics(data):
    import torch
    from torchmetrics import classification as c

    def score(metric, **settings):
        metric = metric(LABELS, ignore_index=IGNORE, **settings)
        for prediction, truth in data.pairs:
            metric.update(torch.from_numpy(prediction), torch.from_numpy(truth))
        return metric.compute().numpy().astype(float)

    each = lambda metric: score(metric, average="none")
    return {
        "miou, absent skipped": score(c.MulticlassJaccardIndex), "iou": each(c.MulticlassJaccardIndex),
        "aacc": score(c.MulticlassAccuracy, average="micro"), "macc": score(c.MulticlassAccuracy),
        "fwiou": score(c.MulticlassJaccardIndex, average="weighted"),
        "dice": each(c.MulticlassF1Score), "precision": each(c.MulticlassPrecision), "recall": each(c.MulticlassRecall),
    }


def torchmetrics_by_picture(data):
    """torchmetrics.segmentation.MeanIoU: the mean over all pairs of a picture and a label in it."""
    import torch
    from torchmetrics.segmentation import MeanIoU

    metric = MeanIoU(LABELS, input_format="index")
    for prediction, truth in whole_pictures(data):
        metric.update(torch.from_numpy(prediction)[None], torch.from_numpy(truth)[None])
    return {"mean IoU of pictures and labels": float(metric.compute())}


def scikit_learn(data):
    from sklearn import metrics as m

    truth, prediction = data.counted()
    settings = dict(labels=range(LABELS), zero_division=0)
    each = lambda score: score(truth, prediction, average=None, **settings)
    per_picture = []
    for p, t in data.pairs:
        counted = t != IGNORE
        foreground = (t[counted] > 0, p[counted] > 0)
        per_picture.append(m.fbeta_score(*foreground, beta=np.sqrt(0.3), zero_division=0) if counted.any() else 0.0)
    return {
        "miou, absent 0": m.jaccard_score(truth, prediction, average="macro", **settings), "iou": each(m.jaccard_score),
        "aacc": m.accuracy_score(truth, prediction), "macc": m.balanced_accuracy_score(truth, prediction),
        "fwiou": m.jaccard_score(truth, prediction, average="weighted", **settings),
        "dice": each(m.f1_score), "precision": each(m.precision_score), "recall": each(m.recall_score),
        "f_beta": np.mean(per_picture),
    }


def hotcoco(data):
    from hotcoco.semantic import SemanticEval

    evaluator = SemanticEval(LABELS, ignore_index=IGNORE)
    for prediction, truth in data.pairs:
        evaluator.update(truth, prediction)
    results = evaluator.results()
    number = lambda value: np.nan if value == -1 else value
    classes = results["per_class"]
    return {
        "miou, absent skipped": results["mIoU"], "fwiou": results["fwIoU"], "macc": results["mAcc"], "aacc": results["aAcc"],
        "iou": np.array([number(c["IoU"]) for c in classes]), "recall": np.array([number(c["Acc"]) for c in classes]),
    }


def vernier(data):
    from vernier import semantic

    as_maps = lambda masks: dict(zip(count(), (np.ascontiguousarray(mask, np.uint32) for mask in masks)))
    truth = semantic.Dataset.from_arrays(as_maps(t for _, t in data.pairs), LABELS, IGNORE)
    prediction = semantic.Predictions.from_arrays(as_maps(p for p, _ in data.pairs))
    summary = semantic.Evaluator(parity_mode="strict").evaluate(truth, prediction)
    classes = summary.per_class().values()
    return {
        "miou, absent skipped": summary.miou, "fwiou": summary.fwiou, "macc": summary.mean_accuracy, "aacc": summary.pixel_accuracy,
        "iou": np.array([c.iou for c in classes]), "precision": np.array([c.precision for c in classes]),
        "recall": np.array([c.accuracy for c in classes]),
    }


def boundary_of(mask, ratio):
    """boundary-iou-api: a mask minus its erosion, the picture padded by one pixel of background."""
    import cv2

    height, width = mask.shape
    thickness = max(1, int(round(ratio * np.sqrt(height**2 + width**2))))
    padded = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    eroded = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=thickness)
    return (mask - eroded[1:-1, 1:-1]).astype(bool)


def boundary_iou_api(data, ratio=0.02):
    """Each label's boundary as a binary mask, its pixels summed over the set."""
    sums = np.zeros((LABELS, 3))
    for prediction, truth in data.pairs:
        counted = truth != IGNORE
        for label in np.union1d(truth[counted], prediction[counted]):
            of = lambda mask: boundary_of((mask == label).astype(np.uint8), ratio) & counted
            t, p = of(truth), of(prediction)
            sums[label] += (t & p).sum(), t.sum(), p.sum()
    both, true, predicted = sums.T
    with np.errstate(invalid="ignore"):
        return {"boundary_iou, ratio 0.02": both / (true + predicted - both)}


def toolbox(data):
    """The numbers that the published evaluator of ImageNet-S gave (single precision)."""
    if data.official is None:
        return {}
    names = {"miou, absent 0": "mIoU", "boundary_miou, absent 0": "mBIoU", "image_accuracy": "Acc", "f_beta": "FMeasure"}
    lists = {"iou": data.official["IoUs"], "sizes, both IoUs": [data.official[b + s] for s in ("S", "MS", "ML", "L") for b in ("", "B")]}
    scores = {ours: data.official[theirs] / 100 for ours, theirs in names.items()}
    return scores | {name: np.array(values) / 100 for name, values in lists.items()}


def float64(data):
    """The independent recomputation in float64 (NumPy and SciPy)."""
    return {} if data.independent is None else toolbox(Input(data.name, data.pairs, data.independent))


def scipy(data):
    from scipy.optimize import linear_sum_assignment

    together = np.zeros((CLASSES, CLASSES), int)
    for prediction, truth in data.pairs:
        counted = truth != IGNORE
        ids = [np.setdiff1d(mask[counted], [0]) - 1 for mask in (prediction, truth)]
        together[np.ix_(*ids)] += 1
    return {"matching total": together[linear_sum_assignment(together, maximize=True)].sum()}


TOOLS = [
    ("toolbox of ImageNet-S", None, toolbox), ("float64 recomputation", None, float64),
    ("mmsegmentation's formula", None, mmsegmentation), ("torchmetrics", "torchmetrics", torchmetrics),
    ("torchmetrics MeanIoU", "torchmetrics", torchmetrics_by_picture), ("scikit-learn", "scikit-learn", scikit_learn),
    ("hotcoco", "hotcoco", hotcoco), ("vernier", "vernier", vernier),
    ("boundary-iou-api's formula", None, boundary_iou_api), ("SciPy", "scipy", scipy),
]


def whole_pictures(data):
    """The pairs without ignored pixels, which MeanIoU cannot leave out."""
    return [(p, t) for p, t in data.pairs if not (t == IGNORE).any()]


# Ours -------------------------------------------------------------------------------------------------------------


def ious_of(prediction, truth):
    """The IoUs of the labels of one picture."""
    evaluator = luss_metrics.Evaluator(CLASSES)
    evaluator.add(prediction, truth)
    return [c["iou"] for c in evaluator.report()["per_class"] if c["iou"] is not None]


def ours(data):
    def report(**policies):
        evaluator = luss_metrics.Evaluator(CLASSES, **policies)
        evaluator.add([p for p, _ in data.pairs], [t for _, t in data.pairs])
        return evaluator.report()

    zero, skip, thin = report(), report(absent_class="skip"), report(boundary_ratio=0.02)
    each = lambda key, of=zero: np.array([np.nan if c[key] is None else c[key] for c in of["per_class"]])
    scores = {key: zero[key] for key in ("image_accuracy", "f_beta", "aacc", "macc", "fwiou")}
    scores |= {key: each(key) for key in ("iou", "recall", "precision", "dice")}
    scores["sizes, both IoUs"] = [size[key] for size in zero["sizes"].values() for key in ("miou", "boundary_miou")]
    matching = luss_metrics.match_clusters([p for p, _ in data.pairs], [t for _, t in data.pairs], CLASSES)
    return scores | {
        "miou, absent 0": zero["miou"], "miou, absent skipped": skip["miou"], "boundary_miou, absent 0": zero["boundary_miou"],
        "boundary_iou, ratio 0.02": each("boundary_iou", thin), "matching total": matching["total"],
        "mean IoU of pictures and labels": np.mean([iou for pair in whole_pictures(data) for iou in ious_of(*pair)]),
    }


# What each tool does with inputs at the edge ----------------------------------------------------------------------


def edge_inputs():
    """Name, truth, prediction; three labels, 255 is ignored."""
    row = lambda *ids: np.array([ids], np.int64)
    yield "a perfect prediction, class 2 absent", row(0, 0, 1, 1), row(0, 0, 1, 1)
    yield "class 2 predicted under ignored pixels only", row(0, 1, 255, 255), row(0, 1, 2, 2)
    yield "all pixels ignored", row(255, 255, 255), row(0, 1, 2)
    yield "a predicted id above the classes", row(0, 1, 1, 1), row(0, 1, 1, 7)
    yield "the ignored id in the prediction", row(0, 1, 1, 1), row(0, 1, 1, 255)


def our_miou(prediction, truth):
    evaluator = luss_metrics.Evaluator(2, absent_class="skip", ignore=255)
    evaluator.add(prediction, truth)
    return evaluator.report()["miou"]


def torchmetrics_miou(prediction, truth):
    import torch
    from torchmetrics.functional.classification import multiclass_jaccard_index

    return float(multiclass_jaccard_index(torch.from_numpy(prediction), torch.from_numpy(truth), 3, ignore_index=255))


def scikit_learn_miou(prediction, truth):
    from sklearn.metrics import jaccard_score

    kept = truth != 255
    return jaccard_score(truth[kept], prediction[kept], labels=[0, 1, 2], average="macro", zero_division=0)


def hotcoco_miou(prediction, truth):
    from hotcoco.semantic import SemanticEval

    evaluator = SemanticEval(3, ignore_index=255)
    evaluator.update(truth, prediction)
    return evaluator.results()["mIoU"]


def vernier_miou(prediction, truth):
    from vernier import semantic

    maps = [{0: np.ascontiguousarray(mask, np.uint32)} for mask in (truth, prediction)]
    evaluator = semantic.Evaluator(parity_mode="strict")
    return evaluator.evaluate(semantic.Dataset.from_arrays(maps[0], 3, 255), semantic.Predictions.from_arrays(maps[1])).miou


def mmsegmentation_miou(prediction, truth):
    kept = truth != 255
    areas = lambda labels: np.histogram(labels, bins=3, range=(0, 2))[0]
    p, t = prediction[kept], truth[kept]
    both = areas(p[p == t])
    with np.errstate(invalid="ignore"):
        iou = both / (areas(p) + areas(t) - both)
    return float(np.nanmean(iou)) if not np.isnan(iou).all() else float("nan")


EDGE_TOOLS = {
    "ours, absent skipped": our_miou, "mmsegmentation's formula": mmsegmentation_miou,
    "torchmetrics": torchmetrics_miou, "scikit-learn, absent 0": scikit_learn_miou, "hotcoco": hotcoco_miou, "vernier": vernier_miou,
}


def outcome(score, prediction, truth):
    """The score, or the kind of refusal."""
    try:
        value = score(prediction, truth)
    except ModuleNotFoundError as error:
        return f"{error.name} is not installed"
    except Exception as error:  # whatever a tool refuses with is what is asked for
        return f"refused ({type(error).__name__})"
    return "null" if value is None else f"{value:.4g}"


def edge_table():
    lines = ["| input | " + " | ".join(EDGE_TOOLS) + " |", "|---" * (len(EDGE_TOOLS) + 1) + "|"]
    for name, truth, prediction in edge_inputs():
        lines.append(f"| {name} | " + " | ".join(outcome(score, prediction, truth) for score in EDGE_TOOLS.values()) + " |")
    return "\n".join(lines)


# The tables -------------------------------------------------------------------------------------------------------


def cells(inputs):
    """(metric, tool) to the differences by input; `None` for a tool that is missing."""
    found, missing = {}, set()
    for data in inputs:
        mine = ours(data)
        for tool, package, scores_of in TOOLS:
            try:
                theirs = scores_of(data)
            except ModuleNotFoundError as error:
                missing.add(f"{tool}: {error.name} is not installed")
                continue
            for metric, value in theirs.items():
                row = found.setdefault((metric, f"{tool} {version(package)}" if package else tool), {})
                row[data.name] = compared(mine[metric], value)
    return found, missing


def compared(mine, theirs):
    """The largest difference, and how many numbers only one side has."""
    mine, theirs = (np.asarray(numbers, float) for numbers in (mine, theirs))
    known = ~np.isnan(mine) & ~np.isnan(theirs)
    lone = int((np.isnan(mine) != np.isnan(theirs)).sum())
    difference = np.abs(mine - theirs)[known].max(initial=0.0)
    return f"{difference:.0e}" + (f" ({lone} differ in being null)" if lone else "")


def table(inputs):
    found, missing = cells(inputs)
    names = [data.name for data in inputs]
    lines = ["| metric | tool | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    for (metric, tool), differences in sorted(found.items(), key=lambda item: item[0][0]):
        lines.append(f"| {metric} | {tool} | " + " | ".join(differences.get(name, "") for name in names) + " |")
    return "\n".join([*lines, *sorted(missing), "", edge_table()])


def write(path, text):
    start, end = "<!-- numbers of benches/peers/metrics.py -->", "<!-- end of the numbers -->"
    before, rest = path.read_text().split(start)
    path.write_text(f"{before}{start}\n{text}\n{end}{rest.split(end)[1]}")


def main():
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--golden", type=Path, default=here / "../../crates/golden/data")
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    folder = arguments.golden
    text = table([golden(folder, "a_basic50"), golden(folder, "e_curve50"), edges(folder)])
    print(text) if arguments.write is None else write(arguments.write, text)


if __name__ == "__main__":
    main()
