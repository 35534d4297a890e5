"""PASS in PyTorch float64, written from the paper and the description of the published programs.

It shares nothing with the Rust code but the keys of the published checkpoints. `make_steps.py` uses
it. Parameters and buffers are plain dictionaries of tensors, so that nothing happens out of sight.
"""

import math

import torch
import torch.nn.functional as F

BLOCKS = 2  # basic blocks in each stage: the topology of ResNet-18
TAU, EPSILON, SINKHORN = 0.1, 0.05, 3


class Pass:
    """A forward pass in training mode: batch statistics normalise, moving ones follow.

    `margin` is the smallest distance from a kink (of a ReLU, or of a maximum that could change its
    place): gradients of another precision can be compared only if it is well above the rounding.
    """

    def __init__(self, parameters, buffers):
        self.p, self.b = parameters, buffers
        self.margin = math.inf

    def norm(self, x, key):
        return F.batch_norm(x, self.b[f"{key}.running_mean"], self.b[f"{key}.running_var"],
                            self.p.get(f"{key}.weight"), self.p.get(f"{key}.bias"), training=True,
                            momentum=0.1, eps=1e-5)

    def relu(self, x):
        self.margin = min(self.margin, (x.detach().abs().min() / x.detach().std()).item())
        return F.relu(x)

    def conv(self, x, key, stride=1, padding=0):
        return F.conv2d(x, self.p[f"{key}.weight"], self.p.get(f"{key}.bias"), stride, padding)

    def linear(self, x, key):
        return F.linear(x, self.p[f"{key}.weight"], self.p.get(f"{key}.bias"))

    def max_pool(self, x):
        windows = F.unfold(F.pad(x.detach(), (1, 1, 1, 1), value=-1.0), 3, stride=2)
        windows = windows.reshape(x.shape[0], x.shape[1], 9, -1)
        first, second = windows.topk(2, dim=2).values.unbind(2)
        rivals = (first - second)[first > 0]  # a maximum of zero lies before the ReLU's kink
        self.margin = min(self.margin, (rivals.min() / x.detach().std()).item())
        return F.max_pool2d(x, 3, 2, 1)

    def block(self, x, key, stride):
        y = self.relu(self.norm(self.conv(x, f"{key}.conv1", stride, 1), f"{key}.bn1"))
        y = self.norm(self.conv(y, f"{key}.conv2", 1, 1), f"{key}.bn2")
        if f"{key}.downsample.0.weight" in self.p:
            x = self.norm(self.conv(x, f"{key}.downsample.0", stride), f"{key}.downsample.1")
        return self.relu(x + y)

    def backbone(self, pictures, prefix=""):
        """Feature maps of the stages 1 to 4, keyed by stage."""
        x = self.relu(self.norm(self.conv(pictures, f"{prefix}conv1", 2, 3), f"{prefix}bn1"))
        x = self.max_pool(x)
        stages = {}
        for stage in (1, 2, 3, 4):
            for index in range(BLOCKS):
                stride = 2 if stage > 1 and index == 0 else 1
                x = self.block(x, f"{prefix}layer{stage}.{index}", stride)
            stages[stage] = x
        return stages

    def projection(self, x, key):
        x = self.relu(self.norm(self.linear(x, f"{key}.0"), f"{key}.1"))
        return F.normalize(self.norm(self.linear(x, f"{key}.3"), f"{key}.4"), dim=1)

    def pixel_mlp(self, x, key):
        x = self.relu(self.norm(self.conv(x, f"{key}.0"), f"{key}.1"))
        x = self.relu(self.norm(self.conv(x, f"{key}.3"), f"{key}.4"))
        return self.norm(self.conv(x, f"{key}.6"), f"{key}.7")

    def predictor(self, x, key):
        return self.conv(self.relu(self.norm(self.conv(x, f"{key}.0"), f"{key}.1")), f"{key}.3")


def pool(maps):
    return maps.mean((2, 3))


def sinkhorn(scores):
    """The K-by-B form of the SwAV paper."""
    q = torch.exp(scores / EPSILON).T
    q = q / q.sum()
    for _ in range(SINKHORN):
        q = q / q.sum(1, keepdim=True) / q.shape[0]
        q = q / q.sum(0, keepdim=True) / q.shape[1]
    return (q * q.shape[1]).T


def cross_entropy(targets, scores):
    return -(targets * F.log_softmax(scores / TAU, 1)).sum(1).mean()


def swapped_prediction(scores, embeddings, prototypes, queue, views):
    """Loss and assignments of the two global crops; `queue` (a list of two, full) is updated."""
    scores_of = scores.chunk(views)
    rows = embeddings.detach().chunk(views)
    loss, assignments = 0, []
    for crop in (0, 1):
        stacked = torch.cat([queue[crop] @ prototypes.detach().T, scores_of[crop].detach()])
        queue[crop] = torch.cat([rows[crop], queue[crop]])[: len(queue[crop])]
        q = sinkhorn(stacked)[-len(rows[crop]):]
        assignments.append(q)
        others = [v for v in range(views) if v != crop]
        loss = loss + sum(cross_entropy(q, scores_of[v]) for v in others) / len(others)
    return loss / 2, assignments


def d2s(assignments, scores):
    first, second = scores.chunk(2)
    return (cross_entropy(assignments[0], second) + cross_entropy(assignments[1], first)) / 2


def p2p(z, q):
    (z1, z2), (q1, q2) = z.detach().chunk(2), q.chunk(2)
    cosine = lambda a, b: F.cosine_similarity(a, b, dim=1, eps=1e-8).mean()
    return -(cosine(q1, z2) + cosine(q2, z1)) / 2


def pass_s_outputs(net, groups, grids, shallow):
    """Embeddings and scores of all crops, scores by shallow stage, z and q(z), and the stages of
    the global crops."""
    stages = net.backbone(groups[0])
    z = F.grid_sample(net.pixel_mlp(stages[4], "projection_head_pixel"), grids,
                      mode="bilinear", padding_mode="zeros", align_corners=False)
    q = net.predictor(z, "predictor_head_pixel")
    pooled = [pool(stages[4])] + [pool(net.backbone(crops)[4]) for crops in groups[1:]]
    embeddings = net.projection(torch.cat(pooled), "projection_head")
    prototypes = net.p["prototypes.weight"]
    scores = embeddings @ prototypes.T
    shallow_scores = {}
    for stage in shallow:
        lists = "projection_head_pixel_shallow.projection_head_pixel", \
            "projection_head_shallow.projection_head_shallow"
        vectors = pool(net.pixel_mlp(stages[stage], f"{lists[0]}{stage}"))
        vectors = net.projection(vectors, f"{lists[1]}{stage}")
        shallow_scores[stage] = vectors @ prototypes.detach().T
    return embeddings, scores, shallow_scores, z, q, stages


def pass_s_losses(net, groups, grids, shallow, queue, views):
    """All terms by name; `total` as the published program weighs them with weights of one."""
    embeddings, scores, shallow_scores, z, q, stages = pass_s_outputs(net, groups, grids, shallow)
    prototypes = net.p["prototypes.weight"]
    swapped, assignments = swapped_prediction(scores, embeddings, prototypes, queue, views)
    terms = {"swapped": swapped}
    terms |= {f"d2s_{s}": d2s(assignments, shallow_scores[s]) for s in shallow}
    averaged = sum(terms.values()) / len(terms)
    terms["p2p"] = p2p(z, q)
    terms["total"] = averaged + terms["p2p"]
    return terms, stages


# PASS_p: the pixel-level consistency of PixPro on top.

def centres(coordinates, size):
    """Centres of the cells of a size × size map in the picture: x and y, each [n, size²]."""
    x0, y0, x1, y1 = (column[:, None] for column in coordinates.T)
    steps = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    x = (x0 + (x1 - x0) * steps)[:, None, :].expand(-1, size, -1).flatten(1)
    y = (y0 + (y1 - y0) * steps)[:, :, None].expand(-1, -1, size).flatten(1)
    return x, y


def positives(first, second, size, ratio):
    """[n, size², size²]: 1 where two cells lie closer than `ratio` of the longer cell diagonal."""
    diagonal = lambda c: torch.hypot((c[:, 2] - c[:, 0]) / size, (c[:, 3] - c[:, 1]) / size)
    longest = torch.maximum(diagonal(first), diagonal(second))[:, None, None]
    (x1, y1), (x2, y2) = centres(first, size), centres(second, size)
    apart = torch.hypot(x1[:, :, None] - x2[:, None, :], y1[:, :, None] - y2[:, None, :])
    return (apart / longest < ratio).double(), (apart / longest - ratio).abs().min().item()


def propagate(net, x, key):
    """Each pixel becomes the sum of all transformed pixels, weighed by similarity, to length 1."""
    values = F.normalize(net.conv(x, key), dim=1).flatten(2)
    units = F.normalize(x, dim=1).flatten(2)
    similarity = (units.transpose(1, 2) @ units).clamp(min=0) ** 2
    return F.normalize(values @ similarity.transpose(1, 2), dim=1)


def consistency_projection(net, x, key):
    x = net.relu(net.norm(net.conv(x, f"{key}.conv1"), f"{key}.bn1"))
    return net.conv(x, f"{key}.conv2")


def consistency(online, target, positive):
    """One direction: [n, channels, size²] each."""
    cosines = online.transpose(1, 2) @ target
    return -2 * ((cosines * positive).sum((1, 2)) / (positive.sum((1, 2)) + 1e-6)).mean()


def pass_p_losses(net, momentum, groups, grids, frames, shallow, queue, ratio):
    """As `pass_s_losses`, with the consistency of the two views beside P2P.

    `momentum` is the pass of the momentum encoder, whose weights have been moved already.
    """
    terms, stages = pass_s_losses(net, groups, grids, shallow, queue, 2)
    size = stages[4].shape[-1]
    projected = consistency_projection(net, stages[4], "consistency.projection")
    online = propagate(net, projected, "consistency.propagation.transform").chunk(2)
    with torch.no_grad():
        target = momentum.backbone(groups[0])[4]
        target = consistency_projection(momentum, target, "projection")
        target = F.normalize(target, dim=1).flatten(2).chunk(2)
    first, second = frames.chunk(2)
    pairs, edge = positives(first, second, size, ratio)
    terms["consistency"] = consistency(online[0], target[1], pairs) \
        + consistency(online[1], target[0], pairs.transpose(1, 2))
    terms["total"] = terms["total"] + terms["consistency"]
    return terms, edge, pairs


def momentum_rate(step, total, base=0.99):
    return 1 - (1 - base) * (math.cos(math.pi * step / total) + 1) / 2


# Step 2.1 and step 3.

def attention_loss(net, pictures, queue):
    with torch.no_grad():
        features = net.backbone(pictures)[4]
    z = F.interpolate(features, scale_factor=4, mode="bilinear", align_corners=False)
    z = F.normalize(z, dim=1)
    hidden = net.relu(net.norm(net.conv(z, "fbg.atten.0"), "fbg.atten.1"))
    logits = net.norm(net.conv(hidden, "fbg.atten.3"), "fbg.atten.4")
    attention = torch.sigmoid(logits + net.p["fbg.threshold"])
    embeddings = net.projection(pool(z * attention), "projection_head")
    prototypes = net.p["prototypes.weight"]
    scores = embeddings @ prototypes.T
    return {"swapped": swapped_prediction(scores, embeddings, prototypes, queue, 2)[0]}


def fine_tuning_loss(net, pictures, labels):
    logits = net.conv(net.backbone(pictures)[4], "last_layer")
    logits = F.interpolate(logits, labels.shape[1:], mode="bilinear", align_corners=False)
    return {"cross_entropy": F.cross_entropy(logits, labels)}


# Optimisers.

def cosine(step, total, base, last):
    return last + 0.5 * (base - last) * (1 + math.cos(math.pi * step / total))


class Larc:
    """LARC around SGD with momentum, for every tensor that has a gradient."""

    def __init__(self, decay=1e-6):
        self.decay, self.buffers = decay, {}

    def scaled(self, w, g):
        if w.norm() == 0 or g.norm() == 0:
            return g
        return 1e-3 * w.norm() / (g.norm() + self.decay * w.norm() + 1e-8) * (g + self.decay * w)

    @torch.no_grad()
    def step(self, rate, parameters, gradients):
        for key, g in gradients.items():
            g = self.scaled(parameters[key], g)
            self.buffers[key] = 0.9 * self.buffers[key] + g if key in self.buffers else g
            parameters[key] -= rate * self.buffers[key]


class PixproLars(Larc):
    """LARS of PixPro: decay before the norm of the gradient, vectors by plain SGD without decay."""

    def scaled(self, w, g):
        if w.ndim == 1:
            return g
        g = g + self.decay * w
        if w.norm() == 0 or g.norm() == 0:
            return g
        return 1e-3 * w.norm() / (g.norm() + 1e-8) * g


# The other kinds of P2P and of D2S that the paper compares (Table VIII).

def contrastive_p2p(z, temperature=0.3):
    """Each place against all places of the same picture in the other view, both ways."""
    first, second = F.normalize(z, dim=1).flatten(2).transpose(1, 2).chunk(2)
    logits = first @ second.transpose(1, 2) / temperature
    places = torch.arange(logits.shape[1]).expand(len(logits), -1)
    forth = F.cross_entropy(logits.flatten(0, 1), places.flatten())
    back = F.cross_entropy(logits.transpose(1, 2).flatten(0, 1), places.flatten())
    return (forth + back) / 2


def clustering_p2p(z, prototypes):
    """The swapped prediction of two crops, pixel by pixel, with constant prototypes."""
    pixels = F.normalize(z, dim=1).flatten(2).transpose(1, 2).flatten(0, 1)
    scores = pixels @ prototypes.detach().T
    assignments = [sinkhorn(view.detach()) for view in scores.chunk(2)]
    return d2s(assignments, scores)


def d2s_same_view(assignments, scores):
    first, second = scores.chunk(2)
    return (cross_entropy(assignments[0], first) + cross_entropy(assignments[1], second)) / 2


def d2s_same_stage(scores):
    return d2s([sinkhorn(view.detach()) for view in scores.chunk(2)], scores)
