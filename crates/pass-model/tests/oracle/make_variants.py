"""Makes the fixture of the losses that the paper compares with its own (any PyTorch from 2.0):

    python crates/pass-model/tests/oracle/make_variants.py crates/pass-model/tests/fixtures

`loss_variants.npz` holds the inputs in float32 and, in float64, each loss and its gradient.
"""

import sys
from pathlib import Path

import method
import numpy
import torch

PICTURES, DIM, PROTOTYPES = 3, 5, 7


def main(folder):
    g = torch.Generator().manual_seed(4)
    normal = lambda *shape: torch.randn(shape, generator=g).double()
    unit = lambda x: torch.nn.functional.normalize(x, dim=1).float().double()
    z = normal(2 * PICTURES, DIM, 7, 7)
    z[[2, 2 + PICTURES]] = 0  # a picture without overlap
    prototypes = unit(normal(PROTOTYPES, DIM))
    scores = (unit(normal(2 * PICTURES, DIM)) @ prototypes.T).float().double()
    deep = (unit(normal(2 * PICTURES, DIM)) @ prototypes.T).float().double()
    assignments = [method.sinkhorn(view) for view in deep.chunk(2)]
    arrays = {"z": z, "prototypes": prototypes, "scores": scores, "deep": deep}
    for name, leaf, loss in [
        ("contrastive_p2p", z, method.contrastive_p2p),
        ("clustering_p2p", z, lambda z: method.clustering_p2p(z, prototypes)),
        ("d2s_cross", scores, lambda s: method.d2s(assignments, s)),
        ("d2s_same_view", scores, lambda s: method.d2s_same_view(assignments, s)),
        ("d2s_same_stage", scores, method.d2s_same_stage),
    ]:
        leaf = leaf.clone().requires_grad_()
        value = loss(leaf)
        arrays[name] = value.detach()
        arrays[f"{name}_gradient"] = torch.autograd.grad(value, leaf)[0]
    arrays = {key: value.numpy() for key, value in arrays.items()}
    for key in ("z", "prototypes", "scores", "deep"):
        arrays[key] = arrays[key].astype(numpy.float32)
    numpy.savez_compressed(folder / "loss_variants.npz", **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
