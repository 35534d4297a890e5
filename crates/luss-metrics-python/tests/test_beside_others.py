"""The same arrays through torchmetrics and through the program luss-eval; skipped without them."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import luss_metrics
from conftest import GOLDEN


def test_iou_is_that_of_torchmetrics(pairs):
    torch = pytest.importorskip("torch")
    classification = pytest.importorskip("torchmetrics.classification")
    theirs = classification.MulticlassJaccardIndex(6, average="none", ignore_index=1000)
    evaluator = luss_metrics.Evaluator(classes=5)
    for prediction, truth in pairs:
        theirs.update(torch.from_numpy(prediction), torch.from_numpy(truth))
        evaluator.add(prediction, truth)
    ours = [scores["iou"] for scores in evaluator.report()["per_class"]]
    assert ours == pytest.approx(theirs.compute().tolist(), abs=1e-6)


def program():
    """luss-eval as CI has built it, or as LUSS_EVAL names it."""
    built = Path(__file__).parents[3] / "target" / "debug" / "luss-eval"
    path = Path(os.environ.get("LUSS_EVAL", built))
    if not path.exists():
        pytest.skip("there is no luss-eval: cargo build --bin luss-eval, or set LUSS_EVAL")
    return path


def of_program(folder, tmp_path, *options):
    out = tmp_path / "scores.json"
    command = [program(), "--pred", folder / "pred", "--truth", folder / "gt", "--classes", "50"]
    subprocess.run([*command, "--json", out, "--quiet", *options], check=True, stderr=subprocess.DEVNULL)
    return json.loads(out.read_text())


def shared_fields(theirs):
    """What a report of arrays has, too: all but files and what was done with them."""
    files = {"schema", "tool", "inputs", "left_out", "threshold", "uncertainty", "comparison", "notes", "policies", "matching"}
    return {key: value for key, value in theirs.items() if key not in files}


def test_the_report_is_that_of_luss_eval(golden, tmp_path):
    theirs = of_program(golden.folder, tmp_path)
    evaluator = luss_metrics.Evaluator(classes=50)
    evaluator.add(golden.masks("pred"), golden.masks("gt"))
    ours = evaluator.report()
    assert {key: ours[key] for key in shared_fields(theirs)} == shared_fields(theirs)
    assert {key: theirs["policies"][key] for key in ours["policies"]} == ours["policies"]


def test_the_intervals_are_those_of_luss_eval(golden, tmp_path):
    theirs = of_program(golden.folder, tmp_path, "--match", "image", "--bootstrap", "20", "--seed", "9")
    ours = luss_metrics.bootstrap(golden.masks("pred"), golden.masks("gt"), 50, rule="image", resamples=20, seed=9)
    assert ours == theirs["uncertainty"]
    matching = luss_metrics.match_clusters(golden.masks("pred"), golden.masks("gt"), 50)
    assert matching == theirs["matching"]
