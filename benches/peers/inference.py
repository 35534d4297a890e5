"""torchvision's backbones on a batch of pictures: the peer of `cargo bench -p luss-benches --bench inference`.

    python inference.py [--threads 2] [--device cpu] [--repeats 10]
"""

import argparse
import statistics
import time

import torch
import torchvision


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--repeats", type=int, default=10)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    pictures = torch.randn(8, 3, 224, 224, device=arguments.device)
    for name in ["resnet18", "resnet50"]:
        net = getattr(torchvision.models, name)().eval().to(arguments.device)
        trunk = torch.nn.Sequential(*list(net.children())[:-2])
        times = []
        with torch.no_grad():
            for _ in range(arguments.repeats + 2):
                started = time.perf_counter()
                trunk(pictures)
                if arguments.device == "cuda":
                    torch.cuda.synchronize()
                times.append(time.perf_counter() - started)
        print(f"{name}: {statistics.median(times[2:]) * 1e3:.1f} ms", flush=True)


main()
