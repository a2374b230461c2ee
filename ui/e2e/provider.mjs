// A provider of models that speaks the OpenAI protocol and answers what the tests want, streamed where it is asked to.
import { createServer } from "node:http";

const USAGE = { prompt_tokens: 900, completion_tokens: 300, total_tokens: 1_200 };

function whole(response, model, content) {
  response.writeHead(200, { "content-type": "application/json" });
  const choices = [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }];
  response.end(JSON.stringify({ id: "c", object: "chat.completion", model, choices, usage: USAGE }));
}

function streamed(response, model, content, holds) {
  response.writeHead(200, { "content-type": "text/event-stream" });
  const send = (choices, more = {}) =>
    response.write(
      `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", model, choices, ...more })}\n\n`,
    );
  const words = content.split(/(?<= )/);
  const half = Math.ceil(words.length / 2);
  for (const word of words.slice(0, half)) send([{ index: 0, delta: { content: word } }]);
  const rest = () => {
    for (const word of words.slice(half)) send([{ index: 0, delta: { content: word } }]);
    send([{ index: 0, delta: {}, finish_reason: "stop" }], { usage: USAGE });
    response.end("data: [DONE]\n\n");
  };
  if (holds) holds.push(rest);
  else rest();
}

/**
 * Starts the provider. `answer`: what it answers; while `hold` is set, streams stop half-way until `release`. From
 * the request with the number `holdFrom` on, answers are held until then. */
export async function provider() {
  const state = { answer: "{}", hold: false, holdFrom: Number.POSITIVE_INFINITY, asked: 0, streams: 0 };
  let held = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (part) => {
      body += part;
    });
    request.on("end", () => {
      const { model, stream } = JSON.parse(body || "{}");
      state.asked += 1;
      if (stream) state.streams += 1;
      const holds = state.hold || state.asked >= state.holdFrom;
      if (stream) streamed(response, model, state.answer, holds ? held : null);
      else if (holds) held.push(() => whole(response, model, state.answer));
      else whole(response, model, state.answer);
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${server.address().port}/v1`;
  const release = () => {
    state.hold = false;
    state.holdFrom = Number.POSITIVE_INFINITY;
    for (const go of held) go();
    held = [];
  };
  const stop = () => {
    release();
    server.closeAllConnections();
    server.close();
  };
  return { state, url, release, stop };
}
