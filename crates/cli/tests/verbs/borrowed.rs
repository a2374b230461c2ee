//! Prompt workers on a worker host: the server that gave the task pays for their calls, and the host needs no key.

use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::{
    money::{Served, Stage, states},
    place::Place,
};

/// The server itself runs no tasks.
const NOTHING_HERE: &str = "queues: { default: { slots: 0 }, ml: { slots: 0 }, openai: { slots: 0 } }\n";
const OFF: &str = "\
kind: prompt
name: off
model: nobody
offline: summary
input: { type: object, required: [text], properties: { text: { type: string } } }
prompt: '{{ text }}'
output: { type: object, required: [text, key_points], properties: { text: { type: string }, key_points: { type: array } } }
";
const ONE: &str = "\
name: one
steps: { ask: { worker: summarizer, with: { text: It leaks. }, retry: { max_attempts: 3, delay: 10ms, jitter: none } } }
outputs: { text: '${{ steps.ask.output.text }}' }
";

/// A host without the key of any provider, killed when the test ends.
struct Host(Child);

impl Host {
    fn of(place: &Place) -> Host {
        let mut command = place.command(&["host", "--slots", "2"]);
        command.env_remove("OPENAI_API_KEY").env_remove("OPENAI_BASE_URL");
        Host(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Stage {
    fn got(&self, served: &Served, path: &str) -> Value {
        self.runtime.block_on(async { served.client.get(&format!("{path}?wait_ms=60000")).await.unwrap() })
    }

    fn done(&self, served: &Served, worker: &str, text: &str) -> Value {
        let task =
            json!({ "worker": worker, "input": { "text": text }, "retry": { "max_attempts": 3, "delay_ms": 10 } });
        let made = self.post(&served.client, "/api/v1/tasks", task);
        self.got(served, &format!("/api/v1/tasks/{}", made["id"].as_str().unwrap()))
    }
}

#[test]
fn the_server_answers_meters_and_caps_what_prompt_workers_of_a_host_ask() {
    let stage = Stage::new(
        "[{ contains: leaks, reply: { text: Mend the roof., key_points: [It leaks.] } },
          { contains: Winter, times: 1, status: 500 }, { contains: Winter, reply: { text: Cold., key_points: [] } },
          { contains: Nobody, status: 400 }, { contains: dear, reply: { text: Much., key_points: [] } }]",
    );
    let models = "models: { fast: { chain: [openai/gpt-4o-mini, offline] }, nobody: { chain: [offline] } }\n";
    stage.place.file("kapelle.yaml", format!("{NOTHING_HERE}{models}"));
    stage.place.file("workers/off.yaml", OFF);
    let served = stage.serve();
    let _host = Host::of(&stage.place);
    // Charged in the server's ledger, with the server's key.
    let ended = stage.done(&served, "summarizer", "It leaks.");
    assert_eq!((&ended["state"], &ended["output"]["text"]), (&json!("succeeded"), &json!("Mend the roof.")), "{ended}");
    assert_eq!((&ended["provider"], &ended["degraded"]), (&json!("openai"), &json!(false)), "{ended}");
    let calls = stage.calls();
    assert_eq!((states(&calls), &calls[0]["task"]), (vec!["charged"], &ended["id"]));
    assert!(ended["cost_nanousd"].as_u64().unwrap() > 0, "{ended}");
    assert_eq!(ended["cost_nanousd"], calls[0]["cost_nanousd"], "{ended}");
    // A temporary fault is retried before a classical method answers, and a refusal by the provider never ends offline.
    let ended = stage.done(&served, "summarizer", "Winter comes.");
    assert_eq!((&ended["output"]["text"], &ended["attempt"]), (&json!("Cold."), &json!(2)), "{ended}");
    let ended = stage.done(&served, "summarizer", "Nobody has money.");
    assert_eq!((&ended["state"], &ended["attempt"]), (&json!("failed"), &json!(1)), "{ended}");
    // Without a model, the method that the worker's file names answers, and says so.
    let ended = stage.done(&served, "off", "It leaks. Nobody has money.");
    assert_eq!((&ended["state"], &ended["provider"]), (&json!("succeeded"), &json!("offline")), "{ended}");
    assert!(ended["degraded_reason"].as_str().unwrap().contains("the alias is offline"), "{ended}");
    // A recorded rerun asks no provider, also on a host.
    let run = stage.post(&served.client, "/api/v1/runs", json!({ "source": ONE }));
    let path = format!("/api/v1/runs/{}", run["id"].as_str().unwrap());
    let first = stage.got(&served, &path);
    let asked = stage.double.calls().len();
    let again = stage.post(&served.client, &format!("{path}/rerun"), json!({ "recorded": true }));
    let again = stage.got(&served, &format!("/api/v1/runs/{}", again["id"].as_str().unwrap()));
    assert_eq!((&again["outputs"], &again["state"]), (&first["outputs"], &json!("succeeded")), "{again}");
    assert_eq!((&again["cost_nanousd"], stage.double.calls().len()), (&json!(0), asked), "{again}");
    // The tenant's budget applies to hosts: the task is parked before a provider is asked.
    let said = stage.place.kapelle(&["budgets", "set", "day", "$0.000001"]);
    assert_eq!(said.code, 0, "{said:?}");
    let task = json!({ "worker": "summarizer", "input": { "text": "dear" } });
    let made = stage.post(&served.client, "/api/v1/tasks", task);
    let path = format!("/api/v1/tasks/{}", made["id"].as_str().unwrap());
    crate::scripts::until(|| {
        let task: Value = stage.runtime.block_on(async { served.client.get(&path).await.unwrap() });
        (task["state"] == "parked").then_some(())
    });
    assert_eq!(stage.double.calls().len(), asked);
    let said = stage.place.kapelle(&["budgets", "set", "day", "$1"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(stage.got(&served, &path)["output"]["text"], "Much.");
}
