"""The metrics once more, in plain NumPy: slow, and written from docs/PROTOCOLS.md."""

from itertools import permutations

import numpy as np


def blobs(rng, height, width, ids):
    """A mask of rectangles."""
    mask = np.zeros((height, width), np.int64)
    for _ in range(4):
        y, x = rng.integers(0, height), rng.integers(0, width)
        mask[y : y + rng.integers(1, height), x : x + rng.integers(1, width)] = rng.choice(ids)
    return mask


def confusion(prediction, truth, labels, ignore=1000):
    """Pixels by true (row) and predicted label."""
    counted = truth != ignore
    pairs = truth[counted] * labels + prediction[counted]
    return np.bincount(pairs, minlength=labels * labels).reshape(labels, labels)


def ious(table):
    """IoU of each label; NaN where it occurs in neither mask."""
    both = np.diag(table)
    union = table.sum(0) + table.sum(1) - both
    return np.divide(both, union, out=np.full(len(both), np.nan), where=union > 0)


def boundary(mask, ratio=0.03):
    """Pixels whose window of 2 d + 1 leaves the picture or holds a second label."""
    height, width = mask.shape
    thickness = max(1, round(ratio * np.sqrt(width**2 + height**2)))
    padded = np.pad(mask, thickness, constant_values=-1)
    side = 2 * thickness + 1
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side))
    return windows.min((2, 3)) != windows.max((2, 3))


def boundary_ious(prediction, truth, labels, ignore=1000):
    """IoU of the boundaries of each label, with truth, prediction and shared pixels."""
    edge_of_prediction, edge_of_truth = boundary(prediction), boundary(truth)
    counts = np.zeros((labels, 3), np.int64)
    for label in range(labels):
        of_truth = edge_of_truth & (truth == label) & (truth != ignore)
        of_prediction = edge_of_prediction & (prediction == label) & (truth != ignore)
        counts[label] = of_truth.sum(), of_prediction.sum(), (of_truth & of_prediction).sum()
    return counts


def f_beta(prediction, truth, ignore=1000):
    """The F-measure of one picture's foreground, beta squared 0.3."""
    counted = truth != ignore
    p, t = prediction[counted] > 0, truth[counted] > 0
    both = (p & t).sum()
    return 1.3 * both / (0.3 * t.sum() + p.sum()) if both else 0.0


def label_is_correct(prediction, truth, classes, ignore=1000):
    """Whether the largest predicted class is among the true ones."""
    counted = truth != ignore
    areas = np.bincount(prediction[counted], minlength=classes + 1)[1:]
    return bool(areas.any()) and (areas.argmax() + 1) in truth[counted]


def size_of(mask, label, ignore=1000):
    """Index of the size group of a class of a picture: S, MS, ML, L."""
    percent = -(-100 * int((mask == label).sum()) // int((mask != ignore).sum()))
    return int(np.searchsorted([5, 25, 50], percent))


def size_mious(pairs, labels, ignore=1000):
    """mIoU of the objects of each size group; NaN for a group that never occurs."""
    tables = np.zeros((4, labels, labels), np.int64)
    for prediction, truth in pairs:
        classes = [c for c in np.unique(truth) if c not in (0, ignore)]
        sizes = {c: size_of(truth, c, ignore) for c in classes}
        for group in set(sizes.values()):
            kept = np.isin(truth, [0, *(c for c in classes if sizes[c] == group)])
            tables[group] += confusion(prediction[kept], truth[kept], labels, ignore)
    means = []
    for table in tables:
        true_labels = table.sum(1) > 0
        means.append(np.nan_to_num(ious(table))[true_labels].mean() if true_labels.any() else np.nan)
    return means


def best_total(pairs, classes):
    """The largest number of pictures that a one-to-one matching of clusters with classes shares."""
    together = np.zeros((classes, classes), int)
    for prediction, truth in pairs:
        counted = truth != 1000
        for cluster in set(prediction[counted]) - {0}:
            for label in set(truth[counted]) - {0}:
                together[cluster - 1, label - 1] += 1
    return max(sum(together[i, j] for i, j in enumerate(order)) for order in permutations(range(classes)))
