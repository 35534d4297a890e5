"""AdCo with a full bank, both ways. python .../two_steps/adco.py .../fixtures/two_steps"""

import torch
from contrast import KEEP, KEYS, PARTS, cross_entropy, pair_shapes, queries_and_keys, rows, unit
from toy import make

RATE, TAU, BANK_TAU, BANK_RATE = 0.05, 0.12, 0.1, 3.0
shapes = pair_shapes


def memory():
    bank = 2 * rows(0)
    return {"bank.rows": bank, "bank.velocity": torch.zeros_like(bank), "bank.filled": torch.tensor([KEYS])}


def before(net, step):
    net.follow(KEEP)


def contrast(queries, keys, bank, tau):
    return cross_entropy(queries @ torch.cat([keys, unit(bank)]).T / tau, torch.arange(len(queries)))


def loss(net, step, memory):
    views = net.pictures(step, 0, 2).chunk(2)
    bank = memory["bank.rows"].clone().requires_grad_()
    total, raised = 0, 0
    for pair in (views, views[::-1]):
        queries, keys = queries_and_keys(net, *pair)
        total = total + contrast(queries, keys, bank.detach(), TAU) / 2
        raised = raised + contrast(queries.detach(), keys, bank, BANK_TAU) / 2
    gradient = torch.autograd.grad(raised, bank)[0]
    velocity = 0.9 * memory["bank.velocity"] - gradient + 1e-4 * bank.detach()
    memory |= {"bank.velocity": velocity, "bank.rows": bank.detach() - BANK_RATE * velocity}
    return {"total": total, "contrast": total}


if __name__ == "__main__":
    make("adco")
