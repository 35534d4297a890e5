"""Every score beside NumPy."""

import math
import pickle

import numpy as np
import pytest

import luss_metrics
import recomputed


def evaluated(pairs, **policies):
    evaluator = luss_metrics.Evaluator(classes=5, **policies)
    for prediction, truth in pairs:
        evaluator.add(prediction, truth)
    return evaluator


def test_mean_iou_and_the_counts_of_each_class(pairs):
    report = evaluated(pairs).report()
    table = sum(recomputed.confusion(p, t, 6) for p, t in pairs)
    expected = recomputed.ious(table)
    assert [c["iou"] for c in report["per_class"]] == pytest.approx(expected, abs=1e-15)
    assert report["miou"] == pytest.approx(expected.mean(), abs=1e-15)
    assert report["miou_without_other"] == pytest.approx(expected[1:].mean(), abs=1e-15)
    for label, scores in enumerate(report["per_class"]):
        assert scores["id"] == label
        counts = (scores["truth_pixels"], scores["prediction_pixels"], scores["intersection_pixels"])
        assert counts == (table[label].sum(), table[:, label].sum(), table[label, label])


def test_boundary_iou(pairs):
    counts = sum(recomputed.boundary_ious(p, t, 6) for p, t in pairs)
    truth, prediction, both = counts.T
    expected = both / (truth + prediction - both)
    result = luss_metrics.boundary_iou([p for p, _ in pairs], [t for _, t in pairs], classes=5)
    assert [c["boundary_iou"] for c in result["per_class"]] == pytest.approx(expected, abs=1e-15)
    assert [c["truth_boundary_pixels"] for c in result["per_class"]] == truth.tolist()
    assert [c["intersection_boundary_pixels"] for c in result["per_class"]] == both.tolist()
    assert result["boundary_miou"] == pytest.approx(expected.mean(), abs=1e-15)
    assert result["boundary_miou"] == evaluated(pairs).report()["boundary_miou"]


def test_f_measure_and_image_accuracy(pairs):
    report = evaluated(pairs).report()
    assert report["f_beta"] == pytest.approx(np.mean([recomputed.f_beta(p, t) for p, t in pairs]), abs=1e-14)
    correct = np.mean([recomputed.label_is_correct(p, t, 5) for p, t in pairs])
    assert report["image_accuracy"] == pytest.approx(correct, abs=1e-15)


def test_object_sizes(pairs):
    sizes = evaluated(pairs).report()["sizes"]
    assert list(sizes) == ["small", "medium_small", "medium_large", "large"]
    ours = [math.nan if s["miou"] is None else s["miou"] for s in sizes.values()]
    assert ours == pytest.approx(recomputed.size_mious(pairs, 6), abs=1e-15, nan_ok=True)


def test_policies_by_name():
    truth = np.array([[0, 1, 255, 255]], np.uint8)
    prediction = np.array([[0, 1, 1, 0]], np.uint8)
    skip = luss_metrics.Evaluator(3, ignore=255, absent_class="skip")
    skip.add(prediction, truth)
    zero = luss_metrics.Evaluator(3, ignore=255)
    zero.add(prediction, truth)
    assert (skip.report()["miou"], zero.report()["miou"]) == (1.0, 0.5)
    assert skip.report()["policies"]["ignore"] == 255


def test_stray_ids_are_dropped_as_in_the_toolbox_on_request():
    evaluator = luss_metrics.Evaluator(1, out_of_range="reference")
    evaluator.add(np.array([[0, 1, 7, 1]]), np.array([[0, 1, 1, 1]]))
    report = evaluator.report()
    assert report["policies"]["out_of_range"] == "reference"
    assert (report["per_class"][1]["prediction_pixels"], report["per_class"][1]["iou"]) == (2, 2 / 3)


def test_other_is_left_out_of_means_on_request():
    evaluator = luss_metrics.Evaluator(2, ignore=255, score_other=False)
    evaluator.add(np.array([[2, 1, 0, 1]], np.uint8), np.array([[2, 1, 255, 255]], np.uint8))
    assert evaluator.report()["miou"] == 1.0


def test_shards_merge_to_the_bits_of_one_pass(pairs):
    whole = evaluated(pairs)
    for shards in (1, 2, 7):
        merged = luss_metrics.Evaluator(classes=5)
        for shard in reversed([evaluated(pairs[i::shards]) for i in range(shards)]):
            merged.merge(shard)
        assert merged.to_json() == whole.to_json()


def test_an_evaluator_merges_with_itself(pairs):
    evaluator = evaluated(pairs)
    evaluator.merge(evaluator)
    assert evaluator.images == 22


def test_an_evaluator_pickles(pairs):
    evaluator = evaluated(pairs)
    again = pickle.loads(pickle.dumps(evaluator))
    assert again.report() == evaluator.report()
    assert "5 classes, 11 images" in repr(again)


def test_different_settings_do_not_merge():
    with pytest.raises(ValueError, match="different settings"):
        luss_metrics.Evaluator(2).merge(luss_metrics.Evaluator(3))


def test_a_damaged_state_is_refused(pairs):
    text = evaluated(pairs).to_json().replace('"images":11', '"images":0')
    with pytest.raises(ValueError, match="damaged"):
        luss_metrics.Evaluator.from_json(text)
