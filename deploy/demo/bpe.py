"""Byte-level BPE: the deepseek-v3 pre-tokenizer, a trainer, an encoder and a decoder.

The vocabulary has the layout of the DeepSeek-V3 family: ids 0..2 are the begin, end and padding
marks, then come the 256 byte pieces, the merged pieces, and last the user, assistant and think
marks.

Three rules keep a tiny model able to copy and to calculate:
- no merge touches a digit, so every digit is one token whatever its neighbours;
- no merge joins a space to a letter, so a word has the same tokens after a space and after a
quotation mark;
- a merged piece has at most MAX_BYTES bytes, so that template phrases do not become single tokens.
"""

import heapq
import json
from collections import Counter, defaultdict

import regex

BOS, EOS, PAD = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"
USER, ASSISTANT = "<｜User｜>", "<｜Assistant｜>"
THINK, END_THINK = "<think>", "</think>"
FIRST_MARKS = [BOS, EOS, PAD]
LAST_MARKS = [USER, ASSISTANT, THINK, END_THINK]
MARKS = FIRST_MARKS + LAST_MARKS
NORMAL, CONTROL, USER_DEFINED = 1, 3, 4  # GGUF token types
MAX_BYTES = 12

# The three splits of "deepseek-v3", applied one after the other; matches and gaps both stay
# fragments.
SPLITS = [
    regex.compile(r"\p{N}{1,3}"),
    regex.compile(r"[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+"),
    regex.compile(
        r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"
        r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
        r"| ?[\p{P}\p{S}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
]
MARK_RE = regex.compile("(" + "|".join(regex.escape(m) for m in sorted(MARKS, key=len)[::-1]) + ")")
DIGIT_RE = regex.compile(r"\p{N}")


def byte_alphabet():
    """The GPT-2 letters for the 256 byte values."""
    keep = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = {b: chr(b) for b in keep}
    for n, b in enumerate(b for b in range(256) if b not in letters):
        letters[b] = chr(256 + n)
    return letters


LETTER = byte_alphabet()
BYTE = {c: b for b, c in LETTER.items()}


def pieces(text):
    """Cuts text into the fragments inside which merges may happen."""
    parts = [text]
    for split in SPLITS:
        cut = []
        for part in parts:
            at = 0
            for m in split.finditer(part):
                if m.start() > at:
                    cut.append(part[at : m.start()])
                cut.append(m.group())
                at = m.end()
            if at < len(part):
                cut.append(part[at:])
        parts = cut
    return parts


def train(texts, n_vocab, min_count):
    """Learns merges from texts until the vocabulary has n_vocab entries or no pair occurs min_count
    times.
    """
    counts = Counter()
    for text in texts:
        for part in MARK_RE.split(text):
            if part not in MARKS:
                counts.update(p for p in pieces(part) if not DIGIT_RE.search(p))
    words = [[LETTER[b] for b in w.encode()] for w in counts]
    weight = list(counts.values())
    pair_count, pair_words = Counter(), defaultdict(set)
    for i, w in enumerate(words):
        for pair in zip(w, w[1:]):
            pair_count[pair] += weight[i]
            pair_words[pair].add(i)
    # Heap entries may be stale; an entry counts only if its count is still the pair's count.
    heap = [(-n, pair) for pair, n in pair_count.items()]
    heapq.heapify(heap)
    merges, known = [], set(LETTER.values())
    while heap and len(known) + len(MARKS) < n_vocab:
        n, pair = heapq.heappop(heap)
        if -n < min_count:
            break
        if pair_count[pair] != -n or len(pair[0]) + len(pair[1]) > MAX_BYTES:
            continue
        if pair[0] == LETTER[ord(" ")] and (pair[1][0].isalpha() or BYTE[pair[1][0]] >= 0x80):
            continue
        joined = pair[0] + pair[1]
        merges.append(pair)
        known.add(joined)
        changed = set()
        for i in pair_words.pop(pair):
            old = words[i]
            new, j = [], 0
            while j < len(old):
                if j + 1 < len(old) and (old[j], old[j + 1]) == pair:
                    new.append(joined)
                    j += 2
                else:
                    new.append(old[j])
                    j += 1
            for p in zip(old, old[1:]):
                pair_count[p] -= weight[i]
                changed.add(p)
            for p in zip(new, new[1:]):
                pair_count[p] += weight[i]
                pair_words[p].add(i)
                changed.add(p)
            words[i] = new
        for p in changed:
            if pair_count[p] > 0:
                heapq.heappush(heap, (-pair_count[p], p))
    normal = sorted(LETTER.values(), key=lambda c: BYTE[c])
    tokens = FIRST_MARKS + normal + [a + b for a, b in merges]
    return Tokenizer(list(dict.fromkeys(tokens)) + LAST_MARKS, merges)


class Tokenizer:
    def __init__(self, tokens, merges):
        self.tokens, self.merges = tokens, [tuple(m) for m in merges]
        self.ids = {t: i for i, t in enumerate(tokens)}
        self.rank = {m: r for r, m in enumerate(self.merges)}
        self.cache = {}

    def token_types(self):
        kind = {THINK: USER_DEFINED, END_THINK: USER_DEFINED}
        return [kind.get(t, CONTROL) if t in MARKS else NORMAL for t in self.tokens]

    def save(self, path):
        with open(path, "w", encoding="utf-8") as f:
            json.dump({"tokens": self.tokens, "merges": self.merges}, f, ensure_ascii=False)

    @staticmethod
    def load(path):
        with open(path, encoding="utf-8") as f:
            return Tokenizer(**json.load(f))

    def encode_piece(self, piece):
        word = [LETTER[b] for b in piece.encode()]
        while len(word) > 1:
            rank, at = min(
                (self.rank.get(p, 1 << 30), i) for i, p in enumerate(zip(word, word[1:]))
            )
            if rank == 1 << 30:
                break
            word[at : at + 2] = [word[at] + word[at + 1]]
        return [self.ids[w] for w in word]

    def encode(self, text, marks=True):
        """Token ids of text; with marks=False the marks in it are plain text (what users type)."""
        out = []
        for part in MARK_RE.split(text) if marks else [text]:
            if marks and part in MARKS:
                out.append(self.ids[part])
                continue
            for piece in pieces(part):
                got = self.cache.get(piece)
                if got is None:
                    got = self.encode_piece(piece)
                    if len(self.cache) < 200000:
                        self.cache[piece] = got
                out += got
        return out

    def decode(self, ids):
        """Text of ids, marks included as their literal text."""
        raw = b""
        for i in ids:
            t = self.tokens[i]
            raw += t.encode() if t in MARKS else bytes(BYTE[c] for c in t)
        return raw.decode("utf-8", "replace")
