"""timm's backbones on a batch of pictures: the peer of `cargo bench -p luss-benches --bench inference`.

    python inference.py [NAME ...] [--training] [--threads 2] [--device cpu] [--repeats 10]

Names are those of the bench. `--training` times forward and backward, without an optimiser.
"""

import argparse
import statistics
import time

import timm
import torch

TIMM = {
    "resnet18": "resnet18",
    "resnet50": "resnet50",
    "efficientnet_lite0": "tf_efficientnet_lite0",
    "convnext_t": "convnext_tiny",
    "vit_s16": "vit_small_patch16_224",
    "swin_t": "swin_tiny_patch4_window7_224",
}


def seconds(net, pictures, training):
    """Of one pass; features of the last layer, without the classifier."""
    started = time.perf_counter()
    if training:
        net.zero_grad(set_to_none=True)
        features = net.forward_features(pictures)
        (features * features).mean().backward()
    else:
        with torch.no_grad():
            net.forward_features(pictures)
    if pictures.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(TIMM))
    parser.add_argument("--training", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--repeats", type=int, default=10)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    pictures = torch.randn(8, 3, 224, 224, device=arguments.device)
    for name in arguments.names:
        net = timm.create_model(TIMM[name]).to(arguments.device).train(arguments.training)
        times = [seconds(net, pictures, arguments.training) for _ in range(arguments.repeats + 2)]
        print(f"{name}: {statistics.median(times[2:]) * 1e3:.1f} ms", flush=True)


main()
