"""MoCo v2: a ring of keys, order A. python .../two_steps/moco_v2.py .../fixtures/two_steps"""

from contrast import KEEP, PARTS, info_nce, pair_shapes, push, queries_and_keys, ring
from toy import make

RATE, TAU = 0.05, 0.2
shapes = pair_shapes


def memory():
    return ring("ring", 0)


def before(net, step):
    net.follow(KEEP)


def loss(net, step, memory):
    queries, keys = queries_and_keys(net, *net.pictures(step, 0, 2).chunk(2))
    total = info_nce(queries, keys, memory["ring.rows"], TAU)
    push(memory, "ring", keys)
    return {"total": total, "contrast": total}


if __name__ == "__main__":
    make("moco_v2")
