"""Makes the fixture of the losses with many constant negatives (any PyTorch from 2.0):

    python crates/pass-model/tests/oracle/make_contrast.py crates/pass-model/tests/fixtures

`contrast.npz` holds each loss of MoCo, AdCo, PCL and DenseCL and its gradients by the inputs that have
one, in float64, as `make_losses.py` does; and the gradient of AdCo's bank, and its first step.
"""

import sys
from pathlib import Path

import numpy
import torch
from make_losses import G, cross_entropy
from torch.nn.functional import normalize


def unit(rows):
    return normalize(rows, dim=-1)


def moco(q, k, ring, tau):
    q, k = unit(q), unit(k).detach()
    logits = torch.cat([(q * k).sum(-1, keepdim=True), q @ ring.T], 1) / tau
    return cross_entropy(logits, torch.zeros(len(q), dtype=torch.long))


def adco(q, k, bank, tau):
    logits = unit(q) @ torch.cat([unit(k).detach(), unit(bank)]).T / tau
    return cross_entropy(logits, torch.arange(len(q)))


def proto(q, prototypes, assignments, negatives, phi):
    columns = assignments + negatives
    logits = unit(q) @ prototypes[columns].T / phi[columns]
    return cross_entropy(logits, torch.arange(len(q)))


def dense(features, dense_maps, ring, tau):
    """Maps of queries and of keys, each `[pictures, places, channels]`."""
    matches = (unit(features[0]) @ unit(features[1]).transpose(1, 2)).argmax(2)
    queries, keys = unit(dense_maps[0]), unit(dense_maps[1]).detach()
    chosen = torch.stack([key[match] for key, match in zip(keys, matches)])
    return matches, moco(queries.flatten(0, 1), chosen.flatten(0, 1), ring, tau)


def put(arrays, name, value, leaves, expected):
    assert abs(value.item() - expected) < 1e-9, (name, value.item())
    arrays[name] = value.detach()
    for index, gradient in enumerate(torch.autograd.grad(value, leaves, allow_unused=True)):
        if gradient is not None:
            arrays[f"{name}_gradient_{index}"] = gradient


def put_bank(arrays, a, b):
    bank = (2 * G(3, 6)).requires_grad_()
    for tau, expected in [(0.1, 3.9745997725), (0.02, 18.349536736)]:
        value = adco(a, b, bank, tau)
        assert abs(value.item() - expected) < 1e-8, value.item()
        arrays[f"bank_gradient_{tau}"] = torch.autograd.grad(value, bank)[0]
    velocity = -arrays["bank_gradient_0.1"] + 1e-4 * bank.detach()
    moved = bank.detach() - 3 * velocity
    assert abs(adco(a, b, moved, 0.1).item() - 4.2220690734) < 1e-9
    arrays["bank_after"] = moved
    again = moved.clone().requires_grad_()
    gradient = torch.autograd.grad(adco(a, b, again, 0.1), again)[0]
    arrays["bank_after_two"] = moved - 3 * (0.9 * velocity - gradient + 1e-4 * moved)


def main(folder):
    torch.set_default_dtype(torch.float64)
    a, b = G(1).requires_grad_(), G(2).requires_grad_()
    arrays = {}
    ring, bank = unit(G(3, 6)), 2 * G(3, 6)
    put(arrays, "moco_0.2", moco(a, b, ring, 0.2), [a, b], 2.3499353199)
    put(arrays, "moco_0.07", moco(a, b, ring, 0.07), [a, b], 5.4350084318)
    put(arrays, "adco", adco(a, b, bank, 0.12), [a, b], 3.4285485333)
    put_bank(arrays, a, b)
    phi = torch.tensor([0.11728658, 0.26230656, 0.09579372, 0.26230656, 0.26230656])
    value = proto(a, unit(G(5, 5)), [0, 2, 2, 4], [1, 3], phi)
    arrays["proto"] = value.detach()
    assert abs(value.item() - 6.8655220226) < 1e-6, value.item()  # φ above has eight digits
    arrays["proto_gradient_0"] = torch.autograd.grad(value, a)[0]
    maps = [torch.stack([G(s), G(s + 10)]).requires_grad_() for s in (1, 2, 3, 4)]
    matches, value = dense(maps[:2], maps[2:], unit(G(6, 6)), 0.2)
    assert matches.tolist() == [[0, 1, 2, 2], [3, 1, 2, 3]], matches
    put(arrays, "dense", value, maps, 1.8814007935)
    numpy.savez_compressed(folder / "contrast.npz", **{key: value.detach().numpy() for key, value in arrays.items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
