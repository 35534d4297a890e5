"""Clusters become classes."""

import pickle

import numpy as np
import pytest

import luss_metrics
import recomputed


def test_the_total_is_the_largest_of_all_pairings(pairs):
    matching = luss_metrics.match_clusters([p for p, _ in pairs], [t for _, t in pairs], classes=5)
    assert matching["total"] == recomputed.best_total(pairs, 5)
    assert (matching["kind"], matching["unit"]) == ("image", 1.0)
    assert sorted(pair["class"] for pair in matching["pairs"]) == [1, 2, 3, 4, 5]


def test_the_range_of_ties_holds_every_optimum(pairs):
    matching = luss_metrics.match_clusters([p for p, _ in pairs], [t for _, t in pairs], classes=5)
    lowest, highest = matching["miou_range"]["lowest"], matching["miou_range"]["highest"]
    class_of = np.array([0] + [pair["class"] for pair in matching["pairs"]])
    table = sum(recomputed.confusion(class_of[p], t, 6) for p, t in pairs)
    assert lowest - 1e-12 <= recomputed.ious(table).mean() <= highest + 1e-12


@pytest.mark.parametrize("rule", ["pixel", "iou"])
def test_the_sum_of_a_rule_is_that_of_scipy(pairs, rule):
    optimize = pytest.importorskip("scipy.optimize")
    table = sum(recomputed.confusion(p, t, 6) for p, t in pairs).T
    if rule == "iou":
        areas = table.sum(1)[:, None] + table.sum(0)[None]
        table = table / (areas - table)
    weights = table[1:, 1:]
    expected = weights[optimize.linear_sum_assignment(weights, maximize=True)].sum()
    matching = luss_metrics.match_clusters([p for p, _ in pairs], [t for _, t in pairs], 5, rule=rule)
    assert matching["total"] * matching["unit"] == pytest.approx(expected, abs=1e-8)


def test_more_clusters_than_classes_leave_some_alone():
    truth = np.array([[0, 1, 1, 2, 2, 2]], np.uint8)
    prediction = np.array([[0, 3, 3, 1, 1, 2]], np.uint8)
    one_to_one = luss_metrics.match_clusters(prediction, truth, 2, clusters=3, rule="pixel")
    assert [pair["class"] for pair in one_to_one["pairs"]] == [2, 0, 1]
    many = luss_metrics.match_clusters(prediction, truth, 2, clusters=3, rule="many-to-one")
    assert [pair["class"] for pair in many["pairs"]] == [2, 2, 1]
    assert many["miou_range"] is None


def test_what_cannot_be_matched_is_refused():
    mask = np.ones((4, 6), np.uint8)
    with pytest.raises(ValueError, match="no image"):
        luss_metrics.match_clusters([], [], classes=2)
    with pytest.raises(ValueError, match="image.*pixel.*iou"):
        luss_metrics.match_clusters(mask, mask, classes=2, rule="hungarian")
    with pytest.raises(ValueError, match="0 clusters"):
        luss_metrics.match_clusters(mask, mask, classes=2, clusters=0)
    with pytest.raises(ValueError, match="id 3"):
        luss_metrics.match_clusters(3 * mask, mask, classes=2)
    for match in (luss_metrics.match_clusters, lambda *_, **settings: luss_metrics.MatchedEvaluator(**settings)):
        with pytest.raises(ValueError, match="clusters is -1, but lies in 0 to 65535"):
            match(mask, mask, classes=2, clusters=-1)


@pytest.mark.parametrize("rule", ["image", "pixel", "iou", "many-to-one"])
def test_stray_ids_are_nobodys_cluster_on_request(rule):
    """Id 9 is none of the two clusters: it belongs to no pair and to no tie."""
    truth = np.array([[[0, 1, 1, 2, 2, 2]], [[1, 1, 1, 1, 1, 1]]], np.uint8)
    prediction = np.array([[[0, 2, 2, 1, 1, 9]], [[2, 2, 9, 9, 9, 9]]], np.uint8)
    settings = dict(rule=rule, out_of_range="reference")
    matching = luss_metrics.match_clusters(prediction, truth, classes=2, **settings)
    assert [pair["class"] for pair in matching["pairs"]] == [2, 1]
    evaluator = luss_metrics.MatchedEvaluator(classes=2, **settings)
    evaluator.add(prediction, truth)
    assert evaluator.finish()["matching"] == matching
    with pytest.raises(ValueError, match="id 9"):
        luss_metrics.match_clusters(prediction, truth, classes=2, rule=rule)
    masks = np.concatenate([prediction] * 3), np.concatenate([truth] * 3)
    result = luss_metrics.bootstrap(*masks, classes=2, resamples=10, **settings)
    assert result["scores"][0]["value"] == evaluator.finish()["miou"]


def matched_evaluator(pairs, **settings):
    evaluator = luss_metrics.MatchedEvaluator(classes=5, **settings)
    for prediction, truth in pairs:
        evaluator.add(prediction, truth)
    return evaluator


def in_two_passes(pairs, **settings):
    """The matching first, then the scores of the predictions that it names."""
    matching = luss_metrics.match_clusters([p for p, _ in pairs], [t for _, t in pairs], 5, **settings)
    class_of = np.array([0] + [pair["class"] for pair in matching["pairs"]])
    evaluator = luss_metrics.Evaluator(classes=5)
    evaluator.add([class_of[p] for p, _ in pairs], [t for _, t in pairs])
    return {**evaluator.report(), "matching": matching}


@pytest.mark.parametrize("rule", ["image", "pixel", "iou"])
def test_one_pass_scores_as_two(pairs, rule):
    assert matched_evaluator(pairs, rule=rule).finish() == in_two_passes(pairs, rule=rule)


def test_joined_clusters_need_their_masks(pairs):
    evaluator = matched_evaluator(pairs, rule="many-to-one")
    with pytest.raises(luss_metrics.MasksNeeded) as raised:
        evaluator.finish()
    assert f"clusters of {len(raised.value.pictures)} pictures" in str(raised.value)
    assert "masks=lambda" in str(raised.value)
    asked = []

    def masks(picture):
        asked.append(picture)
        return pairs[picture]

    assert evaluator.finish(masks=masks) == in_two_passes(pairs, rule="many-to-one")
    assert asked == raised.value.pictures and 0 < len(asked) < len(pairs)


def test_what_reading_masks_again_raises_is_raised(pairs):
    evaluator = matched_evaluator(pairs, rule="many-to-one")
    with pytest.raises(ZeroDivisionError):
        evaluator.finish(masks=lambda i: 1 // 0)
    with pytest.raises(TypeError, match="not a NumPy array"):
        evaluator.finish(masks=lambda i: (None, None))
    with pytest.raises(ValueError, match="one prediction and one truth"):
        evaluator.finish(masks=lambda i: ([], []))


def test_shards_match_to_the_bits_of_one_pass(pairs):
    whole = matched_evaluator(pairs).finish()
    for shards in (1, 2, 7):
        merged = luss_metrics.MatchedEvaluator(classes=5)
        for shard in reversed([matched_evaluator(pairs[i::shards]) for i in range(shards)]):
            merged.merge(pickle.loads(pickle.dumps(shard)))
        assert merged.finish() == whole


def test_evaluators_of_other_settings_do_not_merge():
    for other in (dict(rule="pixel"), dict(clusters=7), dict(ignore=255)):
        with pytest.raises(ValueError, match="different settings"):
            luss_metrics.MatchedEvaluator(classes=5).merge(luss_metrics.MatchedEvaluator(classes=5, **other))
