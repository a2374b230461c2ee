// Runs in the malicious page. Tries everything that a page can do to a server, and gives what it could read of it.
async function attack({ bases, token, tickets, mine, id, link }) {
  const read = [];
  const within = (promise, ms = 4000) => Promise.race([promise, new Promise((resolve) => setTimeout(resolve, ms))]);
  const task = JSON.stringify({ worker: "log", input: { message: "from a foreign page" } });
  const plain = { "content-type": "text/plain" };
  const bearer = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const fetched = async (name, url, init) => {
    try {
      const answer = await fetch(url, { cache: "no-store", ...init });
      const text = answer.type === "opaque" ? "" : await answer.text();
      // A refusal of the door tells a page only that it was refused.
      if (text !== "" && ![403, 421].includes(answer.status)) read.push(`${name}: ${answer.status} ${text.slice(0, 80)}`);
    } catch {
      // Not even the status could be read.
    }
  };
  const tries = [];
  for (const base of bases) {
    const at = (path) => base + path;
    for (const mode of ["cors", "no-cors", ...(mine ? ["same-origin"] : [])]) {
      tries.push(fetched(`GET ${mode} ${base}`, at("/openapi.json"), { mode }));
      tries.push(fetched(`GET health ${mode} ${base}`, at("/health"), { mode }));
      tries.push(fetched(`POST text ${mode} ${base}`, at("/api/v1/tasks"), { mode, method: "POST", headers: plain, body: task }));
      tries.push(fetched(`POST nothing ${mode} ${base}`, at(`/api/v1/tasks/${id}/cancel`), { mode, method: "POST" }));
      tries.push(fetched(`POST link ${mode} ${base}`, at(link), { mode, method: "POST", headers: plain, body: '{"approved":true}' }));
      tries.push(fetched(`with token ${mode} ${base}`, at("/api/v1/tasks"), { mode, headers: bearer }));
    }
    tries.push(fetched(`POST json ${base}`, at("/api/v1/tasks"), { method: "POST", headers: bearer, body: task }));
    tries.push(fetched(`POST link json ${base}`, at(link), { method: "POST", headers: bearer, body: '{"approved":true}' }));
    tries.push(fetched(`DELETE ${base}`, at("/api/v1/hosts/host_1"), { method: "DELETE", headers: bearer }));
    tries.push(fetched(`PUT ${base}`, at("/api/v1/queues/default/pause"), { method: "PUT", headers: bearer }));
    tries.push(fetched(`pause ${base}`, at("/api/v1/queues/default/pause"), { method: "POST", headers: bearer }));
    navigator.sendBeacon(at("/api/v1/tasks"), task);
    navigator.sendBeacon(at(`/api/v1/tasks/${id}/cancel`));
    for (const [path, enctype] of [
      ["/api/v1/tasks", "text/plain"],
      ["/api/v1/tasks", "application/x-www-form-urlencoded"],
      [`/api/v1/tasks/${id}/cancel`, "multipart/form-data"],
      ["/api/v1/queues/default/pause", "text/plain"],
      [link, "text/plain"],
    ]) {
      const frame = document.body.appendChild(document.createElement("iframe"));
      frame.name = `f${Math.random()}`;
      const form = document.body.appendChild(document.createElement("form"));
      Object.assign(form, { action: at(path), method: "post", enctype, target: frame.name });
      const field = form.appendChild(document.createElement("input"));
      field.name = '{"approved":true,"worker":"log","input":{"message":"';
      field.value = '"}}';
      form.submit();
    }
    tries.push(within(new Promise((resolve) => {
      const socket = new WebSocket(at(`/api/v1/ws?ticket=${tickets[0]}`).replace("http", "ws"));
      socket.onopen = () => (read.push(`WebSocket ${base} opened`), resolve());
      socket.onmessage = (message) => (read.push(`WebSocket ${base}: ${message.data}`), resolve());
      socket.onerror = resolve;
    })));
    tries.push(within(new Promise((resolve) => {
      const source = new EventSource(at(`/api/v1/events?ticket=${tickets[1]}`));
      source.onopen = () => (read.push(`EventSource ${base} opened`), source.close(), resolve());
      source.onerror = () => (source.close(), resolve());
    })));
    for (const path of ["/docs", link, "/livez"]) {
      tries.push(within(new Promise((resolve) => {
        const frame = document.body.appendChild(document.createElement("iframe"));
        frame.onload = () => {
          try {
            const text = frame.contentDocument?.body?.innerText ?? "";
            if (text && !text.includes('"status":403') && !text.includes('"status":421')) read.push(`iframe ${base}${path}: ${text.slice(0, 80)}`);
          } catch {
            // Another origin: nothing to be seen.
          }
          resolve();
        };
        frame.src = at(path);
      }), 2000));
    }
    for (const [kind, path] of [["script", "/openapi.json"], ["img", "/livez"], ["link", "/docs"]]) {
      tries.push(within(new Promise((resolve) => {
        const element = document.createElement(kind);
        element.onload = () => (read.push(`${kind} ${base}${path} loaded`), resolve());
        element.onerror = resolve;
        if (kind === "link") Object.assign(element, { rel: "stylesheet", href: at(path) });
        else element.src = at(path);
        document.head.appendChild(element);
      }), 2000));
    }
  }
  await Promise.all(tries);
  return read;
}
