"""Intervals by resampled pictures."""

import numpy as np
import pytest

import luss_metrics
import recomputed


def scores_of(result):
    return {score["score"]: score for score in result["scores"]}


def test_the_values_are_those_of_the_report(pairs):
    predictions, truths = [p for p, _ in pairs], [t for _, t in pairs]
    scores = scores_of(luss_metrics.bootstrap(predictions, truths, classes=5, resamples=50))
    evaluator = luss_metrics.Evaluator(5)
    evaluator.add(predictions, truths)
    report = evaluator.report()
    for name in ("miou", "miou_without_other", "boundary_miou", "image_accuracy", "f_beta"):
        assert scores[name]["value"] == report[name]
    assert scores["sizes.large.miou"]["value"] == report["sizes"]["large"]["miou"]


def test_the_interval_is_that_of_numpy_resamples(pairs):
    """Other draws of the same distribution: the ends differ by the noise of 2000 resamples."""
    predictions, truths = [p for p, _ in pairs], [t for _, t in pairs]
    interval = scores_of(luss_metrics.bootstrap(predictions, truths, 5, resamples=2000, seed=3))["miou"]["interval"]
    tables = np.array([recomputed.confusion(p, t, 6) for p, t in pairs])
    draws = np.random.default_rng(11).integers(0, len(pairs), (2000, len(pairs)))
    mious = [np.nan_to_num(recomputed.ious(tables[draw].sum(0))).mean() for draw in draws]
    low, high = np.percentile(mious, [2.5, 97.5])
    noise = 0.15 * np.std(mious)
    assert interval["low"] == pytest.approx(low, abs=noise)
    assert interval["high"] == pytest.approx(high, abs=noise)
    assert interval["standard_error"] == pytest.approx(np.std(mious), rel=0.1)


def test_a_seed_gives_the_same_again(pairs):
    arguments = dict(prediction=[p for p, _ in pairs], truth=[t for _, t in pairs], classes=5, resamples=30, rule="image")
    assert luss_metrics.bootstrap(seed=4, **arguments) == luss_metrics.bootstrap(seed=4, **arguments)
    assert luss_metrics.bootstrap(seed=4, **arguments) != luss_metrics.bootstrap(seed=5, **arguments)


@pytest.mark.parametrize("name, most", [("clusters", 2**16 - 1), ("resamples", 2**32 - 1), ("seed", 2**64 - 1), ("threads", 2**64 - 1)])
def test_numbers_that_do_not_fit_are_refused_by_name(name, most):
    mask = np.ones((4, 6), np.uint8)
    settings = dict(rule="image") if name == "clusters" else {}
    for value in (-1, most + 1, 2**200):
        with pytest.raises(ValueError, match=f"{name} is {value}, but lies in 0 to {most}"):
            luss_metrics.bootstrap(mask, mask, classes=2, **settings, **{name: value})
    with pytest.raises(TypeError, match=f"{name} is 2.5, not an integer"):
        luss_metrics.bootstrap(mask, mask, classes=2, **settings, **{name: 2.5})


def test_settings_that_say_nothing_are_refused():
    mask = np.ones((4, 6), np.uint8)
    for wrong in (dict(resamples=0), dict(confidence=1.0), dict(confidence=float("nan")), dict(clusters=3), dict(rule="best")):
        with pytest.raises(ValueError):
            luss_metrics.bootstrap(mask, mask, classes=2, **wrong)
    with pytest.raises(ValueError, match="no image"):
        luss_metrics.bootstrap([], [], classes=2)
