"""Writes and reads GGUF files as far as the demo model needs: version 3, tensors in F32 and Q8_0.
"""

import struct

import numpy as np

F32, Q8_0 = 0, 8
ALIGN = 32
U32, I32, FLOAT, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
FORMATS = {U32: "<I", I32: "<i", FLOAT: "<f", BOOL: "<?"}


def quantise(x):
    """Rows of 32 values -> 2 bytes of float16 scale and 32 signed bytes each, as ggml's reference
    does it.
    """
    blocks = np.asarray(x, np.float32).reshape(-1, 32)
    scale = np.abs(blocks).max(1, keepdims=True) / np.float32(127)
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    scaled = blocks * inverse
    whole = (np.sign(scaled) * np.floor(np.abs(scaled) + np.float32(0.5))).astype(
        np.int8
    )  # C's roundf
    return np.concatenate((scale.astype("<f2").view(np.int8), whole), 1).tobytes()


def dequantise(raw):
    blocks = np.frombuffer(raw, np.int8).reshape(-1, 34)
    scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
    return (blocks[:, 2:].astype(np.float32) * scale).reshape(-1)


def string(s):
    raw = s.encode("utf-8")
    return struct.pack("<Q", len(raw)) + raw


def scalar(kind, v):
    return string(v) if kind == STRING else struct.pack(FORMATS[kind], v)


def value(v):
    """Type and bytes of a Python value; ints become u32 (i32 in arrays), as llama.cpp's converter
    writes them.
    """
    if isinstance(v, list):
        kind = STRING if isinstance(v[0], str) else I32
        body = b"".join(scalar(kind, e) for e in v)
        return struct.pack("<IIQ", ARRAY, kind, len(v)) + body
    kind = {bool: BOOL, int: U32, float: FLOAT, str: STRING}[type(v)]
    return struct.pack("<I", kind) + scalar(kind, v)


def write(path, metadata, tensors):
    """tensors: name -> (row-major float array, type). GGUF lists the fastest dimension first."""
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(metadata))
    head += b"".join(string(k) + value(v) for k, v in metadata.items())
    data = b""
    for name, (x, kind) in tensors.items():
        raw = quantise(x) if kind == Q8_0 else np.ascontiguousarray(x, "<f4").tobytes()
        shape = x.shape[::-1]
        head += string(name) + struct.pack(
            f"<I{len(shape)}QIQ", len(shape), *shape, kind, len(data)
        )
        data += raw + bytes(-len(raw) % ALIGN)
    with open(path, "wb") as f:
        f.write(head + bytes(-len(head) % ALIGN) + data)


def read(path):
    """(metadata, tensors as float32 arrays) of a file with F32 and Q8_0 tensors."""
    with open(path, "rb") as f:
        raw = f.read()
    at = 0

    def take(fmt):
        nonlocal at
        got = struct.unpack_from(fmt, raw, at)
        at += struct.calcsize(fmt)
        return got if len(got) > 1 else got[0]

    def text():
        nonlocal at
        n = take("<Q")
        at += n
        return raw[at - n : at].decode("utf-8")

    def item(kind):
        if kind == STRING:
            return text()
        if kind == ARRAY:
            inner, n = take("<I"), take("<Q")
            return [item(inner) for _ in range(n)]
        return take(FORMATS[kind])

    magic, version, n_tensors, n_keys = take("<4sIQQ")
    assert (magic, version) == (b"GGUF", 3), "not a GGUF file of version 3"
    metadata = {}
    for _ in range(n_keys):
        key = text()
        metadata[key] = item(take("<I"))
    infos = []
    for _ in range(n_tensors):
        name, n_dims = text(), take("<I")
        shape = [take("<Q") for _ in range(n_dims)][::-1]
        kind, offset = take("<IQ")
        infos.append((name, shape, kind, offset))
    start = at + -at % ALIGN
    tensors = {}
    for name, shape, kind, offset in infos:
        n = int(np.prod(shape))
        size = n // 32 * 34 if kind == Q8_0 else 4 * n
        part = raw[start + offset : start + offset + size]
        flat = dequantise(part) if kind == Q8_0 else np.frombuffer(part, "<f4")
        tensors[name] = flat.reshape(shape).copy()
    return metadata, tensors
