// Prompts of the registry through real clients: the official OpenAI one sends `prompt` objects,
// Langfuse's fetches by label and version. An administrator sets everything up through the local socket.
import assert from "node:assert/strict";
import http from "node:http";
import test, { before } from "node:test";

import { LangfuseClient } from "@langfuse/client";
import OpenAI from "openai";

const base = process.env.SEEKD_URL;
const root = base.replace(/\/v1$/, "");
const name = "office/reminder";

// One administrative request, through the local socket or with a key.
function admin(method, path, body, { key, headers = {} } = {}) {
  const options = key ? { host: new URL(base).hostname, port: new URL(base).port }
    : { socketPath: process.env.SEEKD_SOCKET };
  const text = body === undefined ? "" : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const request = http.request({
      ...options, method, path: `/admin/v1/${path}`,
      headers: {
        ...(text && { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) }),
        ...(key && { Authorization: `Bearer ${key}` }), ...headers,
      },
    }, (reply) => {
      let all = "";
      reply.on("data", (piece) => { all += piece; });
      reply.on("end", () => {
        if (reply.statusCode >= 300)
          reject(new Error(`${method} ${path}: ${reply.statusCode} ${all}`));
        else
          resolve({ ...(all && JSON.parse(all)), etag: reply.headers.etag });
      });
    });
    request.on("error", reject);
    request.end(text);
  });
}

async function person(login, department_id, roles) {
  const user = await admin("POST", "users", { login, name: login, department_id, roles });
  const scopes = ["templates", "usage", ...(roles.includes("user") ? ["infer"] : []), "edit"];
  const key = await admin("POST", "keys", { person_id: user.id, name: "test", scopes });
  return key.key;
}

let editor, approver;

before(async () => {
  const department = await admin("POST", "departments", { name: `Works ${Date.now()}` });
  editor = await person(`eve${Date.now()}`, department.id, ["editor", "user"]);
  approver = await person(`paul${Date.now()}`, department.id, ["approver", "user"]);
  const path = `templates/${encodeURIComponent(name)}`;
  const says = (text) => ({
    messages: [{ role: "system", content: text }, { role: "user", content: "{{ question }}" }],
    variables: [{ name: "question", type: "text", required: true, label: { en: "Question", zh: "问题" } }],
    settings: { temperature: 0, max_tokens: 16 },
  });
  const first = await admin("POST", "templates", { name, content: says("Be short."), note: "first" },
    { key: editor });
  assert.equal(first.number, 1);
  await admin("POST", `${path}/versions/1/review`, { to: "review", note: "please" }, { key: editor });
  await admin("POST", `${path}/versions/1/review`,
    { to: "approved", note: "good", evidence: { read: true }, without_run: true }, { key: approver });
  await admin("PUT", `${path}/labels/production`, { number: 1 }, { key: approver });
  const template = await admin("GET", path, undefined, { key: editor });
  await admin("POST", `${path}/versions`, { content: says("Be very short."), note: "second" },
    { key: editor, headers: { "If-Match": template.etag } });
  await admin("PUT", `${path}/labels/staging`, { number: 2 }, { key: editor });
});

test("the OpenAI client sends prompt objects in chat", async () => {
  const client = new OpenAI({ baseURL: base, apiKey: editor, maxRetries: 0 });
  const answer = await client.chat.completions.create({
    prompt: { id: name, variables: { question: "What is seekd?" } },
  });
  assert.ok(answer.choices[0].message.content.length > 0);
  assert.equal(answer.prompt.id, name);
  assert.equal(answer.prompt.version, "1");
  assert.equal(answer.prompt.label, "production");
});

test("the OpenAI client sends prompt objects in responses", async () => {
  const client = new OpenAI({ baseURL: base, apiKey: editor, maxRetries: 0 });
  const answer = await client.responses.create({
    prompt: { id: name, version: "2", variables: { question: "What is seekd?" } },
  });
  assert.ok(answer.output_text.length > 0);
  assert.equal(answer.prompt.version, "2");
  await assert.rejects(client.responses.create({
    prompt: { id: name, version: "9", variables: { question: "x" } },
  }), (e) => e instanceof OpenAI.NotFoundError);
});

test("responses stream a prompt, resolved by label", async () => {
  const client = new OpenAI({ baseURL: base, apiKey: editor, maxRetries: 0 });
  const stream = await client.responses.create({
    stream: true, prompt: { id: name, label: "staging", variables: { question: "What is seekd?" } },
  });
  const types = [];
  let text = "", last;
  for await (const event of stream) {
    types.push(event.type);
    if (event.type === "response.output_text.delta")
      text += event.delta;
    last = event;
  }
  assert.equal(types[0], "response.created");
  assert.ok(["response.completed", "response.incomplete"].includes(last.type), last.type);
  assert.equal(last.response.prompt.id, name);
  assert.equal(last.response.prompt.version, "2");
  assert.equal(last.response.prompt.label, "staging");
  const whole = last.response.output.filter((item) => item.type === "message")
    .flatMap((item) => item.content).map((part) => part.text).join("");
  assert.equal(text, whole);
  assert.ok(types.some((type) => type.endsWith(".delta")));
  const answer = await client.responses.create({
    prompt: { id: name, label: "production", variables: { question: "What is seekd?" } },
  });
  assert.equal(answer.prompt.version, "1");
  assert.equal(answer.prompt.label, "production");
  for (const stream of [true, false]) { // refused before the first event
    await assert.rejects(client.responses.create({
      stream, prompt: { id: name, label: "nope", variables: { question: "x" } },
    }), (e) => e instanceof OpenAI.NotFoundError && e.code === "not_found");
    await assert.rejects(client.responses.create({
      stream, prompt: { id: name, version: "1", label: "staging", variables: { question: "x" } },
    }), (e) => e instanceof OpenAI.BadRequestError);
  }
});

test("a version for a model that is not loaded is refused with both names", async () => {
  const client = new OpenAI({ baseURL: base, apiKey: editor, maxRetries: 0 });
  const other = `office/large${Date.now()}`;
  await admin("POST", "templates", {
    name: other, note: "for the large model",
    content: { model: "deepseek-v3-large", messages: [{ role: "user", content: "Hi." }] },
  }, { key: editor });
  for (const call of [
    () => client.chat.completions.create({ prompt: { id: other, version: "1" } }),
    () => client.responses.create({ prompt: { id: other, version: "1" } }),
    () => client.responses.create({ prompt: { id: other, version: "1" }, stream: true }),
  ])
    await assert.rejects(call(), (e) => e instanceof OpenAI.NotFoundError && e.code === "model_not_found"
      && e.message.includes("deepseek-v3-large"));
});

test("Langfuse's client fetches by label and version", async () => {
  const langfuse = new LangfuseClient({ publicKey: "pk-any", secretKey: editor, baseUrl: root });
  const production = await langfuse.prompt.get(name, { type: "chat", cacheTtlSeconds: 0 });
  assert.equal(production.version, 1);
  assert.deepEqual(production.prompt[0].content, "Be short.");
  const staging = await langfuse.prompt.get(name,
    { type: "chat", label: "staging", cacheTtlSeconds: 0 });
  assert.equal(staging.version, 2);
  const messages = staging.compile({ question: "几点？" });
  assert.equal(messages[1].content, "几点？");
  const byVersion = await langfuse.prompt.get(name, { type: "chat", version: 1, cacheTtlSeconds: 0 });
  assert.equal(byVersion.version, 1);
  await assert.rejects(langfuse.prompt.get(name, { label: "nope", maxRetries: 0, cacheTtlSeconds: 0 }));
});

test("what was used is in the ledger", async () => {
  const reply = await fetch(`${base}/usage/me?by=template`,
    { headers: { Authorization: `Bearer ${editor}` } });
  assert.equal(reply.status, 200);
  const text = await reply.text();
  assert.ok(text.includes(name), text);
});
