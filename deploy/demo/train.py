"""Trains the demo model; goes on from the checkpoint in the build folder, if there is one.

Samples are made on the fly from (seed, step), so a resumed run sees what an uninterrupted one would
have seen. Matrices are updated with Muon (orthogonalised momentum), everything else with Adam.
"""

import argparse
import csv
import os
import random
import time

import torch
import torch.nn.functional as F

import bpe
import chat
import corpus
from model import CONFIG, Model

ROW, LONG_ROW, LONG_EVERY = 256, 1024, 16
SEED = 20
MTP_WEIGHT = 0.2
# The prediction block joins for this last share of the steps; earlier it would only cost time.
MTP_FROM = 0.35
BIAS_RATE = 0.01


def tokenizer(path, n_vocab=4096, min_count=20, n_texts=20000):
    if os.path.exists(path):
        return bpe.Tokenizer.load(path)
    tok = bpe.train(corpus.tokenizer_texts(random.Random(SEED), n_texts), n_vocab, min_count)
    tok.save(path)
    return tok


def batch(tok, step, n_tokens):
    """ids and learn flags [rows, length + 1]: whole conversations one after the other, then padding."""
    rng = random.Random(SEED * 1000003 + step)
    length, turns = (LONG_ROW, 8) if step % LONG_EVERY == LONG_EVERY - 1 else (ROW, 3)
    share = corpus.shares(step)
    rows = n_tokens // length
    ids, learn = [[] for _ in range(rows)], [[] for _ in range(rows)]
    misses = 0
    while misses < 8:
        a, b = chat.training_ids(tok, *corpus.conversation(rng, turns, share))
        fits = next((r for r in range(rows) if len(ids[r]) + len(a) <= length + 1), None)
        if fits is None:
            misses += 1
            continue
        ids[fits] += a
        learn[fits] += b
    pad = tok.ids[bpe.PAD]
    ids = torch.tensor([r + [pad] * (length + 1 - len(r)) for r in ids])
    learn = torch.tensor([r + [False] * (length + 1 - len(r)) for r in learn])
    return ids, learn


def loss_of(model, state, target, learn):
    """Mean cross entropy of the tokens to learn."""
    logits = F.linear(state[learn].bfloat16(), model.embed.bfloat16()).float()
    return F.cross_entropy(logits, target[learn])


def orthogonal(g, rounds=5):
    """Newton-Schulz iteration towards the nearest orthogonal matrix, for stacks of matrices."""
    x = g.bfloat16()
    wide = x.shape[-2] > x.shape[-1]
    x = x.transpose(-1, -2) if wide else x
    x = x / (x.float().norm(dim=(-2, -1), keepdim=True) + 1e-7).bfloat16()
    for _ in range(rounds):
        a = x @ x.transpose(-1, -2)
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.transpose(-1, -2) if wide else x).float()


class Optimizer:
    def __init__(self, model, lr, adam_lr, decay):
        self.lr, self.decay = lr, decay
        named = dict(model.named_parameters())
        plain = [p for n, p in named.items() if p.dim() < 2 or n == "embed" or "router" in n]
        self.matrices = [p for n, p in named.items() if not any(p is q for q in plain)]
        self.momentum = [torch.zeros_like(p) for p in self.matrices]
        self.adam = torch.optim.Adam(plain, lr=adam_lr, betas=(0.9, 0.98), eps=1e-10)
        self.adam_lr = adam_lr

    @torch.no_grad()
    def step(self, scale, momentum=0.95):
        for p, m in zip(self.matrices, self.momentum):
            if p.grad is None:
                continue
            m.lerp_(p.grad, 1 - momentum)
            update = orthogonal(p.grad.lerp(m, momentum))
            p.mul_(1 - scale * self.lr * self.decay)
            p.add_(update, alpha=-scale * self.lr * max(1, p.shape[-2] / p.shape[-1]) ** 0.5)
        for group in self.adam.param_groups:
            group["lr"] = scale * self.adam_lr
        self.adam.step()

    def state(self):
        return {"momentum": self.momentum, "adam": self.adam.state_dict()}

    def load(self, state):
        self.momentum = state["momentum"]
        self.adam.load_state_dict(state["adam"])


def save(path, **state):
    torch.save(state, path + ".new")
    os.replace(path + ".new", path)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "--build", default="build-demo", help="folder for tokenizer, checkpoint and loss curve"
    )
    p.add_argument("--steps", type=int, default=3800)
    p.add_argument("--tokens", type=int, default=2048, help="tokens per step")
    p.add_argument("--lr", type=float, default=0.02)
    p.add_argument("--adam-lr", type=float, default=0.004)
    p.add_argument("--decay", type=float, default=0.05)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--save-every", type=int, default=100)
    p.add_argument(
        "--stop-after", type=float, default=0, help="stop after so many minutes (resume later)"
    )
    a = p.parse_args()
    os.makedirs(a.build, exist_ok=True)
    torch.set_num_threads(a.threads)
    torch.manual_seed(SEED)
    tok = tokenizer(os.path.join(a.build, "tokenizer.json"))
    config = dict(CONFIG, vocab=len(tok.tokens))
    model = Model(config)
    opt = Optimizer(model, a.lr, a.adam_lr, a.decay)
    n_params = sum(q.numel() for q in model.parameters())
    print(f"{len(tok.tokens)} tokens in the vocabulary, {n_params} parameters", flush=True)
    path, log = os.path.join(a.build, "checkpoint.pt"), os.path.join(a.build, "loss.csv")
    first, spent = 0, 0.0
    if os.path.exists(path):
        old = torch.load(path)
        model.load_state_dict(old["model"])
        opt.load(old["optimizer"])
        first, spent = old["step"], old["seconds"]
    rows = [["step", "seconds", "tokens", "loss", "mtp_loss"]]
    if first:  # what came after the checkpoint is done again
        with open(log, newline="") as f:
            rows += [r for r in list(csv.reader(f))[1:] if int(r[0]) <= first]
    with open(log, "w", newline="") as f:
        csv.writer(f).writerows(rows)
    begun, sums = time.time(), [0, 0.0, 0.0]
    for step in range(first, a.steps):
        ids, learn = batch(tok, step, a.tokens)
        inputs = ids[:, :-1]
        state = model(inputs)
        main_loss = loss_of(model, state, ids[:, 1:], learn[:, 1:])
        warm, left = min(1, (step + 1) / 50), (a.steps - step) / a.steps
        if left < MTP_FROM:
            mtp_loss = loss_of(model, model.mtp(inputs, state), ids[:, 2:], learn[:, 2:])
            (main_loss + MTP_WEIGHT * mtp_loss).backward()
            sums[2] += mtp_loss.item()
        else:
            main_loss.backward()
        opt.step(warm * min(1, left / 0.6))  # constant, then linear to zero
        model.zero_grad(set_to_none=True)
        for e in model.experts():
            e.balance(BIAS_RATE * min(1, left / 0.6))
        sums = [sums[0] + 1, sums[1] + main_loss.item(), sums[2]]
        done = step + 1
        if done % 20 == 0 or done == a.steps:
            seconds = spent + time.time() - begun
            row = [done, round(seconds), done * a.tokens, *(f"{s / sums[0]:.4f}" for s in sums[1:])]
            with open(log, "a", newline="") as f:
                csv.writer(f).writerow(row)
            print(*row, flush=True)
            sums = [0, 0.0, 0.0]
        late = a.stop_after and time.time() - begun > 60 * a.stop_after
        if done % a.save_every == 0 or done == a.steps or late:
            save(
                path,
                model=model.state_dict(),
                optimizer=opt.state(),
                step=done,
                config=config,
                options=vars(a),
                seconds=spent + time.time() - begun,
            )
        if late:
            break


if __name__ == "__main__":
    main()
