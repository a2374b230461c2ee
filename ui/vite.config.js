// The build: everything under /ui/, nothing inlined (the CSP forbids it), and a gzip beside each file.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const gzip = {
  name: "gzip",
  apply: "build",
  closeBundle() {
    const folder = "dist";
    for (const name of readdirSync(folder, { recursive: true })) {
      if (!/\.(js|css|html|svg)$/.test(name)) continue;
      const path = join(folder, name);
      writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
    }
  },
};

// `npx vite` and `npx vite preview` stand before a running server, for people who change the console.
const proxy = Object.fromEntries(
  ["/api", "/health", "/openapi.json", "/v1"].map((path) => [
    path,
    { target: process.env.KAPELLE_URL ?? "http://127.0.0.1:7863", ws: true },
  ]),
);

export default defineConfig({
  base: "/ui/",
  plugins: [react(), gzip],
  build: {
    target: "es2023",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    manifest: true,
  },
  server: { proxy },
  preview: { proxy },
  test: { include: ["src/**/*.test.ts", "src/**/*.test.tsx"], environment: "node" },
});
