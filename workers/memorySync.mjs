// ---
// description: Folds the session log into facts that other workers can read
// mode: daemon
// schedule: 1m
// environment: [SESSION_LOG, MEMORY_FILE]
// ---
// The gateway has the retries: the SDK asks once. Reads the session log (one JSON object a line) and writes how each worker has fared. Without a model that is all; with
// one, it adds a sentence for people.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import OpenAI from 'openai';

const model = process.env.AI_MODEL ?? 'fast';
const log = process.env.SESSION_LOG ?? '../.kapelle/session.log';
const memory = process.env.MEMORY_FILE ?? 'memory.json';
console.log(`memorySync running with model: ${model}`);

function fold(text) {
  const facts = { lines: 0, unreadable: 0, workers: {} };
  for (const line of text.split('\n').filter((line) => line.trim())) {
    facts.lines += 1;
    try {
      const { worker = 'unknown', outcome = 'unknown', timestamp } = JSON.parse(line);
      const known = (facts.workers[worker] ??= { outcomes: {} });
      known.outcomes[outcome] = (known.outcomes[outcome] ?? 0) + 1;
      known.last = timestamp ?? known.last;
    } catch {
      facts.unreadable += 1;
    }
  }
  return facts;
}

async function inWords(facts) {
  if (!process.env.OPENAI_API_KEY || facts.lines === 0) return undefined;
  const answer = await new OpenAI({ maxRetries: 0 }).chat.completions.create({
    model,
    messages: [{ role: 'user', content: `Say in one sentence how these workers fare: ${JSON.stringify(facts)}` }],
  });
  return answer.choices[0].message.content;
}

const facts = fold(existsSync(log) ? readFileSync(log, 'utf8') : '');
try {
  facts.summary = await inWords(facts);
} catch (error) {
  console.error(`memorySync: no summary: ${error.message}`);
}
// Written beside its place and moved there, so that nobody reads half of it.
writeFileSync(`${memory}.new`, JSON.stringify(facts, null, 2));
renameSync(`${memory}.new`, memory);
console.log(`memorySync: ${facts.lines} lines of ${Object.keys(facts.workers).length} workers are in ${memory}`);
