// The official OpenAI SDK for JavaScript, unmodified, against a Kapelle server.
import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI();
const says = (content) => [{ role: "user", content }];

const tests = {
  async sync() {
    const answer = await client.chat.completions.create({ model: "fast", messages: says("say hello") });
    assert.equal(answer.choices[0].message.content, "hello there");
    assert.equal(answer.usage.completion_tokens, 3);
  },
  async models() {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    assert.ok(ids.includes("fast"), ids.join());
  },
  async stream() {
    let text = "";
    const stream = await client.chat.completions.create({ model: "fast", messages: says("say hello"), stream: true });
    for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? "";
    assert.equal(text, "hello there");
  },
  async responses() {
    const answer = await client.responses.create({ model: "fast", input: "say hello" });
    assert.equal(answer.output_text, "hello there");
    let text = "";
    for await (const event of await client.responses.create({ model: "fast", input: "say hello", stream: true })) {
      if (event.type === "response.output_text.delta") text += event.delta;
    }
    assert.equal(text, "hello there");
  },
  async tools() {
    const parameters = { type: "object", properties: { city: { type: "string" } } };
    const tools = [{ type: "function", function: { name: "weather", parameters } }];
    const answer = await client.chat.completions.create({ model: "fast", messages: says("call the tool"), tools });
    assert.deepEqual(JSON.parse(answer.choices[0].message.tool_calls[0].function.arguments), { city: "Oslo" });
  },
  async structured() {
    const schema = {
      type: "object",
      properties: { name: { type: "string" }, age: { type: "integer" } },
      required: ["name", "age"],
      additionalProperties: false,
    };
    const answer = await client.chat.completions.parse({
      model: "fast",
      messages: says("as a person"),
      response_format: { type: "json_schema", json_schema: { name: "person", strict: true, schema } },
    });
    assert.deepEqual(JSON.parse(answer.choices[0].message.content), { name: "Ada", age: 36 });
  },
  async embeddings() {
    const answer = await client.embeddings.create({ model: "embed", input: ["one", "two"] });
    assert.equal(answer.data.length, 2);
    assert.ok(answer.data[0].embedding.length > 0);
  },
  async errors() {
    const ask = (client, model, text) => client.chat.completions.create({ model, messages: says(text) });
    await assert.rejects(ask(client, "fast", "go wrong"), OpenAI.BadRequestError);
    await assert.rejects(ask(client, "nobody/x", "hi"), OpenAI.NotFoundError);
    await assert.rejects(ask(new OpenAI({ apiKey: "sk-kapelle-wrong" }), "fast", "hi"), OpenAI.AuthenticationError);
  },
  async cancel() {
    const stream = await client.chat.completions.create({ model: "fast", messages: says("be slow"), stream: true });
    for await (const _ of stream) break;
    stream.controller.abort();
  },
};

for (const [name, test] of Object.entries(tests)) {
  const began = performance.now();
  await test();
  console.log(`openai (JavaScript): ${name} ok in ${((performance.now() - began) / 1000).toFixed(2)} s`);
}
