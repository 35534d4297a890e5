"""k-means by faiss, scikit-learn, kentro, linfa and ours, on the same files, in turns.

    cargo build --release -p luss-benches --bin kmeans-file
    (cd clustering && cargo build --release)
    pip install numpy faiss-cpu scikit-learn threadpoolctl
    python kmeans.py rows --ours ../../target/release/kmeans-file --peers clustering/target/release/peer-clustering

Each engine clusters float32 rows in memory with two threads, from the first K rows (kentro and SuperKMeans:
from rows of their own choice), for the same number of updates. What is timed is the whole call, without reading the file:
checks, copies and conversions count. faiss stops after the last update; ours and scikit-learn assign all
points once more, so that labels and inertia belong to the centroids; `faiss+assign` does the same. Those
that take minutes run fewer updates and are compared with ours for as many. Each engine is a
process of its own in every round, and every round starts with another one; medians of the rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

SIZES = [(20_000, 128, 50), (64_000, 512, 50), (100_000, 512, 300), (50_000, 2048, 919)]
FAST = ["ours", "faiss", "faiss+assign", "sklearn lloyd"]
SLOW = ["ours", "sklearn elkan", "faiss SuperKMeans", "kentro", "linfa"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ours", type=Path, required=True)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--slow-iterations", type=int, default=2)
    parser.add_argument("--slow-engines", help="only these of the slow ones, comma-separated")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, help="only this one, 0 to 3")
    parser.add_argument("--only", choices=["fast", "slow", "gemm"])
    parser.add_argument("--one", nargs=3, metavar=("ENGINE", "FILE", "CLUSTERS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        engine, path, clusters = arguments.one
        return one(engine, path, int(clusters), arguments.iterations)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    sizes = SIZES if arguments.size is None else [SIZES[arguments.size]]
    for size in sizes:
        measure(size, arguments)


def measure(size, arguments):
    points, columns, clusters = size
    path = arguments.folder / f"{points}x{columns}.npy"
    if not path.exists():
        run([arguments.ours, "generate", points, columns, clusters, path])
    print(f"\n{points} x {columns}, k {clusters}", flush=True)
    if arguments.only in (None, "gemm"):
        rates(size, arguments)
    if arguments.only in (None, "fast"):
        rounds(FAST, path, clusters, arguments.iterations, arguments)
    if arguments.only in (None, "slow") and arguments.peers:
        rounds(["ours"] + arguments.slow_engines.split(",") if arguments.slow_engines else SLOW, path, clusters, arguments.slow_iterations, arguments)


def rates(size, arguments):
    """What a matrix product of this shape, written to memory, and a large square one take."""
    for engine in ["numpy", "gemm"]:
        if engine == "gemm":
            rate = json.loads(run([arguments.ours, "products", *size]))["gflops"]
        else:
            rate = json.loads(script("product", "x".join(map(str, size)), 0, 1))["gflops"]
        print(f"  product by {engine}: {rate:.0f} GFLOP/s", flush=True)


def rounds(engines, path, clusters, iterations, arguments):
    points, columns = map(int, path.stem.split("x"))
    seen = {engine: [] for engine in engines}
    for turn in range(arguments.rounds):
        for engine in engines[turn:] + engines[:turn]:
            seen[engine].append(json.loads(command(engine, path, clusters, iterations, arguments)))
    early = [e for e, runs in seen.items() for run in runs if run.get("iterations", iterations) != iterations]
    assert not early, f"came to rest early: {early}"
    ours = statistics.median(run["seconds"] for run in seen["ours"])
    for engine, runs in seen.items():
        seconds = statistics.median(run["seconds"] for run in runs)
        assignments = iterations + (engine not in ("faiss", "faiss SuperKMeans"))
        rate = 2 * points * columns * clusters * assignments / seconds / 1e9
        print(
            f"  {engine:18} {iterations} updates {seconds:8.3f} s ({min(r['seconds'] for r in runs):.3f} to "
            f"{max(r['seconds'] for r in runs):.3f}), {seconds / ours:6.2f} of ours, {rate:4.0f} GFLOP/s, "
            f"inertia {runs[0]['inertia']:.7g}",
            flush=True,
        )


def command(engine, path, clusters, iterations, arguments):
    if engine == "ours":
        return run([arguments.ours, "cluster", path, clusters, "--iterations", iterations])
    if engine in ("kentro", "linfa"):
        return run([arguments.peers, engine, path, clusters, iterations])
    return script(engine, path, clusters, iterations)


def script(engine, path, clusters, iterations):
    return run([sys.executable, __file__, ".", "--ours", ".", "--iterations", iterations, "--one", engine, path, clusters])


def run(arguments):
    """The last line that a process prints. OpenBLAS chooses its kernel by itself."""
    environment = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
    environment |= {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", "RAYON_NUM_THREADS": "2"}
    done = subprocess.run([str(a) for a in arguments], env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return (done.stdout.strip().splitlines() or [""])[-1]


def one(engine, path, clusters, iterations):
    import numpy as np

    if engine == "product":
        return product(np, *map(int, path.split("x")))
    rows = np.load(path)
    initial = rows[:clusters].copy()
    start = time.perf_counter()
    if engine.startswith("faiss"):
        import faiss

        kind = faiss.SuperKmeans if "Super" in engine else faiss.Kmeans
        start = time.perf_counter()
        kmeans = kind(rows.shape[1], clusters, niter=iterations, max_points_per_centroid=len(rows) + 1)
        given = {} if "Super" in engine else {"init_centroids": initial}
        kmeans.train(rows, **given)
        if "assign" in engine:
            kmeans.index.search(rows, 1)
        seconds, centroids, ran = time.perf_counter() - start, kmeans.centroids, len(kmeans.obj)
    else:
        from sklearn.cluster import KMeans

        start = time.perf_counter()
        algorithm = engine.split()[1]
        kmeans = KMeans(clusters, init=initial, n_init=1, max_iter=iterations, tol=0, algorithm=algorithm, copy_x=False)
        kmeans.fit(rows)
        seconds, centroids, ran = time.perf_counter() - start, kmeans.cluster_centers_, kmeans.n_iter_
    print(json.dumps({"seconds": seconds, "inertia": inertia(np, rows, centroids), "iterations": ran}))


def product(np, points, columns, clusters):
    random = np.random.default_rng(0)
    rate = 0
    for shape in [(points, columns, clusters), (4096, 4096, 4096)]:
        m, k, n = shape
        a, b = random.random((m, k), dtype=np.float32), random.random((n, k), dtype=np.float32)
        out = np.empty((m, n), np.float32)
        for _ in range(4):
            start = time.perf_counter()
            np.dot(a, b.T, out=out)
            rate = max(rate, 2 * m * n * k / (time.perf_counter() - start) / 1e9)
    print(json.dumps({"gflops": rate}))


def inertia(np, rows, centroids):
    """Sum of the squared distances to the nearest centroid."""
    lengths = (centroids**2).sum(1)
    total = 0.0
    for block in np.array_split(rows, len(rows) // 4096 + 1):
        best = (lengths - 2 * (block @ centroids.T)).min(1)
        total += float(best.astype(np.float64).sum() + (block.astype(np.float64) ** 2).sum())
    return total


if __name__ == "__main__":
    main()
