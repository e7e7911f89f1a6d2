#!/usr/bin/env python3
"""Writes snippets.json: what Python's jinja2 makes of the templates in snippets.txt.

    python3 make_snippets.py < snippets.txt > snippets.json

One template per line, a down-left arrow stands for a line end. The environment is the one the
Hugging Face library sets up for chat templates. A case has `expected`, or `fails` where jinja2
raises. Made with jinja2 3.1.6 on Python 3.11.
"""
import copy
import datetime
import json
import sys

from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

INPUT = {
    "a": 3, "b": 4.5, "s": "Hello, World", "e": "", "n": None, "t": True, "xs": [3, 1, 2],
    "d": {"x": 1, "y": "two"},
    "rows": [{"k": "a", "v": 1, "z": {"q": 1}}, {"k": "B", "v": 2, "z": {"q": 0}},
             {"k": "a", "v": 3, "z": {"q": 5}}],
    "zh": "你好，世界", "multi": "one\ntwo\n\nthree",
    "tree": [{"n": 1, "c": [{"n": 2, "c": []}, {"n": 3, "c": [{"n": 4, "c": []}]}]}],
    "words": ["b", "A", "c", "B"], "neg": -7, "big": 1234567, "f": 0.1,
    "mixed": [1, "two", 3.5, None, True, [1, 2], {"k": "v"}],
    "html": "<a href=\"x\">it's & more</a>", "sp": "  pad\t\n",
    "items_d": {"items": [1, 2], "keys": "k"}, "nested": {"a": {"b": {"c": [10, 20, 30]}}},
    "uni": "ÀÉß ñ ǆ Ω 😀", "idsp": "\u3000x\u3000", "nl": "a\r\nb\rc\x0bd\u2028e",
}


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                      sort_keys=sort_keys)


def raise_exception(message):
    raise TemplateError(message)


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                        extensions=["jinja2.ext.loopcontrols"])
    now = datetime.datetime(2025, 3, 14, 9, 26, 53)
    env.filters["tojson"] = tojson
    env.filters["from_json"] = json.loads
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = now.strftime
    return env


def main():
    cases = []
    env = environment()
    for line in sys.stdin:
        template = line.rstrip("\n").replace("⏎", "\n")
        if not template:
            continue
        case = {"template": template}
        try:
            case["expected"] = env.from_string(template).render(**copy.deepcopy(INPUT))
        except Exception:  # whatever jinja2 raises
            case["fails"] = True
        cases.append(case)
    print('{"input": ' + json.dumps(INPUT, ensure_ascii=False) + ',\n"cases": [')
    print(",\n".join(json.dumps(c, ensure_ascii=False) for c in cases))
    print("]}")


main()
