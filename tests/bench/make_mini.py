#!/usr/bin/env python3
"""Writes the benchmark model "mini": real shapes, random weights.

Architecture deepseek2 with multi-head latent attention and a mixture of experts, small enough for
a software driver: 8 layers (the first dense), hidden 512, 8 heads, 16 routed experts of which 4 are
used, 1 shared expert, vocabulary 8192, about 25 million active parameters. Q4_K everywhere, Q6_K
for the output matrix and every second down projection, F16 for the absorbed key and value matrices,
F32 for norms and routers: the mix that a Q4_K_M file of a large model has.

The text it produces means nothing; only its speed does. The same seed gives the same file.

    make_mini.py OUT.gguf [--seed N]

Needs python3-numpy. Block formats: engine/format/README.md.
"""
import argparse
import struct

import numpy as np

N_LAYERS, N_DENSE = 8, 1
HIDDEN, FFN, N_HEADS = 512, 2048, 8
Q_LORA, KV_LORA, NOPE, ROPE, V_DIM = 256, 256, 64, 32, 64
N_EXPERTS, N_USED, EXPERT_FFN, N_SHARED = 16, 4, 256, 1
VOCAB, CONTEXT = 8192, 8192

F32, F16, Q4_K, Q6_K = 0, 1, 12, 14
U32, FLT, BOOL, STR, ARR, I32 = 4, 6, 7, 8, 9, 5
ALIGN = 32


# ---- weights: random blocks whose decoded values have mean 0 and the wanted deviation ----------

def q4_k(rng, n_elems, deviation):
    """Blocks of 256: f16 d, f16 dmin, 12 bytes of 6-bit scales and minima, 128 bytes of nibbles."""
    n = n_elems // 256
    scale = rng.integers(32, 64, (n, 8), dtype=np.uint8)  # minima equal the scales ...
    d = deviation / (scale.astype(np.float64).mean() * np.arange(16).std())
    blocks = np.zeros((n, 144), np.uint8)
    blocks[:, 0:2] = np.frombuffer(np.float16(d).tobytes(), np.uint8)
    blocks[:, 2:4] = np.frombuffer(np.float16(7.5 * d).tobytes(), np.uint8)  # ... so the mean is 0
    low, high = scale[:, :4], scale[:, 4:]
    blocks[:, 4:8] = low | (high >> 4) << 6
    blocks[:, 8:12] = low | (high >> 4) << 6
    blocks[:, 12:16] = (high & 15) | (high & 15) << 4
    blocks[:, 16:] = rng.integers(0, 256, (n, 128), dtype=np.uint8)
    return blocks.tobytes()


def q6_k(rng, n_elems, deviation):
    """Blocks of 256: 128 bytes of low nibbles, 64 of high bits, 16 signed scales, f16 d."""
    n = n_elems // 256
    scale = rng.integers(64, 128, (n, 16)) * rng.choice([-1, 1], (n, 16))
    d = deviation / (np.sqrt((scale.astype(np.float64) ** 2).mean()) * np.arange(64).std())
    blocks = np.empty((n, 210), np.uint8)
    blocks[:, :192] = rng.integers(0, 256, (n, 192), dtype=np.uint8)
    blocks[:, 192:208] = scale.astype(np.int8).view(np.uint8)
    blocks[:, 208:210] = np.frombuffer(np.float16(d).tobytes(), np.uint8)
    return blocks.tobytes()


def plain(rng, n_elems, deviation, dtype):
    return (rng.standard_normal(n_elems) * deviation).astype(dtype).tobytes()


class Tensors:
    """Tensors in file order: (name, ne, type, bytes)."""

    def __init__(self, rng):
        self.rng, self.list = rng, []

    def matrix(self, name, ne, kind=Q4_K):
        """ne[0] is the input width; decoded values have deviation 1/sqrt(ne[0])."""
        n, deviation = int(np.prod(ne)), ne[0] ** -0.5
        make = {Q4_K: q4_k, Q6_K: q6_k,
                F16: lambda r, n, s: plain(r, n, s, np.float16),
                F32: lambda r, n, s: plain(r, n, s, np.float32)}[kind]
        self.list.append((name, ne, kind, make(self.rng, n, deviation)))

    def norm(self, name, n):
        self.list.append((name, [n], F32, np.ones(n, np.float32).tobytes()))

    def bias(self, name, n):
        self.list.append((name, [n], F32, plain(self.rng, n, 0.01, np.float32)))


def build_tensors(rng):
    t = Tensors(rng)
    t.matrix("token_embd.weight", [HIDDEN, VOCAB])
    t.norm("output_norm.weight", HIDDEN)
    t.matrix("output.weight", [HIDDEN, VOCAB], Q6_K)
    for i in range(N_LAYERS):
        p = f"blk.{i}."
        down = Q6_K if i % 2 else Q4_K
        t.norm(p + "attn_norm.weight", HIDDEN)
        t.matrix(p + "attn_q_a.weight", [HIDDEN, Q_LORA])
        t.norm(p + "attn_q_a_norm.weight", Q_LORA)
        t.matrix(p + "attn_q_b.weight", [Q_LORA, N_HEADS * (NOPE + ROPE)])
        t.matrix(p + "attn_kv_a_mqa.weight", [HIDDEN, KV_LORA + ROPE])
        t.norm(p + "attn_kv_a_norm.weight", KV_LORA)
        t.matrix(p + "attn_k_b.weight", [NOPE, KV_LORA, N_HEADS], F16)
        t.matrix(p + "attn_v_b.weight", [KV_LORA, V_DIM, N_HEADS], F16)
        t.matrix(p + "attn_output.weight", [N_HEADS * V_DIM, HIDDEN])
        t.norm(p + "ffn_norm.weight", HIDDEN)
        if i < N_DENSE:
            t.matrix(p + "ffn_gate.weight", [HIDDEN, FFN])
            t.matrix(p + "ffn_up.weight", [HIDDEN, FFN])
            t.matrix(p + "ffn_down.weight", [FFN, HIDDEN], down)
            continue
        shared = N_SHARED * EXPERT_FFN
        t.matrix(p + "ffn_gate_inp.weight", [HIDDEN, N_EXPERTS], F32)
        t.bias(p + "exp_probs_b.bias", N_EXPERTS)
        t.matrix(p + "ffn_gate_exps.weight", [HIDDEN, EXPERT_FFN, N_EXPERTS])
        t.matrix(p + "ffn_up_exps.weight", [HIDDEN, EXPERT_FFN, N_EXPERTS])
        t.matrix(p + "ffn_down_exps.weight", [EXPERT_FFN, HIDDEN, N_EXPERTS], down)
        t.matrix(p + "ffn_gate_shexp.weight", [HIDDEN, shared])
        t.matrix(p + "ffn_up_shexp.weight", [HIDDEN, shared])
        t.matrix(p + "ffn_down_shexp.weight", [shared, HIDDEN], down)
    return t.list


# ---- vocabulary: a byte-level BPE whose every token is reachable by its merges --------------------

def byte_alphabet():
    """The printable stand-in of each byte value, in the order of the byte values."""
    kept = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    spare = iter(range(0x100, 0x200))
    return [chr(b) if b in kept else chr(next(spare)) for b in range(256)]


def build_vocabulary():
    """(tokens, types, merges): 3 control tokens, 256 bytes, merged pieces, 4 template tokens."""
    control = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"]
    marks = ["<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"]
    pieces = byte_alphabet()
    merges = []
    letters = "etaoinshrdlcumwfgypbvkjxqz"
    heads = [pieces[ord(" ")], *letters]
    seen = set(pieces)
    wanted = VOCAB - len(control) - len(marks)
    while len(pieces) < wanted:  # pairs first, then what grows from them one letter at a time
        grown = []
        for head in heads:
            for letter in letters:
                piece = head + letter
                if piece not in seen and len(pieces) < wanted:
                    seen.add(piece)
                    pieces.append(piece)
                    merges.append(f"{head} {letter}")
                    grown.append(piece)
        heads = grown
    tokens = control + pieces + marks
    types = [3] * len(control) + [1] * len(pieces) + [3, 3, 4, 4]
    return tokens, types, merges


CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ m['content'] }}"
    "{% elif m['role'] == 'user' %}{{ '<｜User｜>' + m['content'] }}"
    "{% elif m['role'] == 'assistant' %}{{ '<｜Assistant｜>' + m['content'] + eos_token }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<｜Assistant｜>' }}{% endif %}")


# ---- file -----------------------------------------------------------------------------------------

def text(s):
    raw = s.encode()
    return struct.pack("<Q", len(raw)) + raw


def value(kind, v):
    if kind == STR:
        return text(v)
    if kind == ARR:
        elem, items = v
        body = b"".join(value(elem, i) for i in items)
        return struct.pack("<IQ", elem, len(items)) + body
    return struct.pack({U32: "<I", I32: "<i", FLT: "<f", BOOL: "<?"}[kind], v)


def build_metadata():
    tokens, types, merges = build_vocabulary()
    arch = "deepseek2."
    return [
        ("general.architecture", STR, "deepseek2"),
        ("general.name", STR, "mini"),
        ("general.description", STR, "random weights for speed measurements; its text means nothing"),
        ("general.file_type", U32, 15),
        ("general.quantization_version", U32, 2),
        (arch + "block_count", U32, N_LAYERS),
        (arch + "context_length", U32, CONTEXT),
        (arch + "embedding_length", U32, HIDDEN),
        (arch + "feed_forward_length", U32, FFN),
        (arch + "vocab_size", U32, VOCAB),
        (arch + "attention.head_count", U32, N_HEADS),
        (arch + "attention.head_count_kv", U32, 1),
        (arch + "attention.layer_norm_rms_epsilon", FLT, 1e-6),
        (arch + "attention.q_lora_rank", U32, Q_LORA),
        (arch + "attention.kv_lora_rank", U32, KV_LORA),
        (arch + "attention.key_length", U32, KV_LORA + ROPE),
        (arch + "attention.value_length", U32, KV_LORA),
        (arch + "attention.key_length_mla", U32, NOPE + ROPE),
        (arch + "attention.value_length_mla", U32, V_DIM),
        (arch + "rope.dimension_count", U32, ROPE),
        (arch + "rope.freq_base", FLT, 10000.0),
        (arch + "leading_dense_block_count", U32, N_DENSE),
        (arch + "expert_count", U32, N_EXPERTS),
        (arch + "expert_used_count", U32, N_USED),
        (arch + "expert_shared_count", U32, N_SHARED),
        (arch + "expert_feed_forward_length", U32, EXPERT_FFN),
        (arch + "expert_weights_scale", FLT, 2.5),
        (arch + "expert_weights_norm", BOOL, True),
        (arch + "expert_gating_func", U32, 2),
        ("tokenizer.ggml.model", STR, "gpt2"),
        ("tokenizer.ggml.pre", STR, "deepseek-v3"),
        ("tokenizer.ggml.tokens", ARR, (STR, tokens)),
        ("tokenizer.ggml.token_type", ARR, (I32, types)),
        ("tokenizer.ggml.merges", ARR, (STR, merges)),
        ("tokenizer.ggml.bos_token_id", U32, 0),
        ("tokenizer.ggml.eos_token_id", U32, 1),
        ("tokenizer.ggml.padding_token_id", U32, 2),
        ("tokenizer.ggml.add_bos_token", BOOL, True),
        ("tokenizer.ggml.add_eos_token", BOOL, False),
        ("tokenizer.chat_template", STR, CHAT_TEMPLATE),
    ]


def padding(n):
    return b"\0" * (-n % ALIGN)


def write_gguf(path, metadata, tensors):
    head = bytearray(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)))
    for key, kind, v in metadata:
        head += text(key) + struct.pack("<I", kind) + value(kind, v)
    offset = 0
    for name, ne, kind, data in tensors:
        head += text(name) + struct.pack("<I", len(ne)) + struct.pack(f"<{len(ne)}Q", *ne)
        head += struct.pack("<IQ", kind, offset)
        offset += len(data) + len(padding(len(data)))
    with open(path, "wb") as f:
        f.write(head + padding(len(head)))
        for _, _, _, data in tensors:
            f.write(data + padding(len(data)))


def main():
    parser = argparse.ArgumentParser(description="write the benchmark model with random weights")
    parser.add_argument("out")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    tensors = build_tensors(np.random.default_rng(args.seed))
    write_gguf(args.out, build_metadata(), tensors)
    elems = sum(int(np.prod(ne)) for _, ne, _, _ in tensors)
    print(f"{args.out}: {elems / 1e6:.1f} million parameters, {len(tensors)} tensors, "
          f"{sum(len(d) for *_, d in tensors) / 1e6:.1f} MB of weights")


if __name__ == "__main__":
    main()
