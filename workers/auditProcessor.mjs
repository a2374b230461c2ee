// ---
// description: Reads administrative acts, counts who did what, and names those that deserve a look
// mode: task
// slots: 2
// input: { type: object, required: [entries], properties: { entries: { type: array, items: { type: object } } } }
// ---
// Takes `{"entries": [...]}` as `kapelle audit --json` lists them.
import { readFileSync } from 'node:fs';
import OpenAI from 'openai';

const model = process.env.AI_MODEL ?? 'fast';
console.log(`auditProcessor running with model: ${model}`);

const { entries } = JSON.parse(readFileSync(0, 'utf8'));
const actors = {};
const findings = [];
for (const entry of entries) {
  const acts = (actors[entry.actor] ??= {});
  acts[entry.action] = (acts[entry.action] ?? 0) + 1;
  const hour = new Date(entry.at ?? NaN).getUTCHours();
  if (/^key\./.test(entry.action)) findings.push({ seq: entry.seq, why: `${entry.actor} changed who may come in` });
  else if (hour < 5) findings.push({ seq: entry.seq, why: `${entry.actor} did ${entry.action} at night` });
}
const result = { entries: entries.length, actors, findings };
if (process.env.OPENAI_API_KEY && findings.length > 0) {
  try {
    const answer = await new OpenAI({ maxRetries: 0 }).responses.create({
      model,
      input: `Say in two sentences what an auditor should look at first: ${JSON.stringify(result)}`,
    });
    result.advice = answer.output_text;
  } catch (error) {
    console.error(`auditProcessor: no advice: ${error.message}`);
  }
}
console.log(JSON.stringify(result));
