"""Which arrays are read, and what is said of the others."""

import resource
import sys

import numpy as np
import pytest

import luss_metrics

TYPES = [np.uint8, np.uint16, np.int32, np.int64]


@pytest.fixture
def evaluator():
    return luss_metrics.Evaluator(classes=3, ignore=255)


def refused(evaluator, error, message, prediction, truth=None):
    """Both arguments are looked at, and nothing was added."""
    good = np.zeros((4, 6), np.uint8) if truth is None else truth
    with pytest.raises(error, match=message):
        evaluator.add(prediction, good)
    if truth is None:
        with pytest.raises(error, match=message):
            evaluator.add(good, prediction)
    assert evaluator.images == 0


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("truth_dtype", TYPES)
def test_all_types_give_the_same(pairs, dtype, truth_dtype):
    plain, typed = luss_metrics.Evaluator(5, ignore=200), luss_metrics.Evaluator(5, ignore=200)
    for prediction, truth in pairs:
        truth = np.where(truth == 1000, 200, truth)
        plain.add(prediction, truth)
        typed.add(prediction.astype(dtype), truth.astype(truth_dtype))
    assert typed.to_json() == plain.to_json()


def test_batches_lists_and_tuples_give_the_same():
    rng = np.random.default_rng(3)
    prediction, truth = rng.integers(0, 4, (2, 7, 9, 13))
    one, batch, mixed = (luss_metrics.Evaluator(3) for _ in range(3))
    for picture in zip(prediction, truth):
        one.add(*picture)
    batch.add(prediction, truth)
    mixed.add([prediction[:3], *prediction[3:]], tuple(truth.astype(np.uint8)))
    assert one.to_json() == batch.to_json() == mixed.to_json()
    assert batch.images == 7


def test_an_empty_batch_adds_nothing(evaluator):
    evaluator.add(np.zeros((0, 4, 6), int), np.zeros((0, 4, 6), int))
    evaluator.add([], [])
    assert evaluator.images == 0


@pytest.mark.parametrize("dtype", ["float32", "float64", "bool", "complex64", "uint32", "uint64", "int8", "int16", "object", "U3"])
def test_other_types_are_refused(evaluator, dtype):
    refused(evaluator, TypeError, f"is of type .*{np.dtype(dtype).name[:3].lower()}|is of type <U", np.zeros((4, 6), dtype))


@pytest.mark.parametrize("dtype", ["u2", "i4", "i8"])
def test_another_byte_order_is_refused(evaluator, dtype):
    swapped = np.dtype(dtype).newbyteorder(">" if sys.byteorder == "little" else "<")
    refused(evaluator, TypeError, "byte order", np.zeros((4, 6), swapped))


@pytest.mark.parametrize("dtype", TYPES)
def test_another_memory_order_is_refused(evaluator, dtype):
    mask = np.zeros((8, 6), dtype)
    for scattered in (np.asfortranarray(mask), mask.T, mask[::2], mask[:, ::-1], mask[:, 1:]):
        refused(evaluator, ValueError, "row by row", scattered, truth=np.zeros(scattered.shape, np.uint8))
    refused(evaluator, ValueError, "truth do not lie row by row", mask, truth=np.asfortranarray(mask))


def test_an_unaligned_array_is_refused(evaluator):
    unaligned = np.zeros(2 * 24 + 1, np.uint8)[1:].view(np.uint16).reshape(4, 6)
    refused(evaluator, ValueError, "unaligned", unaligned)


def test_masks_that_are_read_only_or_mapped_are_read(evaluator, tmp_path):
    mask = np.ones((4, 6), np.uint16)
    mask.flags.writeable = False
    evaluator.add(mask, mask)
    np.save(tmp_path / "mask.npy", mask)
    mapped = np.load(tmp_path / "mask.npy", mmap_mode="r")
    evaluator.add(mapped, mapped)
    assert evaluator.images == 2


@pytest.mark.parametrize("shape", [(), (24,), (1, 1, 4, 6)])
def test_other_dimensions_are_refused(evaluator, shape):
    refused(evaluator, ValueError, f"{len(shape)} dimensions", np.zeros(shape, np.uint8))


@pytest.mark.parametrize("shape", [(0, 6), (4, 0), (3, 0, 6)])
def test_a_mask_without_pixels_is_refused(evaluator, shape):
    empty = np.zeros(shape, np.uint8)
    refused(evaluator, ValueError, "empty", empty, truth=empty)


def test_two_sizes_are_refused(evaluator):
    refused(evaluator, ValueError, "6x4 pixels but the truth is 4x6", np.zeros((4, 6), int), np.zeros((6, 4), int))


def test_two_numbers_of_pictures_are_refused(evaluator):
    refused(evaluator, ValueError, "7 predictions were given for 5 truths", np.zeros((7, 4, 6), int), np.zeros((5, 4, 6), int))


def test_a_masked_array_is_refused(evaluator):
    """Its hidden ids would count."""
    truth = np.ma.masked_equal(np.array([[0, 1], [2, 3]], np.uint8), 3)
    refused(evaluator, TypeError, "masked array.*filled.*ignore", truth, truth=np.zeros((2, 2), np.uint8))
    refused(evaluator, TypeError, "the truth is a masked array", np.zeros((2, 2), np.uint8), truth=truth)
    evaluator.add(np.array([[0, 1], [2, 0]], np.uint8), truth.filled(255))
    assert evaluator.report()["miou"] == 0.75


@pytest.mark.parametrize("thing", [None, 3, "mask.png", b"mask", {1: 2}, memoryview(b"123456")])
def test_what_is_no_array_is_refused(evaluator, thing):
    refused(evaluator, TypeError, f"{type(thing).__name__}, not a NumPy array", thing)


def test_a_list_of_numbers_is_refused(evaluator):
    refused(evaluator, TypeError, "list, not a NumPy array", [[0, 1], [1, 0]], truth=np.zeros((2, 2), int))


@pytest.mark.parametrize("id, dtype", [(-1, np.int32), (-100, np.int64), (65536, np.int32), (2**40, np.int64)])
def test_ids_that_no_mask_has_are_refused_with_their_place(evaluator, id, dtype):
    mask = np.zeros((4, 6), dtype)
    mask[2, 5] = id
    refused(evaluator, ValueError, f"id {id} at x=5, y=2", mask)


def test_stray_ids_are_refused_with_their_place_and_picture(evaluator):
    masks = np.zeros((3, 4, 6), np.uint16)
    masks[2, 1, 3] = 7
    refused(evaluator, ValueError, r"picture 2 \(counted from 0\): .* id 7 at x=3, y=1", masks, truth=np.zeros((3, 4, 6), int))


def test_settings_out_of_range_are_refused():
    for classes, error in [(0, ValueError), (1000, ValueError), (-1, ValueError), (70_000, ValueError), ("many", TypeError), (2.5, TypeError)]:
        with pytest.raises(error):
            luss_metrics.Evaluator(classes)
    with pytest.raises(ValueError, match="ignor"):
        luss_metrics.Evaluator(3, ignor=255)
    with pytest.raises(ValueError, match="skip"):
        luss_metrics.Evaluator(3, absent_class="skp")
    with pytest.raises(ValueError, match="ratio|boundary"):
        luss_metrics.Evaluator(3, boundary_ratio=0.0)


def test_several_ignored_ids_are_made_one():
    """As the README says, for the narrowest type."""
    truth = np.array([[0, 1, 2, 254, 255]], np.uint8)
    truth[np.isin(truth, [0, 254])] = 255
    evaluator = luss_metrics.Evaluator(2, ignore=255, score_other=False)
    evaluator.add(np.array([[1, 1, 2, 2, 0]], np.uint8), truth)
    assert evaluator.report()["miou"] == 1.0


def test_uint16_is_read_where_it_lies():
    mask = np.ones((8192, 8192), np.uint16)  # 128 MiB
    mask[::128] = 2
    evaluator = luss_metrics.Evaluator(classes=3)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    evaluator.add(mask, mask)
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown_mib < 100
