// ---
// description: Deletes files of one folder that are older than they may be
// mode: daemon
// schedule: 10m
// environment: [TEMP_FOLDER, TEMP_MAX_AGE_HOURS]
// ---
// Only plain files directly in its folder are deleted; links are left alone, whatever they point to.
import { existsSync, lstatSync, readdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import OpenAI from 'openai';

const model = process.env.AI_MODEL ?? 'fast';
const folder = process.env.TEMP_FOLDER ?? 'tmp';
const maxAge = Number(process.env.TEMP_MAX_AGE_HOURS ?? 24) * 3_600_000;
console.log(`clearTemp running with model: ${model}`);

const gone = [];
for (const name of existsSync(folder) ? readdirSync(folder) : []) {
  const about = lstatSync(join(folder, name));
  if (about.isFile() && Date.now() - about.mtimeMs > maxAge) {
    unlinkSync(join(folder, name));
    gone.push(name);
  }
}
console.log(`clearTemp: ${gone.length} files are gone from ${folder}`);
if (process.env.OPENAI_API_KEY && gone.length > 20) {
  const answer = await new OpenAI({ maxRetries: 0 }).chat.completions
    .create({ model, messages: [{ role: 'user', content: `What wrote these temporary files? ${gone.join(', ')}` }] })
    .catch((error) => console.error(`clearTemp: no guess: ${error.message}`));
  if (answer) console.log(`clearTemp: ${answer.choices[0].message.content}`);
}
