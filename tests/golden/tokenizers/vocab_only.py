#!/usr/bin/env python3
"""Copies the tokenizer metadata of a GGUF file into a GGUF file without tensors.

usage: vocab_only.py MODEL.gguf OUT.gguf
"""
import struct
import sys

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY = 8, 9


def value_end(data, at, kind):
    """Offset behind the value of type `kind` that begins at `at`."""
    if kind == STRING:
        return at + 8 + struct.unpack_from("<Q", data, at)[0]
    if kind != ARRAY:
        return at + SIZES[kind]
    kind, n = struct.unpack_from("<IQ", data, at)
    at += 12
    if kind in SIZES:
        return at + n * SIZES[kind]
    for _ in range(n):
        at = value_end(data, at, kind)
    return at


def main(source, target):
    data = open(source, "rb").read()
    magic, version, _, n_keys = struct.unpack_from("<4sIQQ", data, 0)
    if magic != b"GGUF" or version != 3:
        sys.exit(f"{source}: not a GGUF v3 file")
    at = 24
    kept = []
    for _ in range(n_keys):
        begin = at
        key_end = value_end(data, at, STRING)
        key = data[at + 8:key_end].decode()
        at = value_end(data, key_end + 4, struct.unpack_from("<I", data, key_end)[0])
        if key == "general.architecture" or key.startswith("tokenizer.ggml."):
            kept.append(data[begin:at])
    with open(target, "wb") as out:
        out.write(struct.pack("<4sIQQ", magic, version, 0, len(kept)) + b"".join(kept))


main(*sys.argv[1:])
