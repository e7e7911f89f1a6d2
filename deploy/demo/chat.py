"""Conversations as token ids, exactly as chat.jinja renders them and the server tokenises them."""

from bpe import ASSISTANT, BOS, END_THINK, EOS, THINK, USER


def parts(tok, system, history, user, completion, thinking):
    """The conversation as a list of (ids, learn?). history is a list of (user, answer, learn?)."""
    out = [([tok.ids[BOS], *tok.encode(system or "", marks=False)], False)]
    for asked, answered, learn in history:
        out.append(
            (
                [
                    tok.ids[USER],
                    *tok.encode(asked, marks=False),
                    tok.ids[ASSISTANT],
                    tok.ids[END_THINK],
                ],
                False,
            )
        )
        out.append(([*tok.encode(answered, marks=False), tok.ids[EOS]], learn))
    start = [tok.ids[THINK], *tok.encode("\n")] if thinking else [tok.ids[END_THINK]]
    out.append(([tok.ids[USER], *tok.encode(user, marks=False), tok.ids[ASSISTANT], *start], False))
    if completion is not None:
        out.append(([*tok.encode(completion), tok.ids[EOS]], True))
    return out


def prompt_ids(tok, system, history, user, thinking):
    """Ids up to the point where the model starts to write."""
    return [i for ids, _ in parts(tok, system, history, user, None, thinking) for i in ids]


def training_ids(tok, *conversation):
    """(ids, learn): learn[i] says whether token i is one that the model has to produce."""
    found = parts(tok, *conversation)
    return [i for ids, _ in found for i in ids], [learn for ids, learn in found for _ in ids]
