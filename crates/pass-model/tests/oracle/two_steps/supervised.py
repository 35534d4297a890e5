"""Supervised training: one crop, cross-entropy. python .../two_steps/supervised.py .../fixtures/two_steps"""

import torch
import torch.nn.functional as F
from toy import FEATURES, PICTURES, backbone_shapes, make

RATE, CLASSES, SMOOTHING = 0.05, 5, 0.1


def shapes():
    classifier = {"classifier.weight": (CLASSES, FEATURES), "classifier.bias": (CLASSES,)}
    return backbone_shapes("backbone.") | classifier


def loss(net, step, memory):
    pooled = net.backbone(net.pictures(step, 0, 1), "backbone.")
    logits = F.linear(pooled, net.p["classifier.weight"], net.p["classifier.bias"])
    labels = torch.arange(PICTURES)
    total = F.cross_entropy(logits, labels, label_smoothing=SMOOTHING)
    accuracy = (logits.argmax(1) == labels).double().mean()
    return {"total": total, "classes": total, "accuracy": accuracy}


if __name__ == "__main__":
    make("supervised")
