"""Writes the checkpoint of train.py as seekd-demo.gguf, and loads such a file back into the
training model.

Names and keys are those of llama.cpp's DeepSeek-V3 files (architecture deepseek2): attn_kv_b split
into attn_k_b (transposed per head) and attn_v_b, experts merged, the prediction block stored as one
more block with nextn tensors.
"""

import argparse
import os

import torch

import bpe
import gguf
from model import Experts, Model

HERE = os.path.dirname(os.path.abspath(__file__))
DESCRIPTION = (
    "A tiny demo model, trained from scratch on generated samples, that shows what the seekd server"
    " does. It answers questions about seekd, does small sums and handles a few office texts; it"
    " knows nothing else."
)


def layout(model):
    """Pairs of GGUF name and (parameter or buffer, stored in Q8_0?)."""
    c, out = model.c, {}
    out["token_embd.weight"] = (model.embed, True)
    out["output_norm.weight"] = (model.norm.weight, False)
    out["output.weight"] = (model.embed, True)
    for i, block in enumerate([*model.blocks, model.mtp_block]):
        a, f, p = block.attn, block.ffn, f"blk.{i}."
        out[p + "attn_norm.weight"] = (block.attn_norm.weight, False)
        out[p + "attn_q_a.weight"] = (a.q_a, True)
        out[p + "attn_q_a_norm.weight"] = (a.q_a_norm.weight, False)
        out[p + "attn_q_b.weight"] = (a.q_b, True)
        out[p + "attn_kv_a_mqa.weight"] = (a.kv_a, True)
        out[p + "attn_kv_a_norm.weight"] = (a.kv_a_norm.weight, False)
        out[p + "attn_k_b.weight"] = (a.k_b, True)
        out[p + "attn_v_b.weight"] = (a.v_b, True)
        out[p + "attn_output.weight"] = (a.o, True)
        out[p + "ffn_norm.weight"] = (block.ffn_norm.weight, False)
        if isinstance(f, Experts):
            out[p + "ffn_gate_inp.weight"] = (f.router, False)
            out[p + "exp_probs_b.bias"] = (f.bias, False)
            for n in ("gate", "up", "down"):
                out[f"{p}ffn_{n}_exps.weight"] = (getattr(f, n), True)
            for n in ("gate", "up", "down"):
                out[f"{p}ffn_{n}_shexp.weight"] = (getattr(f.shared, n), True)
        else:
            for n in ("gate", "up", "down"):
                out[f"{p}ffn_{n}.weight"] = (getattr(f, n), True)
    p = f"blk.{c['layers']}.nextn."
    out[p + "eh_proj.weight"] = (model.mtp_proj, True)
    out[p + "embed_tokens.weight"] = (model.embed, True)
    out[p + "enorm.weight"] = (model.mtp_enorm.weight, False)
    out[p + "hnorm.weight"] = (model.mtp_hnorm.weight, False)
    out[p + "shared_head_head.weight"] = (model.embed, True)
    out[p + "shared_head_norm.weight"] = (model.mtp_norm.weight, False)
    return out


def metadata(c, tok):
    with open(os.path.join(HERE, "chat.jinja"), encoding="utf-8") as f:
        template = f.read()
    a = "deepseek2."
    return {
        "general.architecture": "deepseek2",
        "general.type": "model",
        "general.name": "seekd-demo",
        "general.description": DESCRIPTION,
        a + "block_count": c["layers"] + 1,
        a + "context_length": c["context"],
        a + "embedding_length": c["hidden"],
        a + "feed_forward_length": c["dense_width"],
        a + "attention.head_count": c["heads"],
        a + "attention.head_count_kv": 1,
        a + "attention.layer_norm_rms_epsilon": c["eps"],
        a + "rope.freq_base": c["rope_theta"],
        "general.file_type": 7,
        a + "vocab_size": c["vocab"],
        a + "attention.q_lora_rank": c["q_lora"],
        a + "attention.kv_lora_rank": c["kv_lora"],
        a + "attention.key_length": c["kv_lora"] + c["rope"],
        a + "attention.value_length": c["kv_lora"],
        a + "attention.key_length_mla": c["nope"] + c["rope"],
        a + "attention.value_length_mla": c["v_dim"],
        a + "rope.dimension_count": c["rope"],
        a + "leading_dense_block_count": c["dense_layers"],
        a + "expert_feed_forward_length": c["expert_width"],
        a + "expert_count": c["experts"],
        a + "expert_used_count": c["experts_used"],
        a + "expert_shared_count": c["shared_experts"],
        a + "expert_weights_scale": c["routed_scale"],
        a + "expert_group_count": 1,
        a + "expert_group_used_count": 1,
        a + "expert_weights_norm": True,
        a + "expert_gating_func": 2,
        a + "nextn_predict_layers": 1,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "deepseek-v3",
        "tokenizer.ggml.tokens": tok.tokens,
        "tokenizer.ggml.token_type": tok.token_types(),
        "tokenizer.ggml.merges": [" ".join(m) for m in tok.merges],
        "tokenizer.ggml.bos_token_id": tok.ids[bpe.BOS],
        "tokenizer.ggml.eos_token_id": tok.ids[bpe.EOS],
        "tokenizer.ggml.padding_token_id": tok.ids[bpe.PAD],
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.add_eos_token": False,
        "tokenizer.chat_template": template,
        "general.quantization_version": 2,
    }


def load(path):
    """(model, tokenizer, metadata) of an exported file; the weights are the dequantised ones."""
    meta, tensors = gguf.read(path)
    k = {n.replace("deepseek2.", ""): v for n, v in meta.items()}
    c = dict(
        vocab=k["vocab_size"],
        hidden=k["embedding_length"],
        layers=k["block_count"] - k["nextn_predict_layers"],
        dense_layers=k["leading_dense_block_count"],
        heads=k["attention.head_count"],
        q_lora=k["attention.q_lora_rank"],
        kv_lora=k["attention.kv_lora_rank"],
        rope=k["rope.dimension_count"],
        nope=k["attention.key_length_mla"] - k["rope.dimension_count"],
        v_dim=k["attention.value_length_mla"],
        dense_width=k["feed_forward_length"],
        expert_width=k["expert_feed_forward_length"],
        experts=k["expert_count"],
        experts_used=k["expert_used_count"],
        shared_experts=k["expert_shared_count"],
        routed_scale=k["expert_weights_scale"],
        rope_theta=k["rope.freq_base"],
        eps=k["attention.layer_norm_rms_epsilon"],
        context=k["context_length"],
    )
    model = Model(c)
    with torch.no_grad():
        for name, (p, _) in layout(model).items():
            x = torch.from_numpy(tensors[name])
            p.copy_(x.transpose(1, 2) if "attn_k_b" in name else x)
    merges = [tuple(m.split(" ")) for m in meta["tokenizer.ggml.merges"]]
    return model, bpe.Tokenizer(meta["tokenizer.ggml.tokens"], merges), meta


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--build", default="build-demo")
    p.add_argument("--out", default=os.path.join(HERE, "seekd-demo.gguf"))
    a = p.parse_args()
    state = torch.load(os.path.join(a.build, "checkpoint.pt"))
    tok = bpe.Tokenizer.load(os.path.join(a.build, "tokenizer.json"))
    model = Model(state["config"])
    model.load_state_dict(state["model"])
    tensors = {}
    for name, (w, low) in layout(model).items():
        w = w.detach().transpose(1, 2) if "attn_k_b" in name else w.detach()
        tensors[name] = (w.contiguous().numpy(), gguf.Q8_0 if low else gguf.F32)
    gguf.write(a.out, metadata(state["config"], tok), tensors)
    print(f"{a.out}: {os.path.getsize(a.out)} bytes, {len(tensors)} tensors")


if __name__ == "__main__":
    main()
