"""The interpreter is free while pictures are counted."""

import threading
import time

import numpy as np

import luss_metrics


def large_pair():
    rng = np.random.default_rng(1)
    return rng.integers(0, 6, (2, 1500, 2000), np.uint16)


def test_python_goes_on_while_a_picture_is_counted():
    """A thread that only counts ticks runs meanwhile; with the lock held it would stand still."""
    prediction, truth = large_pair()
    evaluator, ticks, done = luss_metrics.Evaluator(5), [], threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.0005)

    ticking = threading.Thread(target=tick)
    ticking.start()
    start = time.perf_counter()
    evaluator.add(prediction, truth)
    end = time.perf_counter()
    done.set()
    ticking.join()
    assert len([t for t in ticks if start < t < end]) > 3, f"in {end - start} s"


def test_threads_add_to_one_evaluator():
    prediction, truth = large_pair()
    shared, alone = luss_metrics.Evaluator(5), luss_metrics.Evaluator(5)
    rows = [slice(300 * i, 300 * i + 300) for i in range(5)]
    add = lambda part: shared.add(prediction[part], truth[part])
    threads = [threading.Thread(target=add, args=(part,)) for part in rows]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    [alone.add(prediction[part], truth[part]) for part in rows]
    assert shared.to_json() == alone.to_json()


def test_threads_change_no_interval():
    masks = np.random.default_rng(2).integers(0, 4, (2, 12, 20, 30))
    one, three = (luss_metrics.bootstrap(*masks, classes=3, rule="image", resamples=64, threads=n) for n in (1, 3))
    assert one == three
