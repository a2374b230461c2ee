// The worker process of the Kapelle side: `node kapelle_worker.mjs SLOTS`. KAPELLE_URL and KAPELLE_TOKEN name the server.

import { Host } from "../../../sdk/typescript/dist/index.js";

const host = new Host({ slots: Number(process.argv[2]), log: () => undefined });
host.worker("bench", () => null);
host.worker("step", (_ctx, { n }) => n + 1);
const served = host.run();
await host.ready;
console.log("ready");
await served;
