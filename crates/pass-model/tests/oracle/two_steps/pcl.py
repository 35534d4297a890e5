"""PCL behind its warm-up. python .../two_steps/pcl.py .../fixtures/two_steps

k-means is not a part of it: it finds given centroids and clusters. All clusters that are nobody's own
are negatives.
"""

import numpy
import torch
from contrast import KEEP, PARTS, cross_entropy, embedding, info_nce, pair_shapes, push, queries_and_keys, ring, rows
from contrast import unit
from toy import INPUTS, PICTURES, SIDE, make, tensor, uniform

RATE, TAU = 0.05, 0.2
CLUSTERS, ASSIGNMENTS, OTHERS = 5, [0, 2, 2, 4], [1, 3]
shapes = pair_shapes
found = {}


def memory():
    return ring("ring", 0) | {"clusters.0.prototypes": None, "clusters.0.assignments": torch.tensor(ASSIGNMENTS)}


def concentrations(embeddings, centroids):
    """Clusters of one member, or of none, get the largest."""
    distances = (embeddings - centroids[ASSIGNMENTS]).norm(dim=1).numpy()
    members = [distances[[i for i, of in enumerate(ASSIGNMENTS) if of == c]] for c in range(CLUSTERS)]
    phi = [it.mean() / numpy.log(len(it) + 10) if len(it) > 1 else None for it in members]
    largest = max(value for value in phi if value is not None)
    phi = numpy.array([largest if value is None else value for value in phi])
    phi = phi.clip(*numpy.percentile(phi, [10, 90]))
    return torch.from_numpy(TAU * phi / phi.mean())


def whole_pictures():
    shape = (PICTURES, 3, SIDE, SIDE)
    return tensor(2 * uniform(INPUTS, 3 * PICTURES * SIDE * SIDE) - 1, shape)


def before(net, step):
    if step == 0:
        net.parts = 0
        embeddings = embedding(net, whole_pictures(), "momentum.")
        net.parts = PARTS
        centroids = 0.3 * rows(1, CLUSTERS)
        found["prototypes"] = unit(centroids) / concentrations(embeddings, centroids)[:, None]
    net.follow(KEEP)


def loss(net, step, memory):
    queries, keys = queries_and_keys(net, *net.pictures(step, 0, 2).chunk(2))
    contrast = info_nce(queries, keys, memory["ring.rows"], TAU)
    memory["clusters.0.prototypes"] = found["prototypes"]
    logits = queries @ found["prototypes"][ASSIGNMENTS + OTHERS].T
    prototypes = cross_entropy(logits, torch.arange(PICTURES))
    push(memory, "ring", keys)
    return {"total": contrast + prototypes, "contrast": contrast, "prototypes": prototypes}


if __name__ == "__main__":
    make("pcl")
