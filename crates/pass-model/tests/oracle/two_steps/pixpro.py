"""PixPro with its loss of whole pictures: views apart, order A. python .../two_steps/pixpro.py .../fixtures/two_steps"""

import torch
import torch.nn.functional as F
from toy import FEATURES, PICTURES, backbone_shapes, layer, make, mlp_shapes, momentum

RATE, KEEP, DIM, RATIO, INSTANCE = 0.05, 0.9, 6, 0.7, 0.5
HEAD = [layer(10, bias=True, norm="affine", act="relu"), layer(DIM, bias=True)]


def shapes():
    online = backbone_shapes("backbone.") | mlp_shapes("projector.", FEATURES, HEAD)
    twin = {f"momentum.{key}": shape for key, shape in online.items()}
    transform = {"propagation.transform.weight": (DIM, DIM, 1, 1), "propagation.transform.bias": (DIM,)}
    instance = mlp_shapes("instance.projector.", FEATURES, HEAD) | mlp_shapes("instance.predictor.", DIM, HEAD)
    return online | twin | transform | instance | mlp_shapes("instance.momentum.", FEATURES, HEAD)


def before(net, step):
    keep = momentum(KEEP, step)
    net.follow(keep)
    for key in net.p:
        if key.startswith("instance.momentum.") and ".running_" not in key:
            followed = net.p[key.replace("momentum", "projector")].detach()
            net.p[key] = keep * net.p[key].detach() + (1 - keep) * followed


def on_maps(net, maps, prefix):
    """A head at each place, `[pictures, places, dim]`; its norms join all places of all pictures."""
    places = maps.flatten(2).transpose(1, 2)
    return net.mlp(places.flatten(0, 1), prefix, HEAD).unflatten(0, places.shape[:2])


def propagated(net, x):
    weight, bias = (net.p[f"propagation.transform.{name}"] for name in ("weight", "bias"))
    unit = F.normalize(x, dim=2)
    alike = (unit @ unit.transpose(1, 2)).clamp(min=0).square()
    g = F.normalize(F.linear(x, weight.flatten(1), bias), dim=2)
    return F.normalize(alike @ g, dim=2)


def encoded(net, x):
    """Propagated, target; of whole pictures prediction and target."""
    maps = net.maps(x, "backbone.")
    y = propagated(net, on_maps(net, maps, "projector."))
    projected = on_maps(net, maps, "instance.projector.").transpose(1, 2)
    p = on_maps(net, projected.unflatten(2, maps.shape[2:]), "instance.predictor.").mean(1)
    with torch.no_grad():
        maps = net.maps(x, "momentum.backbone.")
        target = F.normalize(on_maps(net, maps, "momentum.projector."), dim=2)
        whole = on_maps(net, maps, "instance.momentum.").mean(1)
    return y, target, p, whole


def centres(frames, height, width):
    """Of each place in shares of the picture, and the diagonal of a place."""
    left, top, right, bottom = frames.T[:, :, None]
    x = left + (right - left) * (torch.arange(width) + 0.5) / width
    y = top + (bottom - top) * (torch.arange(height) + 0.5) / height
    grid = torch.stack([x[:, None, :].expand(-1, height, -1), y[:, :, None].expand(-1, -1, width)], -1)
    diagonal = (((right - left) / width).square() + ((bottom - top) / height).square()).sqrt()
    return grid.flatten(1, 2), diagonal


def loss(net, step, memory):
    views = net.pictures(step, 0, 2).chunk(2)
    (y1, t1, p1, w1), (y2, t2, p2, w2) = (encoded(net, x) for x in views)
    side = round(y1.shape[1] ** 0.5)
    (c1, d1), (c2, d2) = (centres(frames, side, side) for frames in net.frames().chunk(2))
    apart = (c1[:, :, None] - c2[:, None]).square().sum(-1).sqrt()
    positive = (apart / torch.maximum(d1, d2)[:, :, None] < RATIO).double()
    mean = lambda y, t, of: (y @ t.transpose(1, 2) * of).sum((1, 2)) / (of.sum((1, 2)) + 1e-6)
    pixels = -2 * (mean(y1, t2, positive) + mean(y2, t1, positive.transpose(1, 2))).mean()
    cosine = lambda p, w: F.cosine_similarity(p, w, dim=1).mean()
    instance = -2 * (cosine(p1, w2) + cosine(p2, w1))
    return {"total": pixels + INSTANCE * instance, "pixels": pixels, "instance": instance}


if __name__ == "__main__":
    make("pixpro")
