"""Makes the fixture of the losses of methods beside PASS (any PyTorch from 2.0):

    python crates/pass-model/tests/oracle/make_losses.py crates/pass-model/tests/fixtures

`losses.npz` holds each loss and its gradients by the inputs that have one, in float64. The formulas
are those of the papers; inputs are `G(s)` below, not of unit length.
"""

import sys
from pathlib import Path

import numpy
import torch
from torch.nn.functional import normalize


def G(s, n=4, m=3):
    i, j = numpy.meshgrid(numpy.arange(n), numpy.arange(m), indexing="ij")
    return torch.from_numpy(numpy.sin(s + 1.7 * i + 0.6 * j + 0.3 * i * j))


def cross_entropy(logits, columns):
    rows = torch.arange(len(logits))
    return (torch.logsumexp(logits, 1) - logits[rows, columns]).mean()


def nt_xent(a, b, tau):
    z = normalize(torch.cat([a, b]), dim=1)
    n = len(z)
    logits = (z @ z.T / tau).masked_fill(torch.eye(n, dtype=bool), float("-inf"))
    return cross_entropy(logits, (torch.arange(n) + n // 2) % n)


def contrast(q, k, tau):
    logits = normalize(q, dim=1) @ normalize(k.detach(), dim=1).T / tau
    return 2 * tau * cross_entropy(logits, torch.arange(len(q)))


def cosine(p, z):
    return (normalize(p, dim=1) * normalize(z.detach(), dim=1)).sum(1).mean()


def byol(p1, p2, z1, z2):
    return 4 - 2 * cosine(p1, z2) - 2 * cosine(p2, z1)


def simsiam(p1, p2, z1, z2):
    return -(cosine(p1, z2) + cosine(p2, z1)) / 2


def dino(s1, s2, s3, t1, t2, centre):
    total = 0
    for i, teacher in enumerate([t1, t2]):
        target = torch.softmax((teacher - centre) / 0.04, 1).detach()
        for v, student in enumerate([s1, s2, s3]):
            if v != i:
                total = total - (target * torch.log_softmax(student / 0.1, 1)).sum(1).mean()
    return total / 4


def off_diagonal(matrix):
    return (matrix**2).sum() - (torch.diag(matrix) ** 2).sum()


def barlow(a, b):
    unit = lambda z: (z - z.mean(0)) / torch.sqrt(z.var(0, unbiased=False) + 1e-5)
    correlation = unit(a).T @ unit(b) / len(a)
    return ((torch.diag(correlation) - 1) ** 2).sum(), off_diagonal(correlation)


def vicreg(a, b):
    hinge = lambda z: torch.relu(1 - torch.sqrt(z.var(0) + 1e-4)).mean()
    covariance = lambda z: off_diagonal(torch.cov(z.T)) / z.shape[1]
    invariance = ((a - b) ** 2).mean()
    return invariance, (hinge(a) + hinge(b)) / 2, covariance(a) + covariance(b)


def coding_rate(*views):
    rates = []
    for z in views:
        b, d = z.shape
        rates.append(torch.logdet(torch.eye(d) + d / (b * 0.2) * z.T @ z) / 2)
    return sum(rates) / len(rates)


def similarity_to_mean(*views):
    mean = sum(views) / len(views)
    return sum((normalize(z, dim=1) * normalize(mean, dim=1)).sum(1).mean() for z in views) / len(views)


def main(folder):
    torch.set_default_dtype(torch.float64)
    a, b, c, e = (G(s) for s in (1, 2, 3, 4))
    wide = [G(1, 3, 5), G(2, 3, 5)]
    heads = [G(s, 2, 5) for s in (1, 2, 3, 4, 5)]
    centre = 0.1 * torch.cat(heads[3:]).mean(0)
    cases = {
        "nt_xent_0.1": (lambda a, b: nt_xent(a, b, 0.1), [a, b], 1.5252133184),
        "nt_xent_0.5": (lambda a, b: nt_xent(a, b, 0.5), [a, b], 1.1900170534),
        "byol": (byol, [a, b, c, e], 5.0645661779),
        "simsiam": (simsiam, [a, b, c, e], 0.2661415445),
        "moco_v3_1": (lambda q, p, k, l: contrast(q, l, 1) + contrast(p, k, 1), [a, b, c, e], 7.3053379704),
        "moco_v3_0.2": (lambda q, p, k, l: contrast(q, l, 0.2) + contrast(p, k, 0.2), [a, b, c, e], 3.9632572376),
        "dino": (lambda *z: dino(*z, torch.zeros(5)), heads, 11.9864719672),
        "dino_centred": (lambda *z: dino(*z, centre), heads, 12.0047803325),
        "barlow": (lambda a, b: (lambda on, off: on + 0.0051 * off)(*barlow(a, b)), [a, b], 0.5368251317),
        "vicreg": (lambda a, b: sum(w * t for w, t in zip((25, 25, 1), vicreg(a, b))), [a, b], 15.9995731664),
        "vicreg_sum": (lambda a, b: sum(w * t for w, t in zip((25, 50, 1), vicreg(a, b))), [a, b], 20.7195875137),
        "coding_rate": (lambda *z: coding_rate(*(normalize(v, dim=1) for v in z)), [a, b, c], None),
        "coding_rate_wide": (lambda *z: coding_rate(*(normalize(v, dim=1) for v in z)), wide, None),
        "similarity_to_mean": (lambda *z: similarity_to_mean(*(normalize(v, dim=1) for v in z)), [a, b, c], None),
    }
    arrays = {}
    for name, (loss, inputs, expected) in cases.items():
        leaves = [leaf.clone().requires_grad_() for leaf in inputs]
        value = loss(*leaves)
        assert expected is None or abs(value.item() - expected) < 1e-9, (name, value.item())
        arrays[name] = value.detach()
        for index, gradient in enumerate(torch.autograd.grad(value, leaves, allow_unused=True)):
            if gradient is not None:
                arrays[f"{name}_gradient_{index}"] = gradient
    numpy.savez_compressed(folder / "losses.npz", **{key: value.numpy() for key, value in arrays.items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
