"""An iteration of k-means and the matrix product in it, by PyTorch on a GPU.

    python kmeans_torch.py [--points 1200000 --columns 2048 --clusters 919] [--device cuda:0]

The peer of `cargo run --release --features cuda --bin kmeans_throughput`: the same shapes, float32,
chunks of the same size. Prints, with and without TF32, the seconds of the product of all points
with all centroids, and of an iteration written with it: product, arg-max, and `index_add_`.

Needs torch; the points take 9.2 GiB of the GPU at the default size.
"""

import argparse
import statistics
import time

import torch

CHUNK = 1 << 15


def seconds(work, device, rounds=5):
    def once():
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - started

    once()  # loads and tunes
    return statistics.median(once() for _ in range(rounds))


def product(points, centroids):
    for chunk in points.split(CHUNK):
        torch.matmul(chunk, centroids.T)


def iteration(points, centroids):
    offsets = 0.5 * (centroids * centroids).sum(1)
    sums = torch.zeros_like(centroids)
    counts = torch.zeros(len(centroids), dtype=torch.int64, device=points.device)
    for chunk in points.split(CHUNK):
        labels = (torch.matmul(chunk, centroids.T) - offsets).argmax(1)
        sums.index_add_(0, labels, chunk)
        counts += torch.bincount(labels, minlength=len(centroids))
    return sums / counts.clamp(min=1)[:, None]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--points", type=int, default=1_200_000)
    parser.add_argument("--columns", type=int, default=2048)
    parser.add_argument("--clusters", type=int, default=919)
    parser.add_argument("--device", default="cuda:0")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"torch {torch.__version__} on {name}")
    torch.manual_seed(0)
    points = torch.randn(arguments.points, arguments.columns, device=device)
    centroids = points[: arguments.clusters].clone()
    flops = 2 * arguments.points * arguments.columns * arguments.clusters
    for tf32 in [False, True]:
        torch.backends.cuda.matmul.allow_tf32 = tf32
        alone = seconds(lambda: product(points, centroids), device)
        whole = seconds(lambda: iteration(points, centroids), device)
        print(
            f"{'TF32' if tf32 else 'float32'}: product {alone:.4f} s, {flops / alone / 1e12:.2f} TFLOP/s; "
            f"iteration {whole:.4f} s, the product is {100 * alone / whole:.0f} % of it"
        )


if __name__ == "__main__":
    main()
