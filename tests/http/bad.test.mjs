// Bad requests over plain sockets: every one gets a 4xx or a closed connection, and good requests go on
// working. Environment as openai.test.mjs.
import assert from "node:assert/strict";
import net from "node:net";
import test from "node:test";

const url = new URL(process.env.SEEKD_URL);
const key = process.env.SEEKD_API_KEY;
const CHAT = "/v1/chat/completions";

// Sends raw bytes and resolves to everything that came back until the server closed or was silent.
function exchange(raw, silentMs = 15_000) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(Number(url.port), url.hostname);
    const parts = [];
    const end = () => {
      socket.destroy();
      resolve(Buffer.concat(parts).toString("latin1"));
    };
    socket.setTimeout(silentMs, end);
    socket.on("connect", () => socket.write(raw));
    socket.on("data", (data) => parts.push(data));
    socket.on("end", end);
    socket.on("error", (error) => (error.code === "ECONNRESET" ? end() : reject(error)));
  });
}

const status = (reply) => Number(/^HTTP\/1\.1 (\d{3})/.exec(reply)?.[1] ?? 0);

async function post(body, path = CHAT) {
  const response = await fetch(new URL(path, url), {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body,
  });
  return { status: response.status, body: await response.text() };
}

async function stillGood() {
  const messages = [{ role: "user", content: "hi" }];
  const reply = await post(JSON.stringify({ messages, max_tokens: 1 }));
  assert.equal(reply.status, 200, reply.body);
}

async function refused(body) {
  const reply = await post(body);
  assert.equal(reply.status, 400, `${String(body).slice(0, 200)} -> ${reply.body.slice(0, 200)}`);
  const { error } = JSON.parse(reply.body);
  assert.ok(error.message && error.type && error.code);
}

const messages = [{ role: "user", content: "x" }];
const numbers = {
  temperature: [0, 2],
  top_p: [0, 1],
  top_k: [-1, 2 ** 31 - 1],
  min_p: [0, 1],
  repetition_penalty: [0, 10],
  presence_penalty: [-2, 2],
  frequency_penalty: [-2, 2],
  n: [1, 8],
  max_tokens: [1, 2 ** 31 - 1],
  max_completion_tokens: [1, 2 ** 31 - 1],
  top_logprobs: [0, 20],
};
const wrongNumbers = ([min, max]) => [
  min - 1, max + 1, -(2 ** 31) - 1, -(2 ** 53), 2 ** 53, 1e308, -1e308,
  "1", "", true, [], [1], {}, { a: 1 },
];

test("numbers out of range and of the wrong type", async () => {
  let n = 0;
  for (const [field, range] of Object.entries(numbers))
    for (const value of wrongNumbers(range)) {
      await refused(JSON.stringify({ messages, [field]: value }));
      if (++n % 25 === 0) await stillGood();
    }
  assert.ok(n >= 150);
});

test("other fields of the wrong type", async () => {
  const fields = {
    stream: [1, "true", [], {}],
    logprobs: [1, "x", []],
    ignore_eos: [0, "no"],
    stop: [1, true, [1], [""], "", Array(17).fill("a"), ["a".repeat(257)], {}],
    stop_token_ids: [1, "1", [-1], [1.5], [2 ** 31], [2 ** 40], Array(17).fill(1)],
    logit_bias: [1, [], "x", { x: 1 }, { "-1": 1 }, { 1: 101 }, { 1: "1" }, { 4294967296: 1 }],
    seed: ["1", 1.5, true, [], {}],
    model: [1, true, [], {}, ""],
    messages: [null, 1, "x", {}, [], [1], [null], [{}], [{ role: "user" }], [{ role: 1, content: "" }]],
    stream_options: [1, "x", [], { include_usage: 1 }],
    thinking: [1, "on", {}, { type: "x" }],
    reasoning_effort: [1, "heroic"],
    chat_template_kwargs: [1, [], { tokenize: true }, { enable_thinking: "yes" }],
    response_format: [1, "json", {}, { type: "json_object" }, { type: "json_schema" }],
    tools: [[{ type: "function" }], 1, "x", true],
    tool_choice: ["required", {}, 1],
    guided_json: [{ type: "object" }, "x"],
    grammar: ["root ::= x"],
    chat_template: ["{{ messages }}"],
    min_tokens: [1],
    echo: [true],
    continue_final_message: [true],
    add_generation_prompt: [false],
    skip_special_tokens: [false],
  };
  for (const [field, values] of Object.entries(fields))
    for (const value of values) await refused(JSON.stringify({ messages, [field]: value }));
  await stillGood();
});

test("broken JSON", async () => {
  const good = JSON.stringify({ messages, n: 1 });
  for (let length = 0; length < good.length; length++) await refused(good.slice(0, length));
  const deep = (n) => `{"a":${"[".repeat(n)}${"]".repeat(n)}}`;
  for (const body of [deep(64), deep(5000), `{"a":[${"{},".repeat(70000)}{}]}`, good + "x", "[]", "null",
    '{"messages":1,"messages":2}', "\uFEFF{}", '{"a":1e999}', `{"a":${"9".repeat(400)}}`,
    Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])])
    await refused(body);
  await stillGood();
});

test("broken framing never runs a second request", async () => {
  const auth = `Host: localhost\r\nx-api-key: ${key}\r\nContent-Type: application/json\r\n`;
  const head = `POST ${CHAT} HTTP/1.1\r\n${auth}`;
  const hidden = `GET /v1/models HTTP/1.1\r\nHost: localhost\r\nx-api-key: ${key}\r\n\r\n`;
  const cases = [
    `${head}Content-Length: 0\r\nContent-Length: 5\r\n\r\n${hidden}`,
    `${head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${hidden}`,
    `${head}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n${hidden}`,
    `${head}Transfer-Encoding: identity\r\n\r\n${hidden}`,
    `${head}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${hidden}`,
    `${head}Host: other\r\nContent-Length: 0\r\n\r\n${hidden}`,
    `${head}X: a\nContent-Length: 0\r\n\r\n${hidden}`,
    `${head}X: a\r\n b\r\nContent-Length: 0\r\n\r\n${hidden}`,
    `${head}X: a\0b\r\nContent-Length: 0\r\n\r\n${hidden}`,
    `${head}Content-Length: +0\r\n\r\n${hidden}`,
    `${head}Content-Length: 99999999999\r\n\r\n${hidden}`,
    `${head}Content-Encoding: gzip\r\nContent-Length: 0\r\n\r\n${hidden}`,
    `GET /v1/models%00 HTTP/1.1\r\n${auth}\r\n${hidden}`,
    `GET /v1/models HTTP/1.1\r\n${auth}Content-Length: ${hidden.length}\r\n\r\n${hidden}`,
  ];
  for (const raw of cases) {
    const reply = await exchange(raw);
    const code = status(reply);
    assert.ok(code >= 400 && code < 500, `${JSON.stringify(raw.slice(0, 200))} -> ${code}`);
    assert.ok(!/HTTP\/1\.1 200/.test(reply), `a hidden request ran: ${JSON.stringify(raw)}`);
  }
  await stillGood();
});
