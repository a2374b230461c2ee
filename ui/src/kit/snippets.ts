// One action in four languages.

export type Recipe = {
  method: "GET" | "POST" | "DELETE";
  path: string;
  body?: unknown;
  /** The line of the command line, without `kapelle`. */
  cli: string;
  /** The lines in the SDKs, with `client` at hand. */
  python?: string;
  typescript?: string;
};

/** A word for a POSIX shell. */
export function shell(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** A value as Python writes it. */
export function python(value: unknown): string {
  if (value === null || value === undefined) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value === "object") {
    return `{${Object.entries(value)
      .map(([name, one]) => `${JSON.stringify(name)}: ${python(one)}`)
      .join(", ")}}`;
  }
  return JSON.stringify(value);
}

function curl(recipe: Recipe, origin: string): string {
  const lines = ['curl -H "Authorization: Bearer $KAPELLE_TOKEN"'];
  if (recipe.body !== undefined) {
    lines.push("-H 'Content-Type: application/json'", `-d ${shell(JSON.stringify(recipe.body))}`);
  } else if (recipe.method !== "GET") lines.push(`-X ${recipe.method}`);
  lines.push(shell(origin + recipe.path));
  return lines.join(" \\\n  ");
}

/** A request with what Python has by itself, where the SDK has no method. */
function pythonRequest(recipe: Recipe, origin: string): string {
  const body = recipe.body === undefined ? "" : `\n    data=json.dumps(${python(recipe.body)}).encode(),`;
  const type = recipe.body === undefined ? "" : ', "Content-Type": "application/json"';
  return `import json, os, urllib.request

request = urllib.request.Request(
    ${JSON.stringify(origin + recipe.path)},
    method="${recipe.method}",
    headers={"Authorization": "Bearer " + os.environ["KAPELLE_TOKEN"]${type}},${body}
)
with urllib.request.urlopen(request) as answer:
    print(json.load(answer))`;
}

/** A request with what Node has by itself, where the SDK has no method. */
function typescriptRequest(recipe: Recipe, origin: string): string {
  const body = recipe.body === undefined ? "" : `\n  body: JSON.stringify(${JSON.stringify(recipe.body)}),`;
  const type = recipe.body === undefined ? "" : ', "content-type": "application/json"';
  return `const answer = await fetch(${JSON.stringify(origin + recipe.path)}, {
  method: "${recipe.method}",
  headers: { authorization: \`Bearer \${process.env.KAPELLE_TOKEN}\`${type} },${body}
});
console.log(await answer.json());`;
}

export function snippets(recipe: Recipe, origin: string): Record<"curl" | "cli" | "python" | "typescript", string> {
  return {
    curl: curl(recipe, origin),
    cli: `kapelle ${recipe.cli}`,
    python: recipe.python
      ? `from kapelle import Client\n\nwith Client() as client:\n    ${recipe.python.replaceAll("\n", "\n    ")}`
      : pythonRequest(recipe, origin),
    typescript: recipe.typescript
      ? `import { Client } from "kapelle";\n\nconst client = new Client();\n${recipe.typescript}`
      : typescriptRequest(recipe, origin),
  };
}
