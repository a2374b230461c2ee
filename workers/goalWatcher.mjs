// ---
// description: Keeps an eye on goals and says which are met, open or overdue
// mode: daemon
// environment: [GOALS_FILE, GOALS_EVERY_MS]
// ---
// goals.json: [{ "goal": "...", "file": "report.md", "contains": "Result", "due": "2026-12-01" }]
// A goal is met when its file is there and holds the words.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import OpenAI from 'openai';

const model = process.env.AI_MODEL ?? 'fast';
const file = process.env.GOALS_FILE ?? 'goals.json';
const every = Number(process.env.GOALS_EVERY_MS ?? 60_000);
console.log(`goalWatcher running with model: ${model}`);

function look(goal) {
  const met = existsSync(goal.file) && (!goal.contains || readFileSync(goal.file, 'utf8').includes(goal.contains));
  const overdue = !met && goal.due !== undefined && Date.parse(goal.due) < Date.now();
  return { ...goal, state: met ? 'met' : overdue ? 'overdue' : 'open' };
}

async function advise(goal) {
  if (!process.env.OPENAI_API_KEY) return undefined;
  const answer = await new OpenAI({ maxRetries: 0 }).chat.completions.create({
    model,
    messages: [{ role: 'user', content: `This goal is overdue. What is the next small step? ${goal.goal}` }],
  });
  return answer.choices[0].message.content;
}

let before = '';
async function watch() {
  const goals = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).map(look) : [];
  const now = JSON.stringify(goals.map((goal) => goal.state));
  // Only a change is worth a model's time, and a line in the log.
  if (now !== before) {
    before = now;
    for (const goal of goals.filter((goal) => goal.state === 'overdue')) {
      goal.advice = await advise(goal).catch((error) => `no advice: ${error.message}`);
    }
    writeFileSync(`${file}.status.json`, JSON.stringify(goals, null, 2));
    for (const goal of goals) console.log(`goalWatcher: ${goal.state}: ${goal.goal}`);
  }
  setTimeout(watch, every);
}
await watch();
