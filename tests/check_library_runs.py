"""Runs the test sets of imported templates over the local socket and judges the reports.

usage: check_library_runs.py SOCKET LIBRARY

Every test must have an answer of good form (server/admin/form.h). What the demo model says is beyond
judging: how many tests pass their checks is printed and nothing more.
"""
import http.client
import json
import os
import socket
import sys
import time
import urllib.parse
from pathlib import Path

SHORT_STEP = 6         # of the sorted names in the short form
JOB_SECONDS = 600      # how long one template may take


class Local(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(sys.argv[1])


def call(method, path, body=None):
    c = Local("localhost", timeout=60)
    c.request(method, "/admin/v1/" + path, None if body is None else json.dumps(body),
              {"Content-Type": "application/json"} if body is not None else {})
    reply = c.getresponse()
    text = reply.read()
    c.close()
    return reply.status, json.loads(text) if text else None


def get(path):
    status, body = call("GET", path)
    demand(status == 200, f"GET {path}: {status} {body}")
    return body


def demand(holds, what):
    if not holds:
        raise SystemExit(f"FAIL: {what}")


def shipped(folder):
    """name -> tests, read from the files themselves."""
    out = {}
    for path in sorted(Path(folder).glob("??/*.prompt")):
        head, _ = json.JSONDecoder().raw_decode(path.read_text(encoding="utf-8"))
        out[head["name"]] = head["tests"]
    return out


def check_answer(where, test, declared):
    demand("error" not in test, f"{where}: {test.get('error')}")
    demand(test["form"]["passed"], f"{where}: bad form: {test['form']['detail']}: {test['answer']!r}")
    demand(test["form"]["detail"] is None, f"{where}: a detail without a fault")
    demand(test["finish_reason"] in ("stop", "length"), f"{where}: {test['finish_reason']}")
    demand(test["prompt_tokens"] > 0 and test["completion_tokens"] > 0, f"{where}: no tokens")
    demand([c["check"] for c in test["checks"]] == declared["checks"], f"{where}: other checks")
    demand(all(c["passed"] is True or (c["passed"] is False and c.get("detail")) for c in test["checks"]),
           f"{where}: a check without an outcome")
    demand(test["passed"] == all(c["passed"] for c in test["checks"]), f"{where}: passed")


def run(name, declared):
    """Runs one test set to its end and checks its report, which is given."""
    runs = f"templates/{urllib.parse.quote(name, safe='')}/versions/1/runs"
    status, job = call("POST", runs, {})
    demand(status == 202, f"{name}: {status} {job}")
    until = time.monotonic() + JOB_SECONDS
    while job["state"] in ("queued", "running"):
        demand(time.monotonic() < until, f"{name}: not done in {JOB_SECONDS} s: {job}")
        time.sleep(0.3)
        job = get(f"{runs}/{job['id']}")
    demand(job["state"] == "finished", f"{name}: {job}")
    kept = get(f"{runs}/{job['run_id']}")
    report = kept["report"]
    tests = report["tests"]
    demand([t["name"] for t in tests] == [t["name"] for t in declared], f"{name}: other tests")
    for test, asked in zip(tests, declared):
        where = f"{name}: {test['name']}"
        demand(test["form_only"] == asked.get("form_only", False), f"{where}: form_only")
        check_answer(where, test, asked)
    demand(report["form"] == {"passed": len(tests), "failed": 0} == job["form"],
           f"{name}: {report['form']} and {job['form']}, not {len(tests)}")
    passed = sum(t["passed"] for t in tests)
    demand((kept["passed"], kept["failed"]) == (passed, len(tests) - passed), f"{name}: counts")
    return tests


def check_ledger(reports):
    """One row per generation: batch class, the template's version, the values' hash, the tokens."""
    rows, after = [], ""
    while after is not None:
        page = get(f"usage/requests?limit=100{after}")
        rows += page["data"]
        after = "&after=" + urllib.parse.quote(page["next"], safe="") if page["next"] else None
    demand(len({r["request_id"] for r in rows}) == len(rows), "a request has two rows")
    for name, tests in reports.items():
        template = get(f"templates/{urllib.parse.quote(name, safe='')}")["id"]
        mine = [r for r in rows if r["template_id"] == template]
        demand(len(mine) == len(tests), f"{name}: {len(mine)} rows, {len(tests)} answers")
        for row in mine:
            demand(row["template_version"] == 1 and row["class"] == "batch"
                   and row["status"] == "finished" and len(row["variables_hash"]) == 64,
                   f"{name}: {row}")
        counts = sorted((r["prompt_tokens"], r["completion_tokens"]) for r in mine)
        demand(counts == sorted((t["prompt_tokens"], t["completion_tokens"]) for t in tests),
               f"{name}: the ledger counts other tokens")
    demand(len(rows) == sum(len(tests) for tests in reports.values()), "the ledger has rows of nobody's")


def main():
    everything = shipped(sys.argv[2])
    demand(len(everything) >= 24, f"only {len(everything)} templates")
    step = 1 if os.environ.get("SEEKD_TEST_LONG") else SHORT_STEP
    names = list(everything)[::step]
    reports, start = {}, time.monotonic()
    for i, name in enumerate(names):
        reports[name] = run(name, everything[name])
        content = sum(t["passed"] for t in reports[name])
        print(f"{i + 1}/{len(names)} {time.monotonic() - start:5.1f} s  {name}: {len(reports[name])} tests,"
              f" checks passed by {content}", flush=True)
    check_ledger(reports)
    tests = [t for r in reports.values() for t in r]
    only = [t for t in tests if t["form_only"]]
    demand(len(only) >= len(reports), "a template has no test of form")
    print(f"{len(reports)} templates, {len(tests)} tests in {time.monotonic() - start:.0f} s: all of good form,"
          f" each with its row in the ledger; checks passed by {sum(t['passed'] for t in tests)}"
          f" ({sum(t['passed'] for t in only)} of {len(only)} tests of form)")


main()
