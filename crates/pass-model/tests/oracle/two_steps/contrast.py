"""What the methods with keys of a momentum encoder have in common."""

import torch
import torch.nn.functional as F
from toy import FEATURES, backbone_shapes, layer, mlp_shapes, tensor, uniform

PARTS, KEEP, DIM, KEYS = 2, 0.9, 6, 8
LAYERS = [layer(FEATURES, bias=True, act="relu"), layer(DIM, bias=True)]
MEMORY = 1 << 22  # numbers of what a memory starts with


def unit(x):
    return F.normalize(x, dim=-1)


def with_momentum(online):
    return online | {f"momentum.{key}": shape for key, shape in online.items()}


def pair_shapes():
    return with_momentum(backbone_shapes("backbone.") | mlp_shapes("projector.", FEATURES, LAYERS))


def rows(number, count=KEYS):
    return tensor(2 * uniform(MEMORY + number, count * DIM) - 1, (count, DIM))


def ring(name, number):
    return {f"{name}.rows": unit(rows(number)), f"{name}.next": torch.zeros(1)}


def push(memory, name, keys):
    at, count = int(memory[f"{name}.next"]), len(keys)
    moved = memory[f"{name}.rows"].clone()
    moved[at : at + count] = keys.detach()
    memory |= {f"{name}.rows": moved, f"{name}.next": torch.tensor([(at + count) % KEYS])}


def embedding(net, x, of=""):
    return unit(net.mlp(net.backbone(x, f"{of}backbone."), f"{of}projector.", LAYERS))


def queries_and_keys(net, query_view, key_view):
    queries = embedding(net, query_view)
    with torch.no_grad():
        return queries, embedding(net, key_view, "momentum.")


def cross_entropy(logits, columns):
    return (torch.logsumexp(logits, 1) - logits[torch.arange(len(logits)), columns]).mean()


def info_nce(queries, keys, negatives, tau):
    logits = torch.cat([(queries * keys).sum(1, keepdim=True), queries @ negatives.T], 1) / tau
    return cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long))
