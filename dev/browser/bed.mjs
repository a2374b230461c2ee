// A server in a folder of its own, a page of another origin, and a fresh browser.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

export async function serve() {
  const folder = mkdtempSync(join(tmpdir(), "kapelle-browser-"));
  const env = { ...process.env };
  for (const name of ["OPENAI_API_KEY", "OPENAI_BASE_URL", "KAPELLE_DATA", "KAPELLE_TOKEN"]) delete env[name];
  const child = spawn(process.env.KAPELLE, ["serve", "--listen", "127.0.0.1:0"], { cwd: folder, env });
  child.stderr.resume();
  const address = await new Promise((resolve, reject) => {
    let text = "";
    child.on("exit", (code) => reject(new Error(`the server ended with ${code}`)));
    child.stdout.on("data", (part) => {
      text += part;
      const line = /^listening=(.*)$/m.exec(text);
      if (line) resolve(line[1]);
    });
  });
  const token = readFileSync(join(folder, ".kapelle/token"), "utf8").trim();
  const url = `http://${address}`;
  // Asks as a program does, without the headers of a browser.
  const ask = async (method, path, body) => {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const answer = await fetch(url + path, { method, headers, body: body && JSON.stringify(body) });
    return { status: answer.status, body: await answer.json().catch(() => null) };
  };
  const stop = async () => {
    child.removeAllListeners("exit");
    const ended = new Promise((resolve) => child.on("exit", resolve));
    child.kill("SIGKILL");
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  return { url, port: address.split(":")[1], token, ask, stop };
}

// A server of another origin, which serves one page and records its requests.
export async function foreign(html) {
  const server = http.createServer((request, response) => {
    response.setHeader("content-type", "text/html");
    response.end(html);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stop = () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve)));
  return { port: server.address().port, stop };
}

export async function browser() {
  const profile = mkdtempSync(join(tmpdir(), "kapelle-profile-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM,
    headless: true,
    args: [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync",
      // The newest browsers themselves keep pages from local servers. Older ones do not, and here the server is under test.
      "--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets,LocalNetworkAccessChecksWebRTC,BlockInsecurePrivateNetworkRequests",
      // Foreign names that resolve to this machine.
      "--host-resolver-rules=MAP evil.example 127.0.0.1,MAP rebound.example 127.0.0.1,MAP mail.example 127.0.0.1",
    ],
  });
  const stop = async () => {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  };
  return { context, stop };
}
