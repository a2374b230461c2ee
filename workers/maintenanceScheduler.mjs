// ---
// description: Says which maintenance is due, from a list of chores and the days they were last done
// mode: daemon
// schedule: 1h
// environment: [MAINTENANCE_FILE]
// ---
// maintenance.json: [{ "chore": "Vacuum the store", "every_days": 7, "last": "2026-11-01" }]
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import OpenAI from 'openai';

const model = process.env.AI_MODEL ?? 'fast';
const file = process.env.MAINTENANCE_FILE ?? 'maintenance.json';
const day = 86_400_000;
console.log(`maintenanceScheduler running with model: ${model}`);

const chores = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : [];
const plan = chores.map((chore) => {
  const next = (chore.last === undefined ? 0 : Date.parse(chore.last)) + chore.every_days * day;
  return { ...chore, next: new Date(Math.max(next, 0)).toISOString().slice(0, 10), due: next <= Date.now() };
});
plan.sort((a, b) => a.next.localeCompare(b.next));
const due = plan.filter((chore) => chore.due);
if (process.env.OPENAI_API_KEY && due.length > 1) {
  try {
    const answer = await new OpenAI({ maxRetries: 0 }).chat.completions.create({
      model,
      messages: [{ role: 'user', content: `In which order, and why? ${due.map((c) => c.chore).join('; ')}` }],
    });
    console.log(`maintenanceScheduler: ${answer.choices[0].message.content}`);
  } catch (error) {
    console.error(`maintenanceScheduler: no advice: ${error.message}`);
  }
}
writeFileSync(`${file}.plan.json`, JSON.stringify(plan, null, 2));
console.log(`maintenanceScheduler: ${due.length} of ${plan.length} chores are due`);
