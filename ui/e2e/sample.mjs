// What the tested server has: runs of each kind, tasks that wait, failed and were answered.
export const DEMO = `name: demo
description: A loop, a branch, items and an end
inputs:
  type: object
  properties:
    n: { type: integer, default: 120 }
steps:
  start: { worker: log, with: { message: begin } }
  pause: { needs: [start], worker: sleep, with: { ms: 60 } }
  each:
    needs: [start]
    for_each: "\${{ range(inputs.n) | list }}"
    max_parallel: 20
    worker: log
    with: { message: "\${{ item }}" }
  loop:
    needs: [start]
    repeat: { max: 3, until: "false" }
    steps:
      a: { worker: log, with: { message: a } }
      b: { needs: [a], worker: sleep, with: { ms: 20 } }
  choose:
    needs: [pause]
    if: "inputs.n > 1"
    then:
      steps:
        more: { worker: log, with: { message: more } }
        lost: { needs: [more], worker: translator, with: { text: hi, language: German }, on_error: continue }
    else:
      steps:
        fewer: { worker: log, with: { message: fewer } }
  end: { needs: [each, loop, choose], worker: log, with: { message: end } }
outputs:
  n: "\${{ inputs.n }}"
finally:
  steps:
    clean: { worker: log, with: { message: clean } }
`;

export const ASKS = `name: asks
steps:
  draft: { worker: log, with: { message: draft } }
  approve: { needs: [draft], wait: { approval: "Send the report?" } }
  send: { needs: [approve], worker: log, with: { message: sent } }
`;

export const SLOW = `name: slow
steps:
  one: { worker: log, with: { message: one } }
  nap: { needs: [one], worker: sleep, with: { ms: 120000 } }
`;

/** 1,000 steps in 50 levels of 20. */
export const LONG = `name: long
steps:
${Array.from({ length: 1_000 }, (_, at) => {
  const needs = at < 20 ? "" : `needs: [s${at - 20}], `;
  return `  s${at}: { ${needs}worker: log, with: { message: "${at}" } }`;
}).join("\n")}
`;

/** About 320 items a second, with three events each. */
export const STREAM = `name: stream
inputs: { type: object, properties: { n: { type: integer, default: 3000 } } }
steps:
  each: { for_each: "\${{ range(inputs.n) | list }}", max_parallel: 8, worker: sleep, with: { ms: 24 } }
`;

/** Text that would do harm where it is read as anything but text. */
export const HOSTILE = `</textarea><script>window.harmed=1</script><img src=x onerror="window.harmed=1">\u001b[31mred\u001b[0m \u202egpj.exe`;

export async function fill(server) {
  const demo = await server.run(DEMO);
  await server.run(DEMO.replace("message: end", "message: ended"));
  const asks = await server.run(ASKS, {}, false);
  const slow = await server.run(SLOW, {}, false);
  const text = "The reading room needs light. The light needs windows.";
  const made = async (body) => (await server.ask("POST", "/api/v1/tasks?wait_ms=5000", body)).body.id;
  const done = await made({ worker: "keywords", input: { text } });
  const failed = await made({ worker: "translator", input: { text, language: "German" } });
  const later = await made({ worker: "log", input: { message: "later" }, delay_ms: 3_600_000 });
  const hostile = await made({ worker: "log", input: { message: HOSTILE } });
  const every = { timezone: "Europe/Berlin", workflow: "demo", with: { n: 3 } };
  await server.ask("POST", "/api/v1/schedules", { name: "nightly", cron: "30 2 * * *", ...every });
  await server.ask("POST", "/api/v1/schedules/nightly/fire");
  await server.ask("POST", "/api/v1/schedules/nightly/fire");
  await server.ask("POST", "/api/v1/schedules", {
    name: "quarters",
    cron: "15m",
    worker: "log",
    with: { message: "x" },
  });
  await server.ask("POST", "/api/v1/schedules/quarters/pause", { reason: "the source is moved" });
  return { demo, asks, slow, done, failed, later, hostile };
}

/** Every page with data on it; ONLY names those that are wanted. */
export function places(made) {
  const only = process.env.ONLY?.split(",");
  const all = [
    ["try", "/try"],
    ["analyse", "/analyse"],
    ["monitor", "/monitor"],
    ["runs", "/runs"],
    ["run-outline", `/runs/${made.demo}`],
    ["run-step", `/runs/${made.demo}?step=choose.lost`],
    ["run-graph", `/runs/${made.demo}?view=graph`],
    ["run-journal", `/runs/${made.demo}?view=journal`],
    ["run-values", `/runs/${made.demo}?view=values`],
    ["run-open", `/runs/${made.asks}`],
    ["tasks", "/tasks"],
    ["task", `/tasks/${made.failed}`],
    ["inbox", "/inbox"],
    ["workflows", "/workflows"],
    ["workflow-graph", "/workflows/demo"],
    ["workflow-text", "/workflows/demo?view=text"],
    ["workflow-versions", "/workflows/demo?view=versions"],
    ["schedules", "/schedules"],
    ["schedule", "/schedules/nightly"],
    ["queues", "/queues"],
    ["workers", "/workers"],
    ["worker", "/workers/keywords"],
    ["dead", "/dead"],
    ["spend", "/spend"],
    ["calls", "/calls"],
    ["providers", "/providers"],
    ["access", "/access"],
    ["system", "/system"],
  ];
  return only ? all.filter(([name]) => only.includes(name)) : all;
}
