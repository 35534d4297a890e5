"""One pre-training step in PyTorch: the peer of `cargo bench -p luss-benches --bench pretrain_step`.

    cargo bench -p luss-benches --bench pretrain_step --no-run
    python pretrain_step.py PATH_OF_THE_BENCH [--steps 3] [--threads 2]

    cargo bench -p luss-benches --features cuda,wgpu --bench pretrain_step --no-run
    python pretrain_step.py PATH_OF_THE_BENCH --device cuda [--precision bfloat16] --warm-up 4 --steps 10

Runs both in turns, each case in a process of its own, and prints the fastest step and the highest
memory of either: resident on the CPU, reserved by the allocator on a GPU. PyTorch runs on CUDA also
where we run on wgpu; there it tunes its convolutions first (cudnn.benchmark), float32 products and
convolutions may take TF32, as burn's may, and bfloat16 is its autocast. The networks, shapes,
losses and the optimiser are the same: SwAV on all crops, pixel-to-pixel alignment on the two large
ones, deep-to-shallow supervision of stage 3, LARC around SGD with momentum; random pictures that are
ready before the clock starts.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

CPU_CASES = [
    ("resnet18", "2x224,6x96", 4),
    ("resnet18", "2x224,6x96", 8),
    ("resnet50", "2x224", 4),
    ("resnet50", "2x224", 8),
]
GPU_CASES = [("resnet18", "2x224,6x96", 64), ("resnet50", "2x224", 64)]
HIDDEN, DIM, PROTOTYPES = 512, 128, 500


def peer(backbone, groups, batch, arguments):
    import torch
    import torchvision
    from torch import nn
    from torch.nn import functional as F

    on_gpu = arguments.device != "cpu"
    device = torch.device("cuda" if on_gpu else "cpu")
    half = arguments.precision == "bfloat16"
    torch.set_num_threads(arguments.threads)
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.manual_seed(1)
    trunk = getattr(torchvision.models, backbone)()
    trunk.fc = nn.Identity()
    width = 512 if backbone == "resnet18" else 2048
    stage3 = 256 if backbone == "resnet18" else 1024
    hidden = HIDDEN

    def mlp(channels):
        return nn.Sequential(
            nn.Linear(channels, hidden), nn.BatchNorm1d(hidden), nn.ReLU(),
            nn.Linear(hidden, DIM), nn.BatchNorm1d(DIM, affine=False))

    def conv(a, b, affine=True):
        return [nn.Conv2d(a, b, 1, bias=False), nn.BatchNorm2d(b, affine=affine)]

    heads = nn.ModuleDict({
        "projection": mlp(width),
        "shallow_pixel": nn.Sequential(
            *conv(stage3, hidden), nn.ReLU(), *conv(hidden, hidden), nn.ReLU(), *conv(hidden, stage3, False)),
        "shallow": mlp(stage3),
        "pixel": nn.Sequential(
            *conv(width, hidden), nn.ReLU(), *conv(hidden, hidden), nn.ReLU(), *conv(hidden, DIM, False)),
        "predictor": nn.Sequential(
            *conv(DIM, DIM), nn.ReLU(), nn.Conv2d(DIM, DIM, 1)),
    })
    trunk, heads = trunk.to(device), heads.to(device)
    prototypes = nn.Parameter(torch.randn(PROTOTYPES, DIM, device=device))
    parameters = [*trunk.parameters(), *heads.parameters(), prototypes]
    momentum = [None] * len(parameters)

    shapes = [tuple(map(int, group.split("x"))) for group in groups.split(",")]
    crops = sum(count for count, _ in shapes)
    pictures = [torch.randn(count * batch, 3, side, side, device=device) for count, side in shapes]
    grids = torch.rand(2 * batch, 7, 7, 2, device=device) * 2 - 1

    def autocast():
        return torch.autocast(device.type, torch.bfloat16, enabled=half)

    def features(x):
        with autocast():
            third, fourth = maps(x)
        return third.float(), fourth.float()

    def maps(x):
        x = trunk.maxpool(trunk.relu(trunk.bn1(trunk.conv1(x))))
        third = trunk.layer3(trunk.layer2(trunk.layer1(x)))
        return third, trunk.layer4(third)

    def sinkhorn(scores):
        q = torch.exp(scores / 0.05)
        for _ in range(3):
            q = q / q.sum(0)
            q = q / q.sum(1, keepdim=True)
        return q

    def cross(q, scores):
        return -(q * F.log_softmax(scores / 0.1, 1)).sum(1).mean()

    def step():
        with torch.no_grad():
            prototypes.copy_(F.normalize(prototypes, dim=1))
        third, fourth = features(pictures[0])
        pooled = [fourth.mean((2, 3))] + [features(x)[1].mean((2, 3)) for x in pictures[1:]]
        embeddings = F.normalize(heads["projection"](torch.cat(pooled)), dim=1)
        scores = embeddings @ prototypes.T
        with torch.no_grad():
            q = [sinkhorn(scores[i * batch:(i + 1) * batch]) for i in (0, 1)]
        loss = 0
        for i in (0, 1):
            others = [v for v in range(crops) if v != i]
            loss = loss + sum(cross(q[i], scores[v * batch:(v + 1) * batch]) for v in others) / len(others) / 2
        with autocast():
            shallow_map = heads["shallow_pixel"](third)
            pixel_map = heads["pixel"](fourth)
        shallow = F.normalize(heads["shallow"](shallow_map.float().mean((2, 3))), dim=1)
        shallow = shallow @ prototypes.detach().T
        d2s = (cross(q[0], shallow[batch:]) + cross(q[1], shallow[:batch])) / 2
        z = F.grid_sample(pixel_map.float(), grids, align_corners=False)
        p = heads["predictor"](z)
        target = torch.cat([z[batch:], z[:batch]]).detach()
        p2p = -F.cosine_similarity(p, target, dim=1).mean()
        total = (loss + d2s) / 2 + p2p
        gradients = torch.autograd.grad(total, parameters)
        with torch.no_grad():
            for i, (w, g) in enumerate(zip(parameters, gradients)):
                a, b = w.norm(), g.norm()
                if a > 0 and b > 0:
                    g = (g + 1e-6 * w) * (1e-3 * a / (b + 1e-6 * a + 1e-8))
                momentum[i] = g.clone() if momentum[i] is None else momentum[i].mul_(0.9).add_(g)
                w.sub_(momentum[i], alpha=0.01)
        return float(total.detach())

    for _ in range(arguments.warm_up):
        step()
    times = []
    for _ in range(arguments.steps):
        started = time.perf_counter()
        step()
        if on_gpu:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    # As ours counts: moving statistics too.
    moving = [b for m in (trunk, heads) for b in m.buffers() if b.is_floating_point()]
    weights = sum(p.numel() for p in [*parameters, *moving])
    peak = torch.cuda.max_memory_reserved() / 2**20 if on_gpu else resident_mib()
    print(json.dumps({"seconds": min(times), "peak_mib": peak, "weights": weights}))


def resident_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(command):
    """The last line of what it prints, as JSON; the lines before it are for people."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{command}: exit code {done.returncode}")
    *words, result = done.stdout.strip().splitlines()
    for line in words:
        print(line, file=sys.stderr)
    return json.loads(result)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bench", nargs="?")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda", "wgpu"])
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--warm-up", type=int, default=1)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--case", nargs=3, action="append", metavar=("BACKBONE", "CROPS", "BATCH"))
    parser.add_argument("--peer", nargs=3)
    arguments = parser.parse_args()
    if arguments.peer:
        backbone, groups, batch = arguments.peer
        return peer(backbone, groups, int(batch), arguments)
    names = ["device", "precision", "warm_up", "steps", "threads"]
    common = [text for name in names for text in ("--" + name.replace("_", "-"), str(getattr(arguments, name)))]
    cases = arguments.case or (CPU_CASES if arguments.device == "cpu" else GPU_CASES)
    print(f"{arguments.device}, {arguments.precision}")
    print("| backbone, crops, batch | ours s | PyTorch s | ratio | ours MiB | PyTorch MiB |")
    print("|---|---|---|---|---|---|", flush=True)
    for backbone, groups, batch in cases:
        case = [backbone, groups, str(batch)]
        ours = run([arguments.bench, *case, *common, "--phases"])
        theirs = run([sys.executable, __file__, "--peer", *case, *common])
        if ours["weights"] != theirs["weights"]:
            print(f"{case}: {ours['weights']} weights of ours, {theirs['weights']} of theirs", file=sys.stderr)
        print(f"| {backbone}, {groups}, {batch} | {ours['seconds']:.3f} | {theirs['seconds']:.3f} | "
              f"{ours['seconds'] / theirs['seconds']:.2f} | {ours['peak_mib']:.0f} | {theirs['peak_mib']:.0f} |",
              flush=True)


main()
