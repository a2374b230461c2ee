import { expect, test } from "vitest";
import { python, shell, snippets } from "./snippets";

test("words for a shell cannot end their quotes", () => {
  expect(shell("task_7")).toBe("task_7");
  expect(shell("it's $(here)")).toBe(`'it'\\''s $(here)'`);
});

test("values are written as Python", () => {
  expect(python({ a: [true, null, 'x"y'], b: 1.5 })).toBe('{"a": [True, None, "x\\"y"], "b": 1.5}');
});

test("a recipe is told in four languages, with a plain request where an SDK has no method", () => {
  const said = snippets(
    { method: "POST", path: "/api/v1/tasks", body: { worker: "log" }, cli: "submit log" },
    "http://127.0.0.1:1",
  );
  expect(said.curl).toContain(`-d '{"worker":"log"}'`);
  expect(said.curl).toContain("http://127.0.0.1:1/api/v1/tasks");
  expect(said.cli).toBe("kapelle submit log");
  expect(said.python).toContain('data=json.dumps({"worker": "log"}).encode(),');
  expect(said.python).toContain('"Bearer " + os.environ["KAPELLE_TOKEN"], "Content-Type": "application/json"}');
  expect(said.typescript).toContain('body: JSON.stringify({"worker":"log"}),');
  const bare = snippets({ method: "DELETE", path: "/x", cli: "x" }, "http://a");
  expect(bare.python).toContain('method="DELETE"');
  expect(bare.python + bare.typescript).not.toMatch(/data=|body:|ontent-.ype/);
  expect(snippets({ method: "GET", path: "/x", cli: "x", python: "client.a()\nclient.b()" }, "").python).toContain(
    "    client.b()",
  );
});
