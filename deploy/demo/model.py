"""A small model of exactly the DeepSeek-V3 shape, for training and for evaluating the exported
file.

Weights keep the Hugging Face meaning (y = W x, W [out, in]). Attention is MLA in its naive form,
RoPE is interleaved, the first layer is dense, the others are mixtures of experts with sigmoid
scores and a bias that balances the load (no auxiliary loss). One multi-token-prediction block
shares embedding and head with the main model.
"""

import torch
import torch.nn.functional as F
from torch import nn

CONFIG = dict(
    hidden=192,
    layers=4,
    dense_layers=1,
    heads=6,
    q_lora=96,
    kv_lora=128,
    nope=32,
    rope=32,
    v_dim=32,
    dense_width=512,
    expert_width=128,
    experts=8,
    experts_used=2,
    shared_experts=1,
    routed_scale=2.5,
    rope_theta=10000.0,
    eps=1e-6,
    context=1024,
)


def linear(x, w):
    """Matrix product in bfloat16 while training (CPUs have units for it), else in float32."""
    if torch.is_grad_enabled():
        return F.linear(x.bfloat16(), w.bfloat16())
    return F.linear(x, w)


class Norm(nn.Module):
    def __init__(self, n, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(n)), eps

    def forward(self, x):
        x = x.float()
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight
        return x.bfloat16() if torch.is_grad_enabled() else x


def matrix(n_out, n_in, gain=1.0, batch=()):
    return nn.Parameter(torch.randn(*batch, n_out, n_in) * gain * n_in**-0.5)


def rotate(x, cos, sin):
    """Interleaved RoPE: pairs (2i, 2i+1) of x [..., rope]; cos and sin fit x[..., 0::2]."""
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.q_a = matrix(c["q_lora"], c["hidden"])
        self.q_a_norm = Norm(c["q_lora"], c["eps"])
        self.q_b = matrix(c["heads"] * (c["nope"] + c["rope"]), c["q_lora"])
        self.kv_a = matrix(c["kv_lora"] + c["rope"], c["hidden"])
        self.kv_a_norm = Norm(c["kv_lora"], c["eps"])
        self.k_b = matrix(c["nope"], c["kv_lora"], batch=(c["heads"],))  # W_UK per head
        self.v_b = matrix(c["v_dim"], c["kv_lora"], batch=(c["heads"],))  # W_UV per head
        self.o = matrix(c["hidden"], c["heads"] * c["v_dim"], (2 * c["layers"]) ** -0.5)

    def forward(self, x, cos, sin, mask, cache=None, at=None):
        """x [B, T, D]; mask [.., T, S] is added to the scores; cache holds keys and values, at =
        row positions.
        """
        c = self.c
        b, t, _ = x.shape
        h = c["heads"]
        q = linear(self.q_a_norm(linear(x, self.q_a)), self.q_b).view(b, t, h, -1).transpose(1, 2)
        kv = linear(x, self.kv_a)
        latent = self.kv_a_norm(kv[..., : c["kv_lora"]])
        k = linear(latent, self.k_b.flatten(0, 1)).view(b, t, h, -1).transpose(1, 2)
        v = linear(latent, self.v_b.flatten(0, 1)).view(b, t, h, -1).transpose(1, 2)
        q_pe = rotate(q[..., c["nope"] :], cos.to(q.dtype), sin.to(q.dtype))
        k_pe = rotate(kv[:, None, :, c["kv_lora"] :], cos.to(kv.dtype), sin.to(kv.dtype))
        q = torch.cat((q[..., : c["nope"]], q_pe), -1)
        k = torch.cat((k, k_pe.expand(-1, h, -1, -1)), -1)
        if cache is not None:
            rows = torch.arange(b)[:, None]
            for name, new in (("k", k), ("v", v)):
                cache[name][rows, :, at] = new.transpose(1, 2)
            k, v = cache["k"][:, :, : mask.shape[-1]], cache["v"][:, :, : mask.shape[-1]]
        scores = q @ k.transpose(-1, -2)
        scores = torch.add(mask.to(q.dtype), scores, alpha=(c["nope"] + c["rope"]) ** -0.5)
        out = torch.softmax(scores, -1) @ v
        return linear(out.transpose(1, 2).reshape(b, t, -1), self.o)


class SwiGLU(nn.Module):
    def __init__(self, hidden, width, gain):
        super().__init__()
        self.gate, self.up = matrix(width, hidden), matrix(width, hidden)
        self.down = matrix(hidden, width, gain)

    def forward(self, x):
        return linear(F.silu(linear(x, self.gate)) * linear(x, self.up), self.down)


class Experts(nn.Module):
    """Routed experts plus one shared expert. The tokens of an expert are gathered and go through it
    together.
    """

    def __init__(self, c):
        super().__init__()
        self.c = c
        gain, n = (2 * c["layers"]) ** -0.5, (c["experts"],)
        self.router = matrix(c["experts"], c["hidden"])
        self.register_buffer("bias", torch.zeros(c["experts"]))
        self.gate = matrix(c["expert_width"], c["hidden"], batch=n)
        self.up = matrix(c["expert_width"], c["hidden"], batch=n)
        self.down = matrix(c["hidden"], c["expert_width"], gain / c["routed_scale"], batch=n)
        self.shared = SwiGLU(c["hidden"], c["expert_width"] * c["shared_experts"], gain)
        self.load = torch.zeros(c["experts"])

    def choose(self, score):
        """The bias decides which experts run, not how much they count."""
        return (score + self.bias).topk(self.c["experts_used"], -1).indices

    def forward(self, x):
        c = self.c
        flat = x.reshape(-1, c["hidden"])
        score = torch.sigmoid(F.linear(flat.float(), self.router))
        chosen = self.choose(score.detach())
        weight = score.gather(1, chosen)
        weight = weight / (weight.sum(-1, keepdim=True) + 1e-20) * c["routed_scale"]
        order = chosen.flatten().argsort(stable=True)
        counts = chosen.flatten().bincount(minlength=c["experts"])
        self.load += counts
        token = order // c["experts_used"]
        rows = flat[token].split(counts.tolist())
        done = [
            linear(F.silu(linear(r, self.gate[e])) * linear(r, self.up[e]), self.down[e])
            for e, r in enumerate(rows)
        ]
        done = torch.cat(done).float() * weight.flatten()[order][:, None]
        out = self.shared(flat).float().index_add(0, token, done)
        return out.view_as(x)

    def balance(self, rate):
        """Moves the selection bias of overloaded experts down and of underloaded ones up."""
        self.bias += rate * torch.sign(self.load.mean() - self.load)
        self.load.zero_()


class Block(nn.Module):
    def __init__(self, c, dense):
        super().__init__()
        self.attn_norm, self.ffn_norm = Norm(c["hidden"], c["eps"]), Norm(c["hidden"], c["eps"])
        self.attn = Attention(c)
        self.ffn = (
            SwiGLU(c["hidden"], c["dense_width"], (2 * c["layers"]) ** -0.5)
            if dense
            else Experts(c)
        )

    def forward(self, x, *where):
        x = x + self.attn(self.attn_norm(x), *where)
        return x + self.ffn(self.ffn_norm(x))


class Model(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        # Embedding and head are one matrix while training (the file has both): so a head that
        # copies a token it attends to works for every token at once, also for rare ones. Untied,
        # each had to learn it separately.
        self.embed = nn.Parameter(torch.randn(c["vocab"], c["hidden"]) * 0.02)
        self.blocks = nn.ModuleList(Block(c, i < c["dense_layers"]) for i in range(c["layers"]))
        self.norm = Norm(c["hidden"], c["eps"])
        self.mtp_enorm, self.mtp_hnorm = Norm(c["hidden"], c["eps"]), Norm(c["hidden"], c["eps"])
        self.mtp_proj = matrix(c["hidden"], 2 * c["hidden"])
        self.mtp_block = Block(c, False)
        self.mtp_norm = Norm(c["hidden"], c["eps"])
        f = c["rope_theta"] ** (-torch.arange(0, c["rope"], 2).double() / c["rope"])
        angle = torch.arange(c["context"]).double()[:, None] * f
        self.register_buffer("cos", angle.cos().float(), persistent=False)
        self.register_buffer("sin", angle.sin().float(), persistent=False)

    def experts(self):
        return [m for m in self.modules() if isinstance(m, Experts)]

    def forward(self, ids):
        """ids [B, T] -> state after the final norm [B, T, D]."""
        t = ids.shape[1]
        mask = torch.full((t, t), float("-inf")).triu(1)
        x = F.embedding(ids, self.embed)
        for block in self.blocks:
            x = block(x, self.cos[:t], self.sin[:t], mask)
        return self.norm(x)

    def mtp(self, ids, state):
        """Row i takes state i (after the final norm) and token i+1, and predicts token i+2: ids [B,
        T] -> [B, T-1, D].
        """
        t = ids.shape[1] - 1
        mask = torch.full((t, t), float("-inf")).triu(1)
        e = self.mtp_enorm(F.embedding(ids[:, 1:], self.embed))
        x = linear(torch.cat((e, self.mtp_hnorm(state[:, :-1])), -1), self.mtp_proj).float()
        return self.mtp_norm(self.mtp_block(x, self.cos[:t], self.sin[:t], mask))

    @torch.no_grad()
    def generate(self, prompts, limit, stop):
        """Greedy continuations of several prompts (lists of ids), without the stop token."""
        c, n = self.c, len(prompts)
        size = max(len(p) for p in prompts) + limit
        caches = [
            {
                "k": torch.zeros(n, c["heads"], size, c["nope"] + c["rope"]),
                "v": torch.zeros(n, c["heads"], size, c["v_dim"]),
            }
            for _ in self.blocks
        ]
        length = torch.tensor([len(p) for p in prompts])
        width = int(length.max())
        ids = torch.tensor([p + [0] * (width - len(p)) for p in prompts])
        at = torch.arange(width).expand(n, -1)
        out, alive = [[] for _ in prompts], [True] * n
        for step in range(limit):
            span = width + step
            mask = torch.where(torch.arange(span) <= at[..., None], 0.0, float("-inf"))[:, None]
            x = F.embedding(ids, self.embed)
            cos, sin = self.cos[at][:, None], self.sin[at][:, None]
            for block, cache in zip(self.blocks, caches):
                x = block(x, cos, sin, mask, cache, at)
            x = self.norm(x)
            last = x[torch.arange(n), length - 1] if step == 0 else x[:, -1]
            best = F.linear(last, self.embed).argmax(-1)
            for i, token in enumerate(best.tolist()):
                alive[i] = alive[i] and token != stop
                if alive[i]:
                    out[i].append(token)
            if not any(alive):
                break
            ids, at = best[:, None], (length + step)[:, None]
        return out
