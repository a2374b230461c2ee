// The JavaScript that every page needs is small, and nothing of it is inlined.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

const dist = new URL("../dist/", import.meta.url);

test("the first page needs at most 200 KiB of JavaScript, gzip", (t) => {
  const manifest = JSON.parse(readFileSync(new URL(".vite/manifest.json", dist), "utf8"));
  const entry = Object.values(manifest).find((one) => one.isEntry);
  const files = new Set();
  const add = (chunk) => {
    if (!chunk || files.has(chunk.file)) return;
    files.add(chunk.file);
    for (const name of chunk.imports ?? []) add(manifest[name]);
  };
  add(entry);
  const bytes = [...files].reduce(
    (sum, file) => sum + gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length,
    0,
  );
  t.diagnostic(`${(bytes / 1024).toFixed(1)} KiB in ${files.size} files`);
  assert.ok(bytes <= 200 * 1024, `${bytes} bytes`);
});

test("index.html has no inline script or style", () => {
  const html = readFileSync(new URL("index.html", dist), "utf8");
  assert.doesNotMatch(html, /<style|style=|<script(?![^>]*\bsrc=)|\son\w+=/);
});
