"""Nothing is kept of what was added, and nothing of what was refused."""

from pathlib import Path

import numpy as np
import pytest

import luss_metrics


def resident_bytes():
    pages = Path("/proc/self/statm")
    if not pages.exists():
        pytest.skip("no /proc: the memory of the process is not known")
    return int(pages.read_text().split()[1]) * 4096


def refused(evaluator, mask):
    with pytest.raises(ValueError):
        evaluator.add(mask, mask.T)


def calls(evaluator, batch, times):
    for _ in range(times):
        evaluator.add(batch, batch)
        evaluator.report()
        refused(evaluator, batch[0])
        luss_metrics.boundary_iou(batch, batch, classes=3)
        matched = luss_metrics.MatchedEvaluator(classes=3)
        matched.add(batch, batch)
        matched.finish()


def test_memory_does_not_grow_over_ten_thousand_calls():
    evaluator = luss_metrics.Evaluator(classes=3)
    batch = np.random.default_rng(5).integers(0, 4, (2, 24, 31))
    calls(evaluator, batch, 200)
    before = resident_bytes()
    calls(evaluator, batch, 2_000)  # five calls each
    assert resident_bytes() - before < 2 * 2**20
