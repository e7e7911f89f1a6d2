// seekd through the official OpenAI client: what its users do, and what can go wrong.
// Environment: SEEKD_URL ("http://127.0.0.1:8080/v1"), SEEKD_API_KEY. Started by run.sh.
import assert from "node:assert/strict";
import test from "node:test";
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: process.env.SEEKD_URL,
  apiKey: process.env.SEEKD_API_KEY,
  maxRetries: 0,
  timeout: 240_000,
});
const [model] = (await client.models.list()).data;
const ask = (content, more = {}) => ({
  model: model.id,
  messages: [{ role: "user", content }],
  max_tokens: 24,
  temperature: 0,
  ...more,
});
const text = (message) => (message.reasoning_content ?? "") + "|" + (message.content ?? "");

async function collect(stream) {
  const all = { chunks: 0, roles: 0, reasoning: "", content: "", finish: null, usage: null };
  for await (const chunk of stream) {
    all.chunks++;
    if (chunk.usage) all.usage = chunk.usage;
    const choice = chunk.choices[0];
    if (!choice) continue;
    assert.equal(all.finish, null, "a chunk of the choice after its finish reason");
    if (choice.delta.role) all.roles++;
    all.reasoning += choice.delta.reasoning_content ?? "";
    all.content += choice.delta.content ?? "";
    all.finish = choice.finish_reason;
  }
  return all;
}

async function rejects(promise, status, check = () => {}) {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof OpenAI.APIError, String(error));
    assert.equal(error.status, status, error.message);
    assert.ok(error.requestID?.startsWith("req_"), "x-request-id is missing");
    assert.ok(error.message.length > 20 && error.type, "message and type are missing");
    check(error);
    return true;
  });
}

test("models", async () => {
  assert.equal(model.object, "model");
  assert.ok(model.max_model_len > 0);
  assert.equal((await client.models.retrieve(model.id)).id, model.id);
  await rejects(client.models.retrieve("no-such-model"), 404);
});

test("a whole answer", async () => {
  const answer = await client.chat.completions.create(ask("What is seekd?"));
  assert.equal(answer.object, "chat.completion");
  assert.equal(answer.model, model.id);
  assert.match(answer.id, /^chatcmpl-/);
  const [choice] = answer.choices;
  assert.equal(choice.message.role, "assistant");
  assert.ok(["stop", "length"].includes(choice.finish_reason));
  const { prompt_tokens, completion_tokens, total_tokens } = answer.usage;
  assert.ok(prompt_tokens > 0 && completion_tokens > 0 && completion_tokens <= 24);
  assert.equal(total_tokens, prompt_tokens + completion_tokens);
  assert.equal(answer.usage.prompt_tokens_details.cached_tokens, 0);
  assert.ok(answer.usage.completion_tokens_details.reasoning_tokens <= completion_tokens);
});

test("a stream gives the same answer in pieces", async () => {
  const whole = await client.chat.completions.create(ask("What is seekd?"));
  const stream = await client.chat.completions.create(
    ask("What is seekd?", { stream: true, stream_options: { include_usage: true } }),
  );
  const all = await collect(stream);
  assert.equal(all.roles, 1);
  assert.ok(all.chunks >= 3);
  assert.equal(all.reasoning + "|" + all.content, text(whole.choices[0].message));
  assert.equal(all.finish, whole.choices[0].finish_reason);
  assert.deepEqual(all.usage, whole.usage);
});

test("the client's own stream helper", async () => {
  const runner = client.chat.completions.stream(ask("Hello"));
  let deltas = "";
  runner.on("content", (delta) => (deltas += delta));
  const final = await runner.finalChatCompletion();
  assert.equal(deltas, final.choices[0].message.content ?? "");
});

test("content as parts, system and developer messages", async () => {
  const answer = await client.chat.completions.create({
    model: model.id,
    max_tokens: 4,
    messages: [
      { role: "developer", content: "Answer shortly." },
      { role: "user", content: [{ type: "text", text: "One" }, { type: "text", text: "Two" }] },
      { role: "assistant", content: "Three" },
      { role: "user", content: "你好 😀" },
    ],
  });
  assert.equal(answer.choices.length, 1);
});

test("max_tokens, stop and several choices", async () => {
  const one = await client.chat.completions.create(ask("Count", { max_tokens: 1 }));
  assert.equal(one.usage.completion_tokens, 1);
  const long = await client.chat.completions.create(ask("What is seekd?", { max_tokens: 24 }));
  const said = long.choices[0].message.content || long.choices[0].message.reasoning_content;
  const stop = said.slice(2, 4);
  if (stop.trim().length === 2) {
    const cut = await client.chat.completions.create(ask("What is seekd?", { stop: [stop] }));
    assert.ok(!(cut.choices[0].message.content ?? "").includes(stop));
    assert.equal(cut.choices[0].finish_reason, "stop");
  }
  const three = await client.chat.completions.create(ask("Hi", { n: 3, max_tokens: 3 }));
  assert.deepEqual(three.choices.map((choice) => choice.index), [0, 1, 2]);
});

test("a seed repeats an answer", async () => {
  const body = ask("Tell me something", { temperature: 1.2, seed: 42, max_tokens: 12 });
  const first = await client.chat.completions.create(body);
  const second = await client.chat.completions.create(body);
  assert.equal(text(first.choices[0].message), text(second.choices[0].message));
});

test("log-probabilities", async () => {
  const answer = await client.chat.completions.create(
    ask("Hi", { logprobs: true, top_logprobs: 3, max_tokens: 200 }),
  );
  const list = answer.choices[0].logprobs?.content ?? [];
  for (const entry of list) {
    assert.equal(typeof entry.token, "string");
    assert.ok(entry.logprob <= 0);
    assert.equal(entry.top_logprobs.length, 3);
    assert.ok(Array.isArray(entry.bytes));
  }
});

test("plain completions", async () => {
  const answer = await client.completions.create({
    model: model.id,
    prompt: "seekd is",
    max_tokens: 5,
    temperature: 0,
  });
  assert.equal(answer.object, "text_completion");
  let pieces = "";
  for await (const chunk of await client.completions.create({
    model: model.id,
    prompt: "seekd is",
    max_tokens: 5,
    temperature: 0,
    stream: true,
  }))
    pieces += chunk.choices[0]?.text ?? "";
  assert.equal(pieces, answer.choices[0].text);
});

// Plain text for a model; the scripted engine of the C tests takes it as an order to be slow.
const slow = "Tell me a long story #tokens=400##us=5000#";

test("aborting in mid-stream leaves the server ready", async () => {
  for (let round = 0; round < 5; round++) {
    const stream = await client.chat.completions.create(
      ask(slow, { stream: true, max_tokens: 400, ignore_eos: true }),
    );
    let chunks = 0;
    for await (const chunk of stream) {
      assert.ok(chunk.id);
      if (++chunks === 3) break; // the client closes the connection
    }
  }
  const controller = new AbortController();
  const waiting = client.chat.completions.create(ask(slow, { ignore_eos: true, max_tokens: 400 }), {
    signal: controller.signal,
  });
  setTimeout(() => controller.abort(), 50);
  await assert.rejects(waiting, OpenAI.APIUserAbortError);
  const answer = await client.chat.completions.create(ask("Hello", { max_tokens: 2 }));
  assert.equal(answer.choices.length, 1);
});

test("16 streams at once, each with its own answer", async () => {
  const questions = Array.from({ length: 16 }, (_, i) => `What is ${i + 1} plus ${i + 2}?`);
  const streams = await Promise.all(
    questions.map(async (question) =>
      collect(await client.chat.completions.create(ask(question, { stream: true }))),
    ),
  );
  for (const all of streams) {
    assert.equal(all.roles, 1);
    assert.ok(["stop", "length"].includes(all.finish));
    assert.ok((all.reasoning + all.content).length > 0);
  }
});

test("error cases", async () => {
  const stranger = new OpenAI({
    baseURL: process.env.SEEKD_URL,
    apiKey: "sk-wrong-0123456789",
    maxRetries: 0,
  });
  await rejects(stranger.models.list(), 401, (error) => assert.equal(error.code, "invalid_api_key"));
  await rejects(client.chat.completions.create(ask("x", { model: "no-such-model" })), 404, (error) => {
    assert.equal(error.param, "model");
    assert.equal(error.code, "model_not_found");
  });
  await rejects(client.chat.completions.create(ask("x", { temperature: 3 })), 400, (error) =>
    assert.equal(error.param, "temperature"),
  );
  await rejects(client.chat.completions.create(ask("x", { n: 9 })), 400);
  await rejects(client.chat.completions.create(ask("x", { messages: [] })), 400);
  await rejects(
    client.chat.completions.create(
      ask("x", { tools: [{ type: "function", function: { name: "f", parameters: {} } }] }),
    ),
    400,
    (error) => assert.match(error.message, /not supported/),
  );
  await rejects(
    client.chat.completions.create(ask("x", { response_format: { type: "json_object" } })),
    400,
    (error) => assert.equal(error.param, "response_format"),
  );
  await rejects(
    client.chat.completions.create(ask("word ".repeat(model.max_model_len + 10))),
    400,
    (error) => {
      assert.equal(error.code, "context_length_exceeded");
      assert.ok(error.message.includes(String(model.max_model_len)), error.message);
    },
  );
  const answer = await client.chat.completions.create(ask("still there?", { max_tokens: 1 }));
  assert.equal(answer.usage.completion_tokens, 1);
});
