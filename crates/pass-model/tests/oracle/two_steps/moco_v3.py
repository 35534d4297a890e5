"""MoCo v3: views apart, order A. python .../two_steps/moco_v3.py .../fixtures/two_steps"""

import torch
import torch.nn.functional as F
from toy import FEATURES, backbone_shapes, layer, make, mlp_shapes, momentum

RATE, TAU, KEEP = 0.05, 0.5, 0.9
PROJECTOR = [layer(10, norm="affine", act="relu"), layer(6, norm="plain")]
PREDICTOR = [layer(10, norm="affine", act="relu"), layer(6)]


def shapes():
    online = backbone_shapes("backbone.") | mlp_shapes("projector.", FEATURES, PROJECTOR)
    twin = {f"momentum.{key}": shape for key, shape in online.items()}
    return online | twin | mlp_shapes("predictor.", 6, PREDICTOR)


def before(net, step):
    net.follow(momentum(KEEP, step))


def contrast(q, k):
    s = F.normalize(q, dim=1) @ F.normalize(k.detach(), dim=1).T / TAU
    return 2 * TAU * (torch.logsumexp(s, 1) - torch.diag(s)).mean()


def loss(net, step, memory):
    views = net.pictures(step, 0, 2).chunk(2)
    encode = lambda x, of: net.mlp(net.backbone(x, f"{of}backbone."), f"{of}projector.", PROJECTOR)
    q1, q2 = (net.mlp(encode(x, ""), "predictor.", PREDICTOR) for x in views)
    k1, k2 = (encode(x, "momentum.") for x in views)
    total = contrast(q1, k2) + contrast(q2, k1)
    return {"total": total, "contrast": total}


if __name__ == "__main__":
    make("moco_v3")
