"""Barlow Twins: views apart. python .../two_steps/barlow_twins.py .../fixtures/two_steps"""

import torch
from toy import FEATURES, backbone_shapes, layer, make, mlp_shapes

RATE, LAMBDA = 0.001, 0.02
START = 48
HIDDEN = layer(10, norm="affine", act="relu")
LAYERS = [HIDDEN, HIDDEN, layer(6)]


def shapes():
    return backbone_shapes("backbone.") | mlp_shapes("projector.", FEATURES, LAYERS)


def loss(net, step, memory):
    views = net.pictures(step, 0, 2).chunk(2)
    z = [net.mlp(net.backbone(x, "backbone."), "projector.", LAYERS) for x in views]
    unit = [(x - x.mean(0)) / torch.sqrt(x.var(0, unbiased=False) + 1e-5) for x in z]
    c = unit[0].T @ unit[1] / len(unit[0])
    on = torch.diag(c)
    diagonal, off = ((on - 1) ** 2).sum(), (c**2).sum() - (on**2).sum()
    return {"total": diagonal + LAMBDA * off, "diagonal": diagonal, "off_diagonal": off}


if __name__ == "__main__":
    make("barlow_twins")
