#!/usr/bin/env python3
"""Kills seekd under load and looks at what its database says afterwards (RELIABILITY, R1).

    check_kill.py SEEKD [ROUNDS]

Each round starts the program on the same data folder, runs streaming and whole requests and
administrative changes from several threads, kills it with SIGKILL at a random moment and starts it
again. Then must hold:
  - every request whose end a client saw has exactly one row, finished, with the tokens it saw;
  - no request_id twice, no row left open (an end that was not committed became `interrupted`);
  - the totals by day add up to the rows;
  - every administrative act whose answer a client saw is in the audit log, whose chain holds;
  - SQLite's integrity_check and foreign_key_check find nothing.
"""
import http.client
import json
import os
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

THREADS = 6
KEY = "sk-kill-0123456789abcdef0123"


class Unix(http.client.HTTPConnection):
    """HTTP over the local socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self.path)


class Server:
    def __init__(self, program, folder, log):
        env = dict(os.environ, LC_ALL="C", SEEKD_API_KEY=KEY)
        self.socket = os.path.join(folder, "seekd.sock")
        self.process = subprocess.Popen(
            [program, "--model", "scripted.gguf", "--listen", "127.0.0.1:0", "--data-dir", folder,
             "--log-level", "error"],
            stdout=subprocess.PIPE, stderr=log, env=env, text=True)
        self.port = None
        for line in self.process.stdout:
            found = re.match(r"URL +http://127\.0\.0\.1:(\d+)/", line)
            if found:
                self.port = int(found.group(1))
                break
        if self.port is None:
            raise SystemExit("check_kill: seekd did not start; see its messages above")
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(timeout=60) != 0:
            raise SystemExit("check_kill: seekd ended with %d" % self.process.returncode)


class Load:
    """Requests until the server goes away; remembers what ended well."""

    def __init__(self, server, seed):
        self.server = server
        self.finished = {}  # request id -> completion tokens
        self.begun = 0
        self.acts = []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.chat, args=(seed + i,)) for i in range(THREADS)]
        self.threads.append(threading.Thread(target=self.administer, args=(seed,)))
        for thread in self.threads:
            thread.start()

    def chat(self, seed):
        rng = random.Random(seed)
        try:
            while True:
                self.one(rng)
        except (OSError, http.client.HTTPException, ValueError):
            pass  # the server was killed

    def one(self, rng):
        stream = rng.random() < 0.7
        order = "#tokens=%d##us=%d#" % (rng.randint(1, 40), rng.choice([0, 0, 200, 1000]))
        body = {"messages": [{"role": "user", "content": order}], "stream": stream,
                "max_tokens": rng.randint(1, 30)}
        if stream:
            body["stream_options"] = {"include_usage": True}
        c = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        with self.lock:
            self.begun += 1
        c.request("POST", "/v1/chat/completions", json.dumps(body),
                  {"Authorization": "Bearer " + KEY, "Content-Type": "application/json"})
        reply = c.getresponse()
        name = reply.getheader("X-Request-Id")
        text = reply.read().decode()
        c.close()
        if reply.status != 200:
            raise SystemExit("check_kill: %d %s" % (reply.status, text))
        if stream and not text.endswith("data: [DONE]\n\n"):
            raise ValueError("cut off")
        last = text.split("data: ")[-2] if stream else text
        with self.lock:
            self.finished[name] = json.loads(last)["usage"]["completion_tokens"]

    def administer(self, seed):
        try:
            for n in range(1000000):
                name = "d%d-%d" % (seed, n)
                c = Unix(self.server.socket)
                c.request("POST", "/admin/v1/departments", json.dumps({"name": name}),
                          {"Content-Type": "application/json"})
                reply = c.getresponse()
                reply.read()
                c.close()
                if reply.status != 201:
                    raise SystemExit("check_kill: department: %d" % reply.status)
                with self.lock:
                    self.acts.append(name)
                time.sleep(0.01)
        except (OSError, http.client.HTTPException, ValueError):
            pass

    def join(self):
        for thread in self.threads:
            thread.join()


def fail(text):
    raise SystemExit("check_kill: " + text)


def one_value(db, sql):
    return db.execute(sql).fetchone()[0]


def look(folder, finished, acts):
    db = sqlite3.connect("file:%s/seekd.db?mode=ro" % folder, uri=True)
    if one_value(db, "PRAGMA integrity_check") != "ok":
        fail("integrity_check")
    if db.execute("PRAGMA foreign_key_check").fetchone():
        fail("foreign_key_check")
    rows = db.execute("SELECT request_id, status, completion_tokens FROM usage").fetchall()
    by_id = {}
    for name, status, tokens in rows:
        if name in by_id:
            fail("two rows of " + name)
        by_id[name] = (status, tokens)
    lost = [n for n, t in finished.items() if by_id.get(n) != ("finished", t)]
    if lost:
        fail("%d ends that clients saw are not in the ledger: %s %s" %
             (len(lost), lost[0], by_id.get(lost[0])))
    opened = [n for n, (status, _) in by_id.items() if status == "started"]
    if opened:
        fail("%d rows were left open" % len(opened))
    summed = one_value(db, "SELECT coalesce(sum(requests), 0) FROM usage_total WHERE grain = 'day'")
    counted = one_value(db, "SELECT count(*) FROM usage WHERE status <> 'interrupted'")
    every = one_value(db, "SELECT count(*) FROM usage")
    if summed not in (counted, every):
        fail("the totals say %d requests, the rows %d (%d with interrupted)" %
             (summed, counted, every))
    known = {r[0] for r in db.execute("SELECT name FROM department")}
    logged = {json.loads(r[0])["name"] for r in
              db.execute("SELECT after FROM audit WHERE action = 'department.create'")}
    for name in acts:
        if name not in known or name not in logged:
            fail("an act is lost: " + name)
    db.close()
    return len(rows)


def verify_chain(server):
    c = Unix(server.socket)
    c.request("POST", "/admin/v1/audit/verify", "{}", {"Content-Type": "application/json"})
    reply = c.getresponse()
    text = reply.read().decode()
    if reply.status != 200 or not json.loads(text)["ok"]:
        fail("the audit chain is broken: " + text)


def main():
    program, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
    seed = int(os.environ.get("SEEKD_TEST_SEED", "1"))
    rng = random.Random(seed)
    finished, acts, begun, rows = {}, [], 0, 0
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as log:
        try:
            for n in range(rounds):
                server = Server(program, folder, log)
                load = Load(server, seed * 1000 + n * 10)
                time.sleep(rng.uniform(0.05, 1.0))
                server.kill()
                load.join()
                finished.update(load.finished)
                acts += load.acts
                begun += load.begun
                server = Server(program, folder, log)
                verify_chain(server)
                server.stop()
                rows = look(folder, finished, acts)
        except SystemExit:
            log.seek(0)
            sys.stderr.write(log.read()[-4000:])
            raise
    print("R1: %d SIGKILLs, %d requests begun, %d ends seen by clients, %d rows, %d acts: "
          "0 lost, 0 twice, chain intact" % (rounds, begun, len(finished), rows, len(acts)))
    if not finished or not acts:
        fail("nothing was finished: the load did not run")


main()
