"""PyTorch's operations of backbones on the CPU: the peer of `cargo bench -p luss-benches --bench operations`.

    python operations.py [--threads 2] [--only linear]

Prints the fastest run of each, forward and with all gradients, under the name that the bench gives it.
"""

import argparse
import time

import torch
from torch.nn import functional as F

LAYERS = [
    (96, 56, 7, 1, 96),
    (192, 28, 7, 1, 192),
    (384, 14, 7, 1, 384),
    (768, 7, 7, 1, 768),
    (32, 112, 3, 1, 32),
    (96, 112, 3, 2, 96),
    (144, 56, 5, 2, 144),
    (240, 28, 5, 1, 240),
    (672, 14, 5, 1, 672),
    (128, 56, 3, 1, 32),
    (256, 28, 3, 1, 32),
    (512, 14, 3, 1, 32),
    (1024, 7, 3, 1, 32),
]


def attention(packed, heads):
    """Of what one linear layer makes, to what the next one takes."""
    batch, tokens, width = packed.shape
    queries, keys, values = packed.view(batch, tokens, 3, heads, width // 3 // heads).permute(2, 0, 3, 1, 4)
    joined = F.scaled_dot_product_attention(queries, keys, values).transpose(1, 2)
    return joined.reshape(batch, tokens, width // 3)


def operations():
    """Name, shapes of the inputs and what is done with them."""
    for tokens, channels in [(1576, 1536), (25088, 384)]:
        yield f"gelu/{tokens} x {channels}", [(tokens, channels)], F.gelu
    yield "silu/144, 56²", [(8, 144, 56, 56)], F.silu
    for tokens, channels in [(1576, 384), (25088, 96), (6272, 192), (392, 768)]:
        shapes = [(tokens, channels), (channels,), (channels,)]
        norm = lambda x, gamma, beta: F.layer_norm(x, gamma.shape, gamma, beta, 1e-6)
        yield f"layer norm/{tokens} x {channels}", shapes, norm
    sides = [(197, 384, 1152), (197, 384, 384), (197, 384, 1536), (197, 1536, 384)]
    sides += [(3136, 96, 384), (3136, 384, 96), (49, 768, 3072), (49, 3072, 768)]
    for tokens, ins, outs in sides:
        yield f"linear/8 x {tokens}, {ins} to {outs}", [(8, tokens, ins), (outs, ins), (outs,)], F.linear
    for shape in [(8, 6, 197, 64), (512, 3, 49, 32)]:
        batch, heads, tokens, channels = shape
        name = "attention/" + " x ".join(map(str, shape))
        yield name, [(batch, tokens, 3 * heads * channels)], lambda packed, heads=heads: attention(packed, heads)
    for channels, side, kernel, stride, groups in LAYERS:
        name = f"convolution/{channels} in {groups} groups, {side}², kernel {kernel}, stride {stride}"
        shapes = [(8, channels, side, side), (channels, channels // groups, kernel, kernel)]
        settings = (None, stride, kernel // 2, 1, groups)
        yield name, shapes, lambda x, w, settings=settings: F.conv2d(x, w, *settings)


def fastest(run, seconds):
    """Milliseconds."""
    best, ends = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < ends:
        started = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - started)
    return best * 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="", help="operations whose name holds this")
    parser.add_argument("--seconds", type=float, default=0.3, help="for each time")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for name, shapes, operation in operations():
        if arguments.only not in name:
            continue
        inputs = [torch.rand(shape) * 2 - 1 for shape in shapes]
        trained = [x.clone().requires_grad_() for x in inputs]
        ones = torch.ones_like(operation(*inputs))

        def forward():
            with torch.no_grad():
                operation(*inputs)

        def with_gradients():
            torch.autograd.grad(operation(*trained), trained, ones)

        times = [fastest(run, arguments.seconds) for run in (forward, with_gradients)]
        print(f"{name}: {times[0]:.2f} ms forward, {times[1]:.2f} ms with gradients", flush=True)


main()
