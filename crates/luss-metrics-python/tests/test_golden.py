"""The label sets with the numbers of the published toolbox."""

import numpy as np
import pytest

import luss_metrics

NAMES = {"miou": "mIoU", "boundary_miou": "mBIoU", "image_accuracy": "Acc", "f_beta": "FMeasure"}
SIZES = {"small": "S", "medium_small": "MS", "medium_large": "ML", "large": "L"}


def scores(report):
    """Under the toolbox's names, in percent."""
    named = {theirs: 100 * report[ours] for ours, theirs in NAMES.items()}
    for ours, theirs in SIZES.items():
        named[theirs] = 100 * report["sizes"][ours]["miou"]
        named["B" + theirs] = 100 * report["sizes"][ours]["boundary_miou"]
    return named


def assert_scores(report, official, independent):
    for name, ours in scores(report).items():
        assert ours == pytest.approx(independent[name], abs=1e-9), name
        assert ours == pytest.approx(official[name], abs=1e-4), name
    ious = [100 * (c["iou"] or 0) for c in report["per_class"]]
    assert ious == pytest.approx(independent["IoUs"], abs=1e-9)


def test_predictions_as_they_are(golden):
    evaluator = luss_metrics.Evaluator(classes=50)
    evaluator.add(golden.masks("pred"), golden.masks("gt"))
    assert_scores(evaluator.report(), golden.official["imagenets_raw"], golden.independent["raw"])


def test_under_the_matching_of_the_toolbox(golden):
    match = golden.official["imagenets_match"]
    class_of = np.array([match.get(str(cluster), 0) for cluster in range(51)], np.uint16)
    evaluator = luss_metrics.Evaluator(classes=50)
    evaluator.add([class_of[p] for p in golden.masks("pred")], golden.masks("gt"))
    assert_scores(evaluator.report(), golden.official["imagenets_matched"], golden.independent["matched"])


def test_the_total_of_the_matching(golden):
    matching = luss_metrics.match_clusters(golden.masks("pred"), golden.masks("gt"), classes=50)
    assert matching["total"] == golden.independent["official_match_total"]
