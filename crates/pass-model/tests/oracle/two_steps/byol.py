"""BYOL: views apart, order B. python .../two_steps/byol.py .../fixtures/two_steps"""

import torch.nn.functional as F
from toy import FEATURES, backbone_shapes, layer, make, mlp_shapes, momentum

RATE, KEEP, DIM = 0.01, 0.9, 6
HEAD = [layer(10, bias=True, norm="affine", act="relu"), layer(DIM)]


def shapes():
    online = backbone_shapes("backbone.") | mlp_shapes("projector.", FEATURES, HEAD)
    twin = {f"momentum.{key}": shape for key, shape in online.items()}
    return online | twin | mlp_shapes("predictor.", DIM, HEAD)


def after(net, step):
    net.follow(momentum(KEEP, step))


def loss(net, step, memory):
    views = net.pictures(step, 0, 2).chunk(2)
    encode = lambda x, of: net.mlp(net.backbone(x, f"{of}backbone."), f"{of}projector.", HEAD)
    p1, p2 = (net.mlp(encode(x, ""), "predictor.", HEAD) for x in views)
    t1, t2 = (encode(x, "momentum.").detach() for x in views)
    apart = lambda p, t: (F.normalize(p, dim=1) - F.normalize(t, dim=1)).square().sum(1).mean()
    total = apart(p1, t2) + apart(p2, t1)
    return {"total": total, "distance": total}


if __name__ == "__main__":
    make("byol")
