// The demo model's held-out questions through the official OpenAI client: every answer must be the
// one that its training report recorded, to the character. Skipped when another model is served.
// Environment: SEEKD_URL, SEEKD_API_KEY, SEEKD_HELDOUT (deploy/demo/heldout.jsonl). Started by run.sh.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: process.env.SEEKD_URL,
  apiKey: process.env.SEEKD_API_KEY,
  maxRetries: 0,
  timeout: 240_000,
});
const [model] = (await client.models.list()).data;
const skip = model.id === "seekd-demo" ? false : `the model is ${model.id}, not seekd-demo`;
const rows = readFileSync(process.env.SEEKD_HELDOUT, "utf8").trim().split("\n").map(JSON.parse);
const PARALLEL = 8;

async function ask(row) {
  const answer = await client.chat.completions.create({
    model: model.id,
    messages: [{ role: "user", content: row.question }],
    temperature: 0,
    max_tokens: 400,
  });
  const { content, reasoning_content } = answer.choices[0].message;
  return { content, reasoning: reasoning_content.trim(), finish: answer.choices[0].finish_reason };
}

for (const task of ["qa", "math", "json", "text"]) {
  test(`held-out questions: ${task}`, { skip }, async () => {
    const mine = rows.filter((row) => row.task === task && row.model_is_right);
    assert.ok(mine.length >= 10, `${mine.length} questions of ${task}`);
    for (let i = 0; i < mine.length; i += PARALLEL) {
      const batch = mine.slice(i, i + PARALLEL);
      const answers = await Promise.all(batch.map(ask));
      answers.forEach((got, k) => {
        assert.equal(got.finish, "stop", batch[k].question);
        assert.equal(got.content, batch[k].answer, batch[k].question);
        assert.equal(got.reasoning, batch[k].reasoning.trim(), batch[k].question);
      });
    }
  });
}
