"""Label masks into numbers: mIoU, boundary mIoU, matched clusters, bootstrap intervals."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Union, final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MasksNeeded", "Evaluator", "bootstrap", "boundary_iou", "match_clusters", "MatchedEvaluator", "__version__",
]
__version__: str

# (height, width) or (pictures, height, width), row by row in memory
_Array = Union[NDArray[np.uint8], NDArray[np.uint16], NDArray[np.int32], NDArray[np.int64]]
_Masks = Union[_Array, Sequence[_Array]]
_Rule = Literal["image", "pixel", "iou", "many-to-one"]
_OutOfRange = Literal["error", "reference"]
_AbsentClass = Literal["zero", "skip"]
_BoundaryIgnore = Literal["edge", "transparent"]

@final
class Evaluator:
    def __new__(
        cls,
        classes: int,
        *,
        ignore: int = 1000,
        out_of_range: _OutOfRange = "error",
        absent_class: _AbsentClass = "zero",
        score_other: bool = True,
        boundary_ignore: _BoundaryIgnore = "edge",
        boundary_ratio: float = 0.03,
    ) -> Evaluator: ...
    def add(self, prediction: _Masks, truth: _Masks) -> None: ...
    def merge(self, other: Evaluator) -> None: ...
    def report(self) -> dict[str, Any]: ...
    @property
    def images(self) -> int: ...
    def to_json(self) -> str: ...
    @staticmethod
    def from_json(text: str) -> Evaluator: ...

@final
class MatchedEvaluator:
    def __new__(
        cls,
        classes: int,
        *,
        rule: _Rule = "image",
        clusters: int | None = None,
        ignore: int = 1000,
        out_of_range: _OutOfRange = "error",
        absent_class: _AbsentClass = "zero",
        score_other: bool = True,
        boundary_ignore: _BoundaryIgnore = "edge",
        boundary_ratio: float = 0.03,
    ) -> MatchedEvaluator: ...
    def add(self, prediction: _Masks, truth: _Masks) -> None: ...
    def merge(self, other: MatchedEvaluator) -> None: ...
    def finish(self, masks: Callable[[int], tuple[_Array, _Array]] | None = None) -> dict[str, Any]: ...
    @property
    def images(self) -> int: ...
    def to_json(self) -> str: ...
    @staticmethod
    def from_json(text: str) -> MatchedEvaluator: ...

class MasksNeeded(ValueError):
    pictures: list[int]

def match_clusters(
    prediction: _Masks,
    truth: _Masks,
    classes: int,
    *,
    rule: _Rule = "image",
    clusters: int | None = None,
    ignore: int = 1000,
    out_of_range: _OutOfRange = "error",
    absent_class: _AbsentClass = "zero",
    score_other: bool = True,
) -> dict[str, Any]: ...
def boundary_iou(
    prediction: _Masks,
    truth: _Masks,
    classes: int,
    *,
    ignore: int = 1000,
    out_of_range: _OutOfRange = "error",
    absent_class: _AbsentClass = "zero",
    score_other: bool = True,
    boundary_ignore: _BoundaryIgnore = "edge",
    boundary_ratio: float = 0.03,
) -> dict[str, Any]: ...
def bootstrap(
    prediction: _Masks,
    truth: _Masks,
    classes: int,
    *,
    rule: _Rule | None = None,
    clusters: int | None = None,
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    threads: int = 1,
    ignore: int = 1000,
    out_of_range: _OutOfRange = "error",
    absent_class: _AbsentClass = "zero",
    score_other: bool = True,
    boundary_ignore: _BoundaryIgnore = "edge",
    boundary_ratio: float = 0.03,
) -> dict[str, Any]: ...
