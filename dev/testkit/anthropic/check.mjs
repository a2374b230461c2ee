// The official Anthropic SDK for TypeScript, unmodified, against a Kapelle server.
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic();
const says = (content, more = {}) => ({
  model: "fast",
  max_tokens: 100,
  messages: [{ role: "user", content }],
  ...more,
});
const tool = {
  name: "weather",
  description: "The weather of a city",
  input_schema: { type: "object", properties: { city: { type: "string" } } },
};

const tests = {
  async sync() {
    const answer = await client.messages.create(says("say hello", { system: "Be brief." }));
    assert.equal(answer.content[0].text, "hello there");
    assert.equal(answer.usage.output_tokens, 3);
    assert.match(answer._request_id, /^req_/);
  },
  async stream() {
    const stream = client.messages.stream(says("say hello"));
    let text = "";
    stream.on("text", (piece) => (text += piece));
    const answer = await stream.finalMessage();
    assert.equal(text, "hello there");
    assert.equal(answer.content[0].text, text);
    assert.equal(answer.stop_reason, "end_turn");
  },
  async tools() {
    const question = says("call the tool", { tools: [tool], tool_choice: { type: "any" } });
    const whole = await client.messages.create(question);
    const streamed = await client.messages.stream(question).finalMessage();
    for (const answer of [whole, streamed]) {
      assert.deepEqual(answer.content.at(-1).input, { city: "Oslo" });
      assert.equal(answer.stop_reason, "tool_use");
    }
  },
  async count() {
    const count = await client.messages.countTokens({ model: "fast", messages: says("say hello").messages });
    assert.ok(count.input_tokens > 0);
  },
  async errors() {
    await assert.rejects(client.messages.create(says("go wrong")), Anthropic.BadRequestError);
    await assert.rejects(client.messages.create(says("hi", { model: "nobody/x" })), Anthropic.NotFoundError);
    await assert.rejects(client.messages.create(says("hi", { max_tokens: null })), Anthropic.BadRequestError);
    const stranger = new Anthropic({ apiKey: "sk-kapelle-wrong", authToken: null });
    await assert.rejects(stranger.messages.create(says("hi")), Anthropic.AuthenticationError);
  },
  async cut() {
    await assert.rejects(client.messages.stream(says("be cut")).finalMessage(), Anthropic.APIError);
  },
  async cancel() {
    const stream = await client.messages.create(says("be slow", { stream: true }));
    for await (const _ of stream) break;
    stream.controller.abort();
  },
};

for (const [name, test] of Object.entries(tests)) {
  const began = performance.now();
  await test();
  console.log(`anthropic (TypeScript): ${name} ok in ${((performance.now() - began) / 1000).toFixed(2)} s`);
}
