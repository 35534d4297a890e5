"""VICReg: views apart. python .../two_steps/vicreg.py .../fixtures/two_steps"""

import torch
from toy import FEATURES, backbone_shapes, layer, make, mlp_shapes

RATE = 0.0005
HIDDEN = layer(10, bias=True, norm="affine", act="relu")
LAYERS = [HIDDEN, HIDDEN, layer(6)]


def shapes():
    return backbone_shapes("backbone.") | mlp_shapes("projector.", FEATURES, LAYERS)


def spread(z):
    covariance = torch.cov(z.T)
    variances = torch.diag(covariance)
    hinge = torch.relu(1 - torch.sqrt(variances + 1e-4)).mean()
    return hinge, ((covariance**2).sum() - (variances**2).sum()) / z.shape[1]


def loss(net, step, memory):
    views = net.pictures(step, 0, 2).chunk(2)
    a, b = (net.mlp(net.backbone(x, "backbone."), "projector.", LAYERS) for x in views)
    invariance = ((a - b) ** 2).mean()
    (v1, c1), (v2, c2) = spread(a), spread(b)
    variance, covariance = (v1 + v2) / 2, c1 + c2
    total = 25 * invariance + 25 * variance + covariance
    return {"total": total, "invariance": invariance, "variance": variance, "covariance": covariance}


if __name__ == "__main__":
    make("vicreg")
