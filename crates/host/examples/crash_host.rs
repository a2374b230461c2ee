//! A worker host of the crash harness of the SDKs (`sdk/conformance/crash`): `crash_host NAME LOG`. It writes each
//! execution to LOG before it ends. The server is that of `KAPELLE_URL` and `KAPELLE_TOKEN`.

use std::{
    env,
    error::Error,
    fs::{File, OpenOptions},
    io::Write,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use kapelle_api::Client;
use kapelle_core::{
    Category, TaskError,
    worker::{BoxFuture, Output, TaskContext, Worker, WorkerSpec},
};
use kapelle_host::Host;
use serde_json::{Value, json};

/// A worker that writes down each execution, and takes its time.
struct Recorder {
    spec: WorkerSpec,
    slow: bool,
    name: String,
    log: Arc<File>,
}

impl Recorder {
    /// Writes down that an execution begins. Returns it.
    fn begun(&self, attempt: &TaskContext) -> Result<Value, Box<dyn Error>> {
        #[expect(clippy::disallowed_methods, reason = "the checker compares the times of several processes")]
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let mark = format!("{}-{}", std::process::id(), now.as_nanos());
        let execution = json!({ "task": attempt.task, "attempt": attempt.attempt, "by": self.name, "mark": mark });
        let mut line = execution.clone();
        line["at"] = json!(now.as_secs_f64());
        // One write each: several processes append to the file.
        (&*self.log).write_all(format!("{line}\n").as_bytes())?;
        Ok(execution)
    }
}

impl Worker for Recorder {
    fn spec(&self) -> &WorkerSpec {
        &self.spec
    }

    fn execute<'a>(&'a self, ctx: &'a TaskContext, input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(async move {
            let begun = self.begun(ctx).map_err(|error| TaskError::new(Category::Internal, error.to_string()));
            if self.slow {
                tokio::time::sleep(Duration::from_secs_f64(input["seconds"].as_f64().unwrap_or(0.0))).await;
            }
            begun.map(Output::plain)
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [name, path] = [1, 2].map(|n| env::args().nth(n).unwrap_or_default());
    let log =
        Arc::new(OpenOptions::new().append(true).create(true).open(&path).map_err(|error| format!("{path}: {error}"))?);
    let client = Client::new(&env::var("KAPELLE_URL")?, &env::var("KAPELLE_TOKEN")?)?;
    let mut host = Host::builder(client).name(&name).slots(8).on_event(|event| eprintln!("{event}"));
    for (worker, slow) in [("quick", false), ("slow", true), ("slow_async", true)] {
        let spec = WorkerSpec { slots: 8, ..WorkerSpec::named(worker) };
        host = host.worker(Arc::new(Recorder { spec, slow, name: name.clone(), log: Arc::clone(&log) }));
    }
    host.build()?.run().await?;
    Ok(())
}
