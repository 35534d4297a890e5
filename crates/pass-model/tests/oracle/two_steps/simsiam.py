"""SimSiam: views apart, targets of the network itself. python .../two_steps/simsiam.py .../fixtures/two_steps"""

import torch.nn.functional as F
from toy import FEATURES, backbone_shapes, layer, make, mlp_shapes

RATE, DIM = 0.01, 6
START = 48
HIDDEN = layer(FEATURES, norm="affine", act="relu")
PROJECTOR = [HIDDEN, HIDDEN, layer(DIM, norm="plain")]
PREDICTOR = [layer(10, norm="affine", act="relu"), layer(DIM, bias=True)]


def shapes():
    heads = mlp_shapes("projector.", FEATURES, PROJECTOR) | mlp_shapes("predictor.", DIM, PREDICTOR)
    return backbone_shapes("backbone.") | heads


def loss(net, step, memory):
    views = net.pictures(step, 0, 2).chunk(2)
    z1, z2 = (net.mlp(net.backbone(x, "backbone."), "projector.", PROJECTOR) for x in views)
    p1, p2 = (net.mlp(z, "predictor.", PREDICTOR) for z in (z1, z2))
    cosine = lambda p, z: F.cosine_similarity(p, z.detach(), dim=1).mean()
    total = -(cosine(p1, z2) + cosine(p2, z1)) / 2
    return {"total": total, "similarity": total}


if __name__ == "__main__":
    make("simsiam")
