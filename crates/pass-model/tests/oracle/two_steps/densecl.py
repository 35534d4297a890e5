"""DenseCL: two rings. python .../two_steps/densecl.py .../fixtures/two_steps"""

import torch
from contrast import DIM, KEEP, PARTS, info_nce, push, ring, unit, with_momentum
from toy import FEATURES, backbone_shapes, layer, make, mlp_shapes

RATE, TAU, DENSE = 0.05, 0.2, 0.3
LAYERS = [layer(10, bias=True, act="relu"), layer(DIM, bias=True)]


def shapes():
    online = backbone_shapes("backbone.")
    for head in ("global", "dense"):
        online |= mlp_shapes(f"heads.{head}.", FEATURES, LAYERS)
    return with_momentum(online)


def memory():
    return ring("global", 0) | ring("dense", 1)


def before(net, step):
    net.follow(KEEP)


def encoded(net, x, of=""):
    """Features of each place, the global embedding, and raw dense ones of each place."""
    maps = net.maps(x, f"{of}backbone.")
    places = maps.flatten(2).transpose(1, 2)
    pooled = net.mlp(maps.mean((2, 3)), f"{of}heads.global.", LAYERS)
    return places, unit(pooled), net.mlp(places, f"{of}heads.dense.", LAYERS)


def loss(net, step, memory):
    query_view, key_view = net.pictures(step, 0, 2).chunk(2)
    features, queries, dense = encoded(net, query_view)
    with torch.no_grad():
        key_features, keys, dense_keys = encoded(net, key_view, "momentum.")
        best = (unit(features) @ unit(key_features).transpose(1, 2)).topk(2)
    net.margin = min(net.margin, (best.values[..., 0] - best.values[..., 1]).min().item())
    chosen = torch.stack([key[match] for key, match in zip(unit(dense_keys), best.indices[..., 0])])
    contrast = info_nce(queries, keys, memory["global.rows"], TAU)
    dense = info_nce(unit(dense).flatten(0, 1), chosen.flatten(0, 1), memory["dense.rows"], TAU)
    push(memory, "global", keys)
    push(memory, "dense", unit(dense_keys.mean(1)))
    total = (1 - DENSE) * contrast + DENSE * dense
    return {"total": total, "contrast": contrast, "dense_contrast": dense}


if __name__ == "__main__":
    make("densecl")
