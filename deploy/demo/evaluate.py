"""Measures an exported file: exact match per task on held-out samples, expert load, hits of the
prediction block.

Everything is greedy, in float32 on the dequantised weights. The results go to evaluation.json in
the build folder, a few held-out questions with their answers to heldout.jsonl.
"""

import argparse
import json
import os
import random

import jinja2
import torch

import bpe
import chat
import corpus
import words
from export import HERE, load

SEED = 4711
LIMIT = 320
BATCH = 64


def answers(model, tok, prompts):
    """Answers (text after </think>, if there is one) to prompts = (system, history, user,
    thinking).
    """
    ids = [chat.prompt_ids(tok, *p) for p in prompts]
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    out = [None] * len(ids)
    for at in range(0, len(order), BATCH):
        part = order[at : at + BATCH]
        for i, got in zip(part, model.generate([ids[i] for i in part], LIMIT, tok.ids[bpe.EOS])):
            out[i] = tok.decode(got).split(bpe.END_THINK)[-1]
    return out


def questions(task, n, seed):
    """n different held-out samples of a task."""
    rng, seen = random.Random(seed), {}
    while len(seen) < n:
        s = corpus.sample(rng, task, True)
        seen.setdefault(s[0], s)
    return list(seen.values())


def exact(got, want):
    return sum(g == w for g, w in zip(got, want)) / len(want)


def match(model, tok, n, build, heldout):
    """Exact match per task in several situations; wrong answers are kept for reading, and the first
    questions of each task are written to heldout.
    """
    rng = random.Random(SEED)
    result, wrong, some = {}, [], []
    for task in corpus.TASKS:
        samples = questions(task, n, SEED + 1)
        sides = {}
        plain = [(None, [], u, True) for u, _, _ in samples]
        sides["thinking"] = plain, [a for _, _, a in samples]
        sides["not thinking"] = (
            [(None, [], u, False) for u, _, _ in samples],
            [corpus.final_turn(task, t, a, False) for _, t, a in samples],
        )
        sides["after a system prompt"] = (
            [(rng.choice(words.SYSTEM), [], u, True) for u, _, _ in samples],
            [a for _, _, a in samples],
        )
        sides["third turn"] = (
            [(None, [earlier(rng), earlier(rng)], u, True) for u, _, _ in samples],
            [a for _, _, a in samples],
        )
        result[task] = {}
        for side, (prompts, want) in sides.items():
            got = answers(model, tok, prompts)
            result[task][side] = exact(got, want)
            if side == "thinking":
                some += [
                    dict(task=task, question=u, reasoning=t, answer=a, model_is_right=g == a)
                    for (u, t, a), g in zip(samples[:20], got)
                ]
            wrong += [
                dict(task=task, side=side, prompt=p[2], got=g, want=w)
                for p, g, w in zip(prompts, got, want)
                if g != w
            ]
        print(task, {k: f"{v:.3f}" for k, v in result[task].items()}, flush=True)
    free = corpus.qa_free()
    got = answers(model, tok, [(None, [], q, True) for q, _ in free])
    result["free wording"] = {"thinking": exact(got, [a for _, a in free]), "questions": len(free)}
    wrong += [
        dict(task="free", side="thinking", prompt=q, got=g, want=a)
        for (q, a), g in zip(free, got)
        if g != a
    ]
    for path, rows in ((os.path.join(build, "wrong.jsonl"), wrong), (heldout, some)):
        with open(path, "w", encoding="utf-8") as f:
            f.writelines(json.dumps(r, ensure_ascii=False) + "\n" for r in rows)
    return result


def earlier(rng):
    question, _, answer = corpus.sample(rng, rng.choice(corpus.TASKS), True)
    return question, answer, False


@torch.no_grad()
def routing(model, tok, n):
    """Share of routed rows per expert and layer, and how often the prediction block guesses the
    main model's token.

    Runs over whole held-out conversations without padding. A guess counts where both the token it
    is fed and the token it guesses belong to an answer.
    """
    for e in model.experts():
        e.load.zero_()
    hits = rows = 0
    for task in corpus.TASKS:
        for user, thought, answer in questions(task, n, SEED + 2):
            done = corpus.final_turn(task, thought, answer, True)
            ids, learn = chat.training_ids(tok, None, [], user, done, True)
            ids = torch.tensor([ids])
            state = model(ids)
            best = (state @ model.embed.T).argmax(-1)[0]
            guess = (model.mtp(ids, state) @ model.embed.T).argmax(-1)[0]
            first = learn.index(True)
            # Row i of the block guesses token i+2, which the main model decides at position i+1.
            hits += (guess[first - 1 : -1] == best[first:-1]).sum().item()
            rows += len(best[first:-1])
    load = [(e.load / e.load.sum()).tolist() for e in model.experts()]
    return load, hits / rows


def check_template(tok, meta):
    """The GGUF's Jinja template must give the very tokens the model was trained on."""
    env = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    template = env.from_string(meta["tokenizer.chat_template"])
    rng = random.Random(SEED)
    for _ in range(500):
        system, history, user, _, thinking = corpus.conversation(rng, 4, corpus.shares(0))
        messages = [{"role": "system", "content": system}] if system else []
        for asked, answered, _ in history:
            messages += [
                {"role": "user", "content": asked},
                {"role": "assistant", "content": "old thoughts</think>" + answered},
            ]
        messages.append({"role": "user", "content": user})
        text = template.render(
            messages=messages,
            thinking=thinking,
            add_generation_prompt=True,
            bos_token=bpe.BOS,
            eos_token=bpe.EOS,
        )
        assert tok.encode(text) == chat.prompt_ids(tok, system, history, user, thinking), text


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--build", default="build-demo")
    p.add_argument("--model", default=os.path.join(HERE, "seekd-demo.gguf"))
    p.add_argument("--per-task", type=int, default=200)
    p.add_argument("--heldout", default=os.path.join(HERE, "heldout.jsonl"))
    a = p.parse_args()
    torch.set_num_threads(2)
    model, tok, meta = load(a.model)
    model.eval()
    torch.set_grad_enabled(False)
    check_template(tok, meta)
    load_shares, hits = routing(model, tok, 50)
    result = {
        "bytes": os.path.getsize(a.model),
        "vocabulary": len(tok.tokens),
        "parameters": sum(q.numel() for q in model.parameters()),
        "config": model.c,
        "expert_load": load_shares,
        "mtp_hits": hits,
        "per_task": a.per_task,
        "exact_match": match(model, tok, a.per_task, a.build, a.heldout),
    }
    with open(os.path.join(a.build, "evaluation.json"), "w", encoding="utf-8") as f:
        json.dump(result, f, ensure_ascii=False, indent=1)
    print(json.dumps({k: result[k] for k in ("mtp_hits", "expert_load")}))
    print("free wording", result["exact_match"]["free wording"])


if __name__ == "__main__":
    main()
