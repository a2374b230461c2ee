// ---
// description: Reads a tree of source files and names what could be simpler
// mode: task
// timeout: 2m
// input: { type: object, required: [folder], properties: { folder: { type: string }, max_lines: { type: integer, default: 400 } } }
// ---
import { readFileSync, readdirSync } from 'node:fs';
import { extname, join, relative } from 'node:path';
import OpenAI from 'openai';

const model = process.env.AI_MODEL ?? 'fast';
const endings = new Set(['.js', '.mjs', '.ts', '.py', '.rs', '.go', '.java', '.c', '.h']);
console.log(`codeImprovement running with model: ${model}`);

const { folder, max_lines: maxLines = 400 } = JSON.parse(readFileSync(0, 'utf8'));

function* sources(place) {
  for (const entry of readdirSync(place, { withFileTypes: true })) {
    const path = join(place, entry.name);
    if (entry.isDirectory() && !entry.name.startsWith('.') && !['node_modules', 'target'].includes(entry.name)) yield* sources(path);
    else if (entry.isFile() && endings.has(extname(entry.name))) yield path;
  }
}

const findings = [];
let files = 0;
let lines = 0;
for (const path of sources(folder)) {
  const text = readFileSync(path, 'utf8').split('\n');
  const file = relative(folder, path);
  files += 1;
  lines += text.length;
  if (text.length > maxLines) findings.push({ file, line: 1, what: `${text.length} lines: divide it` });
  text.forEach((line, at) => {
    const depth = line.length - line.trimStart().length;
    if (line.length > 160) findings.push({ file, line: at + 1, what: `${line.length} characters in a line` });
    else if (line.trim() && depth >= 32) findings.push({ file, line: at + 1, what: 'deeply nested' });
  });
}
const result = { files, lines, findings: findings.slice(0, 200), more: Math.max(0, findings.length - 200) };
if (process.env.OPENAI_API_KEY && findings.length > 0) {
  try {
    const answer = await new OpenAI({ maxRetries: 0 }).responses.create({
      model,
      input: `Which three of these would you mend first, and how? ${JSON.stringify(result.findings.slice(0, 50))}`,
    });
    result.advice = answer.output_text;
  } catch (error) {
    console.error(`codeImprovement: no advice: ${error.message}`);
  }
}
console.log(JSON.stringify(result));
