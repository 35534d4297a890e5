"""Two training steps of a method in float64, on a ResNet of two channels.

A method says which heads it has and what its loss is; `make` runs two steps of plain gradient descent
and writes what a test compares. Weights and pictures come from a hash of their numbers (SplitMix64), so
that both sides make them themselves: keys in the order of their bytes have the numbers 0, 1, 2, ...
Of tensors the fixture holds their length and two products with hashed directions.

It shares nothing with the Rust code but the names of parameters.
"""

import json
import math
import sys
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F

PICTURES, SIDE, WIDTH, FEATURES = 4, 32, 2, 16
INPUTS, PROBES = 1 << 20, 1 << 21  # numbers of pictures and of directions
MARGIN = 1e-5  # of the deviation before a ReLU; float32 rounds to less
TRIES = 100


def uniform(tensor, count):
    z = (numpy.uint64(tensor) << numpy.uint64(32)) + numpy.arange(count, dtype=numpy.uint64)
    z = z + numpy.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    z = z ^ (z >> numpy.uint64(31))
    return (z >> numpy.uint64(11)).astype(numpy.float64) / 2.0**53


def tensor(values, shape):
    return torch.from_numpy(values.astype(numpy.float32).astype(numpy.float64)).reshape(shape)


def weights(number, key, shape):
    count, last = math.prod(shape), key.rsplit(".", 1)[-1]
    u = uniform(number, count)
    if last == "running_var" or (last == "weight" and len(shape) == 1):
        return tensor(0.5 + u, shape)
    bound = math.sqrt(3 * shape[0] / count) if last == "weight" else 0.2
    return tensor(bound * (2 * u - 1), shape)


def digest(x):
    x = x.detach().reshape(-1).numpy()
    return [math.sqrt((x * x).sum())] + [(x * (2 * uniform(PROBES + k, x.size) - 1)).sum() for k in (0, 1)]


def norm_shapes(key, channels, scale=True, shift=True):
    names = ["running_mean", "running_var"] + ["weight"] * scale + ["bias"] * shift
    return {f"{key}.{name}": (channels,) for name in names}


def backbone_shapes(prefix):
    shapes = {f"{prefix}conv1.weight": (WIDTH, 3, 7, 7), **norm_shapes(f"{prefix}bn1", WIDTH)}
    inputs = WIDTH
    for stage in (1, 2, 3, 4):
        width, key = WIDTH << (stage - 1), f"{prefix}layer{stage}.0"
        shapes |= {f"{key}.conv1.weight": (width, inputs, 3, 3), f"{key}.conv2.weight": (width, width, 3, 3)}
        shapes |= norm_shapes(f"{key}.bn1", width) | norm_shapes(f"{key}.bn2", width)
        if inputs != width:
            shapes[f"{key}.downsample.conv.weight"] = (width, inputs, 1, 1)
            shapes |= norm_shapes(f"{key}.downsample.bn", width)
        inputs = width
    return shapes


def layer(width, bias=False, norm=None, act=None):
    """`norm`: None, "affine", "scale" or "plain"."""
    return {"width": width, "bias": bias, "norm": norm, "act": act}


def mlp_shapes(prefix, inputs, layers):
    shapes = {}
    for index, it in enumerate(layers):
        key = f"{prefix}layers.{index}"
        shapes[f"{key}.linear.weight"] = (it["width"], inputs)
        if it["bias"]:
            shapes[f"{key}.linear.bias"] = (it["width"],)
        if it["norm"]:
            shapes |= norm_shapes(f"{key}.bn", it["width"], it["norm"] != "plain", it["norm"] == "affine")
        inputs = it["width"]
    return shapes


class Toy:
    def __init__(self, shapes, start):
        self.margin = math.inf
        self.start = start  # of the numbers of pictures
        self.parts = 1  # of a batch, each with its own statistics
        self.p = {key: weights(number, key, shapes[key]) for number, key in enumerate(sorted(shapes))}
        self.trained = [k for k in self.p if ".running_" not in k and "momentum." not in k]

    def pictures(self, step, group, crops, side=SIDE):
        shape = (crops * PICTURES, 3, side, side)
        number = INPUTS + self.start + 4 * step + group
        return tensor(2 * uniform(number, math.prod(shape)) - 1, shape)

    def frames(self):
        """Where the crops of both views lie: left, upper, right, lower edge; one is mirrored."""
        left, top = torch.arange(2 * PICTURES) % PICTURES * 0.0625, torch.arange(2 * PICTURES) // PICTURES * 0.125
        frames = torch.stack([left, top, left + 0.625, top + 0.75], 1).double()
        frames[PICTURES + 1] = frames[PICTURES + 1][[2, 1, 0, 3]]
        return frames

    def norm(self, x, key):
        mean, var = (self.p[f"{key}.running_{name}"] for name in ("mean", "var"))
        affine = self.p.get(f"{key}.weight"), self.p.get(f"{key}.bias")
        if self.parts == 0:  # moving statistics
            return F.batch_norm(x, mean, var, *affine, eps=1e-5)
        first, *others = x.chunk(self.parts)  # moving statistics follow the first
        first = F.batch_norm(first, mean, var, *affine, training=True, momentum=0.1, eps=1e-5)
        others = [F.batch_norm(part, None, None, *affine, training=True) for part in others]
        return torch.cat([first, *others])

    def relu(self, x):
        self.margin = min(self.margin, (x.detach().abs().min() / x.detach().std()).item())
        return F.relu(x)

    def conv(self, x, key, stride=1, padding=0):
        return F.conv2d(x, self.p[f"{key}.weight"], None, stride, padding)

    def maps(self, x, prefix=""):
        """Features at each place."""
        x = self.relu(self.norm(self.conv(x, f"{prefix}conv1", 2, 3), f"{prefix}bn1"))
        for stage in (1, 2, 3, 4):
            key, stride = f"{prefix}layer{stage}.0", 1 if stage == 1 else 2
            y = self.relu(self.norm(self.conv(x, f"{key}.conv1", stride, 1), f"{key}.bn1"))
            y = self.norm(self.conv(y, f"{key}.conv2", 1, 1), f"{key}.bn2")
            if stage > 1:
                x = self.norm(self.conv(x, f"{key}.downsample.conv", stride), f"{key}.downsample.bn")
            x = self.relu(x + y)
        return x

    def backbone(self, x, prefix=""):
        """Pooled features."""
        return self.maps(x, prefix).mean((2, 3))

    def mlp(self, x, prefix, layers):
        for index, it in enumerate(layers):
            key = f"{prefix}layers.{index}"
            x = F.linear(x, self.p[f"{key}.linear.weight"], self.p.get(f"{key}.linear.bias"))
            x = self.norm(x, f"{key}.bn") if it["norm"] else x
            x = {"relu": self.relu, "gelu": F.gelu, None: lambda x: x}[it["act"]](x)
        return x

    def follow(self, keep):
        """The momentum encoder, of what it has of the trained parameters; buffers stay."""
        for key in self.p:
            if key.startswith("momentum.") and ".running_" not in key:
                own, trained = self.p[key], self.p[key.removeprefix("momentum.")].detach()
                self.p[key] = keep * own + (1 - keep) * trained


def momentum(base, step, steps=4):
    return 1 - (1 - base) * (1 + math.cos(math.pi * step / steps)) / 2


def two_steps(method, start):
    net = Toy(method.shapes(), start)
    net.parts = getattr(method, "PARTS", 1)
    result = {"start": start, "rate": method.RATE}
    before = {key: value.clone() for key, value in net.p.items()}
    memory = method.memory() if hasattr(method, "memory") else {}
    for step in (0, 1):
        if hasattr(method, "before"):
            method.before(net, step)
        leaves = {key: net.p[key].detach().requires_grad_() for key in net.trained}
        net.p |= leaves
        terms = method.loss(net, step, memory)
        gradients = torch.autograd.grad(terms["total"], leaves.values(), allow_unused=True)
        still = method.frozen(step) if hasattr(method, "frozen") else []
        for key, gradient in zip(leaves, gradients):
            if gradient is not None:
                result[f"gradient{step}/{key}"] = digest(gradient)
                if key not in still:
                    net.p[key] = net.p[key].detach() - method.RATE * gradient
        result |= {f"loss{step}/{name}": value.item() for name, value in terms.items()}
        if hasattr(method, "after"):
            method.after(net, step)
    result |= {f"moved/{key}": digest(net.p[key] - before[key]) for key in net.p}
    result |= {f"size/{key}": digest(net.p[key])[0] for key in net.p}
    result |= {f"memory/{key}": value.flatten().tolist() for key, value in memory.items()}
    return net.margin, result


def short(value):
    """Nine digits."""
    return [short(one) for one in value] if isinstance(value, list) else float(f"{value:.8e}")


def make(name):
    """The first start of pictures that keeps all kinks away: gradients jump where one is crossed."""
    method = sys.modules["__main__"]
    first = getattr(method, "START", 0)
    for start in range(first, first + 16 * TRIES, 16):
        margin, result = two_steps(method, start)
        if margin > MARGIN:
            path = Path(sys.argv[1]) / f"{name}.json"
            lines = (f'"{key}": {json.dumps(short(value))}' for key, value in result.items())
            path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
            return
    raise SystemExit("no pictures are far from all kinks")
