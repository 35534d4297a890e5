"""EMP-SSL: three patches in one batch. python .../two_steps/emp_ssl.py .../fixtures/two_steps"""

import torch
import torch.nn.functional as F
from toy import FEATURES, PICTURES, backbone_shapes, layer, make, mlp_shapes

RATE, EPSILON = 0.0005, 0.2
HIDDEN = layer(10, bias=True, norm="affine", act="relu")
LAYERS = [HIDDEN, HIDDEN, layer(6, bias=True)]


def shapes():
    return backbone_shapes("backbone.") | mlp_shapes("projector.", FEATURES, LAYERS)


def loss(net, step, memory):
    z = net.mlp(net.backbone(net.pictures(step, 0, 3), "backbone."), "projector.", LAYERS)
    patches = F.normalize(z, dim=1).split(PICTURES)
    mean = F.normalize(sum(patches) / len(patches), dim=1)
    similarity = sum((z * mean).sum(1).mean() for z in patches) / len(patches)
    dim = patches[0].shape[1]
    eye = torch.eye(dim, dtype=torch.float64)
    gram = lambda z: eye + dim / (PICTURES * EPSILON) * z.T @ z
    rate = sum(torch.logdet(gram(z)) / 2 for z in patches) / len(patches)
    return {"total": -200 * similarity - rate, "similarity": -similarity, "rate": -rate}


if __name__ == "__main__":
    make("emp_ssl")
