"""Makes the fixtures of whole training steps (any PyTorch from 2.0; about a minute):

    python crates/pass-model/tests/oracle/make_steps.py crates/pass-model/tests/fixtures

A ResNet-18 of three channels learns on two global crops of 48 pixels and two local ones of 24, of
four pictures, one of them without overlap. All numbers are float64; the files hold

    step_weights.safetensors   the network of step 1 at the start, with the published keys
    step_inputs.npz            crops (u8), grids, frames, queue, labels, the new parameters of the
                               other steps
    pass_s_step.npz, pass_p_step.npz, attention_step.npz, finetune_step.npz

and of each step the loss terms, all gradients, and what three updates add to parameters and moving
statistics. Tensors of the last three are 16-bit shares of their largest magnitude ("NAME/scale"),
exact to 1.5e-5 of it. The seed is the first one that keeps every kink (ReLU, maximum, the rim of a
positive pair) and every loss term away from zero: gradients jump where one is crossed.
"""

import sys
from pathlib import Path

import method
import numpy
import torch
from safetensors.torch import save_file

WIDTH, HIDDEN, DIM, PROTOTYPES, CLASSES = 3, 10, 6, 7, 5
PICTURES, GLOBAL, LOCAL, SIDE = 4, 48, 24, 96
SHALLOW = (3, 2)
UPDATES, ITERATIONS, FROZEN = 3, 5, 1  # the schedule has five iterations, prototypes wait for one
WARM_UP = 25_000
FIRST_SEED = 487  # of the seeds from 0 on the first that serves; the search takes minutes
# Of the deviation of the values before a ReLU, in each update; float32 rounds to 1e-6 of it there.
MARGINS = (2e-5, 8e-6, 8e-6)
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.228, 0.224, 0.225)


class Maker:
    """Draws parameters and buffers under the keys of the checkpoints."""

    def __init__(self, generator):
        self.g, self.p, self.b = generator, {}, {}

    def uniform(self, shape, low, high):
        return low + (high - low) * torch.rand(shape, generator=self.g, dtype=torch.float64)

    def layer(self, key, out, inputs, kernel=None, bias=False):
        shape = (out, inputs) if kernel is None else (out, inputs, kernel, kernel)
        fan_in = inputs * (kernel or 1) ** 2
        self.p[f"{key}.weight"] = self.uniform(shape, -1, 1) * (3 / fan_in) ** 0.5
        if bias:
            self.p[f"{key}.bias"] = self.uniform((out,), -1, 1) / fan_in**0.5

    def norm(self, key, channels, affine=True, zero=False):
        if affine:
            self.p[f"{key}.weight"] = self.uniform((channels,), 0.6, 1.4)
            shift = 0.0 if zero else 1.0  # a zero shift takes its first update with the raw gradient
            self.p[f"{key}.bias"] = self.uniform((channels,), -0.3, 0.3) * shift
        self.b[f"{key}.running_mean"] = self.uniform((channels,), -0.5, 0.5)
        self.b[f"{key}.running_var"] = self.uniform((channels,), 0.5, 1.5)

    def backbone(self):
        self.layer("conv1", WIDTH, 3, 7)
        self.norm("bn1", WIDTH)
        inputs = WIDTH
        for stage in (1, 2, 3, 4):
            width = WIDTH << (stage - 1)
            for index in range(method.BLOCKS):
                key = f"layer{stage}.{index}"
                self.layer(f"{key}.conv1", width, inputs, 3)
                self.norm(f"{key}.bn1", width, zero=key == "layer4.1")
                self.layer(f"{key}.conv2", width, width, 3)
                self.norm(f"{key}.bn2", width)
                if inputs != width:
                    self.layer(f"{key}.downsample.0", width, inputs, 1)
                    self.norm(f"{key}.downsample.1", width)
                inputs = width

    def projection(self, key, inputs):
        self.layer(f"{key}.0", HIDDEN, inputs, bias=True)
        self.norm(f"{key}.1", HIDDEN)
        self.layer(f"{key}.3", DIM, HIDDEN, bias=True)
        self.norm(f"{key}.4", DIM, affine=False)

    def pixel_mlp(self, key, inputs, out):
        for index, (o, i) in enumerate([(HIDDEN, inputs), (HIDDEN, HIDDEN), (out, HIDDEN)]):
            self.layer(f"{key}.{3 * index}", o, i, 1)
            self.norm(f"{key}.{3 * index + 1}", o, affine=index < 2)

    def pretrain_net(self):
        features = WIDTH << 3
        self.backbone()
        self.projection("projection_head", features)
        self.layer("prototypes", PROTOTYPES, DIM)
        self.pixel_mlp("projection_head_pixel", features, DIM)
        self.layer("predictor_head_pixel.0", DIM, DIM, 1)
        self.norm("predictor_head_pixel.1", DIM)
        self.layer("predictor_head_pixel.3", DIM, DIM, 1, bias=True)
        for stage in SHALLOW:
            channels = WIDTH << (stage - 1)
            key = f"projection_head_pixel_shallow.projection_head_pixel{stage}"
            self.pixel_mlp(key, channels, channels)
            self.projection(f"projection_head_shallow.projection_head_shallow{stage}", channels)

    def consistency(self):
        self.layer("consistency.projection.conv1", HIDDEN, WIDTH << 3, 1, bias=True)
        self.norm("consistency.projection.bn1", HIDDEN)
        self.layer("consistency.projection.conv2", DIM, HIDDEN, 1, bias=True)
        self.layer("consistency.propagation.transform", DIM, DIM, 1, bias=True)

    def attention(self):
        channels = WIDTH << 3
        for index in (0, 3):
            self.layer(f"fbg.atten.{index}", channels, channels, 1, bias=True)
            self.norm(f"fbg.atten.{index + 1}", channels)
        self.p["fbg.threshold"] = torch.zeros((1, channels, 1, 1), dtype=torch.float64)

    def head(self):
        self.layer("last_layer", CLASSES + 1, WIDTH << 3, 1, bias=True)

    def rounded(self):
        """Start from what float32 can hold."""
        for tensors in (self.p, self.b):
            for key, value in tensors.items():
                tensors[key] = value.float().double()
        return self


def made(seed, *parts):
    maker = Maker(torch.Generator().manual_seed(seed))
    for part in parts:
        getattr(maker, part)()
    return maker.rounded()


def frame(random, inside):
    """left, top, width, height, flip of a crop within `inside` (left, top, right, bottom)."""
    left, top, right, bottom = inside
    width, height = random.integers((right - left) // 2, right - left + 1), \
        random.integers((bottom - top) // 2, bottom - top + 1)
    return (random.integers(left, right - width + 1), random.integers(top, bottom - height + 1),
            width, height, random.integers(0, 2))


def cut(picture, at, side):
    left, top, width, height, flip = at
    part = torch.tensor(picture[top : top + height, left : left + width]).permute(2, 0, 1)[None]
    part = torch.nn.functional.interpolate(part, (side, side), mode="bilinear", align_corners=False)
    return torch.round(part[0].flip(2) if flip else part[0]).to(torch.uint8)


def grid(own, other):
    """7×7 points over the overlap in the coordinates of `own`, -2 where there is none."""
    x0, y0 = max(own[0], other[0]), max(own[1], other[1])
    x1 = min(own[0] + own[2], other[0] + other[2])
    y1 = min(own[1] + own[3], other[1] + other[3])
    if x0 >= x1 or y0 >= y1:
        return torch.full((7, 7, 2), -2.0, dtype=torch.float64)
    steps = torch.arange(7, dtype=torch.float64) / 6
    u = ((x0 - own[0]) + steps * (x1 - x0)) / own[2]
    v = ((y0 - own[1]) + steps * (y1 - y0)) / own[3]
    u = 1 - u if own[4] else u
    return torch.stack([2 * u[None, :].expand(7, 7) - 1, 2 * v[:, None].expand(7, 7) - 1], -1)


def coordinates(at):
    """x0, y0, x1, y1 of a crop as PixPro writes them; a mirrored crop runs from right to left."""
    left, top, width, height, flip = at
    x0, x1 = left / (SIDE - 1), (left + width - 1) / (SIDE - 1)
    y0, y1 = top / (SIDE - 1), (top + height - 1) / (SIDE - 1)
    return [x1, y0, x0, y1] if flip else [x0, y0, x1, y1]


def picture(random):
    """Soft blobs of colour and a little noise."""
    y, x = numpy.mgrid[0:SIDE, 0:SIDE] / SIDE
    canvas = numpy.full((SIDE, SIDE, 3), 120.0)
    for _ in range(9):
        (cx, cy), radius = random.random(2), random.uniform(0.05, 0.3)
        blob = numpy.exp(-((x - cx) ** 2 + (y - cy) ** 2) / radius**2)
        canvas += blob[..., None] * random.uniform(-130, 130, 3)
    return numpy.clip(canvas + random.normal(0, 6, canvas.shape), 0, 255)


def inputs(seed):
    random = numpy.random.default_rng(seed)
    crops = {v: [] for v in range(4)}
    frames = {0: [], 1: []}
    whole = (0, 0, SIDE, SIDE)
    for index in range(PICTURES):
        canvas = picture(random)
        apart = index == PICTURES - 1
        halves = [(0, 0, SIDE // 2, SIDE), (SIDE // 2, 0, SIDE, SIDE)] if apart else [whole, whole]
        for view in range(4):
            at = frame(random, halves[view] if view < 2 else whole)
            crops[view].append(cut(canvas, at, GLOBAL if view < 2 else LOCAL))
            if view < 2:
                frames[view].append(at)
    stack = lambda views: torch.stack([crop for view in views for crop in crops[view]])
    grids = [grid(a, b) for a, b in zip(frames[0], frames[1])] \
        + [grid(b, a) for a, b in zip(frames[0], frames[1])]
    queue = torch.tensor(random.normal(size=(2, 2 * PICTURES, DIM)))
    return {
        "global": stack((0, 1)), "local": stack((2, 3)), "grids": torch.stack(grids).float().double(),
        "frames": torch.tensor([coordinates(at) for view in (0, 1) for at in frames[view]])
                  .double().float().double(),
        "queue": torch.nn.functional.normalize(queue, dim=2).float().double(),
        "labels": torch.tensor(random.integers(0, CLASSES + 1, (PICTURES, LOCAL, LOCAL))),
    }


def tensor(crops):
    mean, deviation = (torch.tensor(v).double().reshape(1, 3, 1, 1) for v in (MEAN, DEVIATION))
    return (crops.double() / 255 - mean) / deviation


class Steps:
    """Three updates of a network; keeps the first losses and gradients."""

    def __init__(self, start, trained, larc, rate):
        self.p = {key: value.clone() for key, value in start.p.items()}
        self.b = {key: value.clone() for key, value in start.b.items()}
        self.start = {**start.p, **start.b}
        self.trained = [key for key in self.p if trained(key)]
        self.larc, self.rate = larc, rate
        self.result, self.margins = {}, []

    def run(self, losses, frozen=0):
        for index in range(UPDATES):
            with torch.no_grad():
                if "prototypes.weight" in self.p:
                    rows = torch.nn.functional.normalize(self.p["prototypes.weight"], dim=1)
                    self.p["prototypes.weight"].copy_(rows)
            for key in self.p:
                self.p[key].requires_grad_(key in self.trained)
            net = method.Pass(self.p, self.b)
            terms = losses(net, index)
            leaves = [self.p[key] for key in self.trained]
            gradients = torch.autograd.grad(list(terms.values())[-1], leaves, allow_unused=True)
            gradients = {k: g for k, g in zip(self.trained, gradients) if g is not None}
            for key in self.p:
                self.p[key].requires_grad_(False)
            self.margins.append(net.margin)
            if index == 0:
                self.result |= {f"grad/{key}": value for key, value in gradients.items()}
            self.result |= {f"loss{index}/{k}": v.detach() for k, v in terms.items()}
            if index < frozen:
                gradients.pop("prototypes.weight")
            self.larc.step(self.rate(index), self.p, gradients)
        for key, value in {**self.p, **self.b}.items():
            self.result[f"moved/{key}"] = value - self.start[key]
        return self


def cosine(base):
    return lambda index: method.cosine(index, ITERATIONS, base, 6e-4)


def warm_up(index):
    """The first rates of PixPro: from 0.01 to 1 in five epochs of 1.28 million pictures, 256 a step."""
    return 0.01 + 0.99 * index / (WARM_UP - 1)


def lifted(start):
    """Without shifts of zero: only LARC has a case for them, and here nothing could be told from their
    first steps but the gradient, which is compared already."""
    for key, value in start.p.items():
        if not value.any():
            start.p[key] = torch.full_like(value, 0.2).float().double()
    return start


def only_last(terms):
    """The minimised term at the end."""
    return {**{k: v for k, v in terms.items() if k != "total"}, "total": terms["total"]}


def pass_s(seed, data):
    queue = list(data["queue"])
    groups = [tensor(data["global"]), tensor(data["local"])]
    steps = Steps(made(seed, "pretrain_net"), lambda key: True, method.Larc(), cosine(0.6))
    return steps.run(lambda net, _: only_last(
        method.pass_s_losses(net, groups, data["grids"], SHALLOW, queue, 4)[0]), FROZEN)


def pass_p(seed, data):
    queue, groups = list(data["queue"]), [tensor(data["global"])]
    online = lifted(made(seed, "pretrain_net", "consistency"))
    backbone = ("conv1.", "bn1.", "layer")
    # The encoder that follows starts as three quarters of the other, so that its way is worth measuring.
    name = lambda key: key.removeprefix("consistency.")
    followed = [k for k in online.p if k.startswith(backbone + ("consistency.projection",))]
    target = {name(k): online.p[k] * 0.75 for k in followed}
    buffers = {name(k): v.clone() for k, v in online.b.items()
               if k.startswith(backbone + ("consistency.projection",))}
    start = {**target, **{k: v.clone() for k, v in buffers.items()}}
    steps = Steps(online, lambda key: True, method.PixproLars(1e-5), warm_up)

    def losses(net, index):
        rate = method.momentum_rate(index, ITERATIONS)
        with torch.no_grad():
            for key in followed:
                target[name(key)] = rate * target[name(key)] + (1 - rate) * net.p[key]
        momentum = method.Pass(target, buffers)
        terms, edge, pairs = method.pass_p_losses(net, momentum, groups, data["grids"],
                                                  data["frames"], SHALLOW, queue, 0.7)
        net.margin = min(net.margin, momentum.margin, edge)
        steps.result["pairs"] = pairs.sum()
        return only_last(terms)

    steps.run(losses, FROZEN)
    for key, value in {**target, **buffers}.items():
        steps.result[f"moved/momentum.{key}"] = value - start[key]
    return steps


def attention(seed, data):
    start, new = made(seed, "pretrain_net"), made(seed + 1, "attention")
    start.p |= new.p
    start.b |= new.b
    queue, pictures = list(data["queue"]), tensor(data["global"])
    trains = lambda key: "fbg" in key or "prototypes" in key
    steps = Steps(start, trains, method.Larc(), cosine(6.0))
    return steps.run(lambda net, _: method.attention_loss(net, pictures, queue))


def finetune(seed, data):
    start, new = made(seed, "pretrain_net"), made(seed + 2, "head")
    backbone = lambda key: key.startswith(("conv1.", "bn1.", "layer"))
    start.p = {k: v for k, v in start.p.items() if backbone(k)} | new.p
    start.b = {k: v for k, v in start.b.items() if backbone(k)}
    pictures = tensor(data["global"][:PICTURES])
    steps = Steps(start, lambda key: True, method.Larc(), cosine(0.6))
    return steps.run(lambda net, _: method.fine_tuning_loss(net, pictures, data["labels"]))


STEPS = {"pass_s": pass_s, "pass_p": pass_p, "attention": attention, "finetune": finetune}


def usable(steps):
    terms = [value.abs().item() for key, value in steps.result.items() if key.startswith("loss0/")]
    return min(m / n for m, n in zip(steps.margins, MARGINS)) > 1 and min(terms) > 0.02


def packed(result):
    arrays = {}
    for key, value in result.items():
        if key.split("/")[0] in ("grad", "moved"):
            scale = max(value.abs().max().item(), 1e-300)
            shares = torch.round(value / scale * 32767).to(torch.int16)
            arrays[key], arrays[f"{key}/scale"] = shares.numpy(), numpy.float64(scale / 32767)
        else:
            arrays[key] = value.numpy()
    return arrays


def main(folder):
    for seed in range(FIRST_SEED, 10_000):
        data, results = inputs(seed), {}
        for name, step in STEPS.items():
            results[name] = step(seed, data)
            if not usable(results[name]):
                break
        else:
            break
    net = made(seed, "pretrain_net")
    single = lambda tensors: {key: value.float().contiguous() for key, value in tensors.items()}
    save_file(single({**net.p, **net.b}), folder / "step_weights.safetensors")
    others = {part: made(seed + offset, *names) for part, offset, names in
              [("pass_p", 0, ("pretrain_net", "consistency")), ("attention", 1, ("attention",)),
               ("finetune", 2, ("head",))]}
    lifted(others["pass_p"])
    known = {**net.p, **net.b}
    for part, new in others.items():
        tensors = {**new.p, **new.b}.items()
        fresh = {k: v for k, v in tensors if k not in known or not known[k].any()}
        data |= {f"{part}/{key}": value.float() for key, value in fresh.items()}
    numpy.savez_compressed(folder / "step_inputs.npz", **{k: v.numpy() for k, v in data.items()})
    print("seed", seed)
    for name, steps in results.items():
        numpy.savez_compressed(folder / f"{name}_step.npz", **packed(steps.result))
        losses = {k: round(v.item(), 5) for k, v in steps.result.items() if k.startswith("loss")}
        print(name, "margins", [f"{m:.1e}" for m in steps.margins], losses)


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)  # tensors are tiny
    main(Path(sys.argv[1]))
