"""SimCLR: both views in one batch. python .../two_steps/simclr.py .../fixtures/two_steps"""

import torch
import torch.nn.functional as F
from toy import FEATURES, PICTURES, backbone_shapes, layer, make, mlp_shapes

RATE, TAU = 0.01, 0.2
LAYERS = [layer(FEATURES, norm="affine", act="relu"), layer(6, norm="scale")]


def shapes():
    return backbone_shapes("backbone.") | mlp_shapes("projector.", FEATURES, LAYERS)


def loss(net, step, memory):
    z = net.mlp(net.backbone(net.pictures(step, 0, 2), "backbone."), "projector.", LAYERS)
    z = F.normalize(z, dim=1)
    rows = len(z)
    s = (z @ z.T / TAU).masked_fill(torch.eye(rows, dtype=bool), float("-inf"))
    partner = (torch.arange(rows) + PICTURES) % rows
    total = (torch.logsumexp(s, 1) - s[torch.arange(rows), partner]).mean()
    return {"total": total, "contrast": total}


if __name__ == "__main__":
    make("simclr")
