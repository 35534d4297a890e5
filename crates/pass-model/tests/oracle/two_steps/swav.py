"""SwAV: two and two crops, prototypes that keep still in the first step.
python .../two_steps/swav.py .../fixtures/two_steps"""

import torch
import torch.nn.functional as F
from toy import FEATURES, PICTURES, backbone_shapes, make, norm_shapes

RATE, TAU, EPSILON, DIM, PROTOTYPES = 0.05, 0.2, 0.3, 6, 7


def shapes():
    heads = {"projection.linear1.weight": (10, FEATURES), "projection.linear1.bias": (10,)}
    heads |= norm_shapes("projection.bn1", 10)
    heads |= {"projection.linear2.weight": (DIM, 10), "projection.linear2.bias": (DIM,)}
    heads |= {"prototypes.weight": (PROTOTYPES, DIM)}
    return backbone_shapes("backbone.") | heads


def before(net, step):
    net.p["prototypes.weight"] = F.normalize(net.p["prototypes.weight"].detach(), dim=1)


def frozen(step):
    return ["prototypes.weight"] if step == 0 else []


def embedded(net, crops):
    """The backbone sees each resolution by itself, the projector all crops together."""
    x = torch.cat([net.backbone(x, "backbone.") for x in crops])
    x = F.linear(x, net.p["projection.linear1.weight"], net.p["projection.linear1.bias"])
    x = net.relu(net.norm(x, "projection.bn1"))
    return F.normalize(F.linear(x, net.p["projection.linear2.weight"], net.p["projection.linear2.bias"]), dim=1)


def sinkhorn(scores):
    q = torch.exp(scores / EPSILON).T
    q = q / q.sum()
    for _ in range(3):
        q = q / q.sum(1, keepdim=True) / q.shape[0]
        q = q / q.sum(0, keepdim=True) / q.shape[1]
    return (q * q.shape[1]).T


def loss(net, step, memory):
    z = embedded(net, [net.pictures(step, 0, 2), net.pictures(step, 1, 2, 16)])
    scores = z @ net.p["prototypes.weight"].T
    logs = F.log_softmax(scores / TAU, dim=1).chunk(4)
    total = 0
    for crop in (0, 1):
        with torch.no_grad():
            own = scores[crop * PICTURES : (crop + 1) * PICTURES]
            q = sinkhorn(own)
        others = [logs[v] for v in range(4) if v != crop]
        total = total + sum(-(q * log).sum(1).mean() for log in others) / 3
    total = total / 2
    return {"total": total, "swapped": total}


if __name__ == "__main__":
    make("swav")
