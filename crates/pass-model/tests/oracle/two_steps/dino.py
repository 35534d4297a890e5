"""DINO: two global and two local views, order B. python .../two_steps/dino.py .../fixtures/two_steps

The steps are in epochs of their own: the prototypes keep still in the first, and the teacher's
temperature rises.
"""

import torch
import torch.nn.functional as F
from toy import FEATURES, PICTURES, backbone_shapes, layer, make, mlp_shapes, momentum

RATE, KEEP, CENTRE_KEEP = 0.02, 0.9, 0.8
PROTOTYPES, BOTTLENECK, TAU, TEACHER = 8, 6, 0.2, (0.05, 0.08)
LAYERS = [layer(10, bias=True, act="gelu"), layer(10, bias=True, act="gelu"), layer(BOTTLENECK, bias=True)]


def shapes():
    student = backbone_shapes("backbone.") | mlp_shapes("head.mlp.", FEATURES, LAYERS)
    student["head.prototypes.direction"] = (PROTOTYPES, BOTTLENECK)
    return student | {f"momentum.{key}": shape for key, shape in student.items()}


def memory():
    return {"centre": torch.zeros(PROTOTYPES, dtype=torch.float64)}


def frozen(step):
    return ["head.prototypes.direction"] if step == 0 else []


def logits(net, groups, of):
    pooled = torch.cat([net.backbone(x, f"{of}backbone.") for x in groups])
    z = F.normalize(net.mlp(pooled, f"{of}head.mlp.", LAYERS), dim=1)
    return z @ F.normalize(net.p[f"{of}head.prototypes.direction"], dim=1).T


def loss(net, step, memory):
    groups = [net.pictures(step, 0, 2), net.pictures(step, 1, 2, 16)]
    teacher = logits(net, groups[:1], "momentum.").detach()
    students = logits(net, groups, "").split(PICTURES)
    total = 0
    for i, t in enumerate(teacher.chunk(2)):
        target = torch.softmax((t - memory["centre"]) / TEACHER[step], 1)
        for v, s in enumerate(students):
            if v != i:
                total = total - (target * torch.log_softmax(s / TAU, 1)).sum(1).mean()
    total = total / (2 * (len(students) - 1))
    memory["centre"] = CENTRE_KEEP * memory["centre"] + (1 - CENTRE_KEEP) * teacher.mean(0)
    return {"total": total, "distillation": total}


def after(net, step):
    net.follow(momentum(KEEP, step))


if __name__ == "__main__":
    make("dino")
