//! `kapelle workers list|show|test|pause|resume`.

use std::{path::Path, sync::Arc};

use kapelle::{QueueStatus, TaskContext, Worker, WorkerSpec, core::Name, queue_status, store::GateKind};
use serde_json::{Value, json};

use super::{
    queues::{Change, counts, gate, status_json},
    submit,
};
use crate::{
    app::{App, Workers},
    failure::{Code, Failure, advice, task_code},
    inputs::InputArgs,
    scripts, shown,
};

/// List, show, try, pause and resume workers.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the built-in workers, and those of workers/
    List,
    /// Show the input and output of a worker
    Show {
        /// Its name
        name: String,
    },
    /// Run a worker once, without recording anything
    Test {
        /// Its name
        name: String,
        #[command(flatten)]
        inputs: InputArgs,
    },
    /// Pause a worker: no further task of it starts until it is resumed
    Pause(Change),
    /// Resume a worker
    Resume(Change),
    /// Restart a script, one process of it (NAME.2), or `all`
    Restart {
        /// The script
        name: String,
    },
    /// Set the number of a script's processes
    Scale {
        /// The script
        name: String,
        /// 1 to 64
        instances: u32,
    },
}

/// Runs the verb.
///
/// # Errors
/// When the worker does not exist, or it fails.
pub async fn run(app: &App, args: Args) -> Result<Code, Failure> {
    let known = app.workers(&app.settings()?)?;
    app.warn_problems(&known.problems);
    match args.verb.unwrap_or(Verb::List) {
        Verb::List => list(app, &known, &scripts::known(app).await?),
        Verb::Restart { name } => {
            let done = scripts::change(app, &name, "restart", &json!({})).await?;
            say(app, &done, &format!("{name} is restarted"))
        }
        Verb::Scale { name, instances } => {
            let done = scripts::change(app, &name, "scale", &json!({ "instances": instances })).await?;
            say(
                app,
                &done,
                &format!("{name} runs in {instances} {}", if instances == 1 { "process" } else { "processes" }),
            )
        }
        Verb::Show { name } => show(app, &known.find(&name)?),
        Verb::Pause(change) => {
            known.find(&change.name)?;
            gate(app, GateKind::Worker, &change, true).await
        }
        // A worker whose file is gone can be resumed as well.
        Verb::Resume(change) => gate(app, GateKind::Worker, &change, false).await,
        Verb::Test { name, inputs } => {
            known.find(&name)?;
            let worker = known.catalogue.get(&name).filter(|_| !known.is_script(&name)).ok_or_else(|| {
                Failure::usage(format!("{name} is a script: its tasks are recorded"))
                    .help(format!("`kapelle submit {name} --wait` runs it"))
            })?;
            test(app, worker, &inputs).await
        }
    }
}

fn say(app: &App, done: &Value, text: &str) -> Result<Code, Failure> {
    if app.out.json {
        app.out.print_json(done)?;
    } else {
        app.out.print(text)?;
    }
    Ok(Code::Ok)
}

fn list(app: &App, known: &Workers, scripts: &[kapelle_api::Script]) -> Result<Code, Failure> {
    let specs = known.catalogue.iter().map(|worker| worker.spec());
    let served = |worker: &Name| known.has(worker.as_str());
    // Before the first run there are no tasks to report.
    let standings = match app.reader() {
        Ok(reader) => queue_status(&reader, GateKind::Worker, served)?,
        Err(_) => Vec::new(),
    };
    let standing = |name: &Name| standings.iter().find(|standing| standing.name == *name);
    warn_unserved(app, &standings);
    if app.out.json {
        let specs: Vec<&WorkerSpec> = specs.collect();
        let standings: Vec<Value> = standings.iter().map(status_json).collect();
        app.out.print_json(&json!({ "workers": specs, "standings": standings, "scripts": scripts }))?;
        return Ok(Code::Ok);
    }
    let live = |alias: &str| known.aliases.iter().any(|status| status.alias == alias && status.live);
    let rows = specs.map(|spec| {
        let model = spec.model.as_ref().map_or_else(
            || "-".to_owned(),
            |alias| if live(alias.as_str()) { alias.to_string() } else { format!("{alias} (offline)") },
        );
        let standing = standing(&spec.name);
        let tasks = standing.map_or_else(|| "-".to_owned(), counts);
        let paused = if standing.is_some_and(|standing| standing.paused.is_some()) { "paused" } else { "" };
        let tasks = [paused, &tasks].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
        let slots = spec.slots.to_string();
        vec![spec.name.to_string(), spec.queue.to_string(), slots, model, tasks, spec.description.clone()]
    });
    app.out.print(&shown::table(&["WORKER", "QUEUE", "SLOTS", "MODEL", "TASKS", "DESCRIPTION"], rows.collect()))?;
    if !scripts.is_empty() {
        app.out.print(&format!("\n{}", scripts::table(scripts.iter().map(scripts::Row::of_server))))?;
    }
    Ok(Code::Ok)
}

fn warn_unserved(app: &App, standings: &[QueueStatus]) {
    for standing in standings.iter().filter(|standing| !standing.unserved.is_empty()) {
        app.out.warn(&format!("worker {} is not served: {} waiting", standing.name, counts(standing)));
    }
}

fn show(app: &App, spec: &WorkerSpec) -> Result<Code, Failure> {
    if app.out.json {
        app.out.print_json(&serde_json::to_value(spec).unwrap_or_default())?;
        return Ok(Code::Ok);
    }
    let mut text = format!("{}: {}\n\n", spec.name, spec.description);
    let mut rows =
        vec![vec!["queue".to_owned(), spec.queue.to_string()], vec!["slots".to_owned(), spec.slots.to_string()]];
    rows.extend(spec.model.as_ref().map(|model| vec!["model".to_owned(), model.to_string()]));
    rows.extend(spec.timeout.map(|timeout| vec!["timeout".to_owned(), shown::duration(timeout)]));
    rows.extend(spec.max_cost.map(|cost| vec!["max cost".to_owned(), cost.to_string()]));
    text.push_str(&shown::table(&["SETTING", "VALUE"], rows));
    for (what, schema) in [("INPUT", &spec.input), ("OUTPUT", &spec.output)] {
        if let Some(table) = schema.as_ref().and_then(|schema| fields(what, schema)) {
            text.push_str(&format!("\n\n{table}"));
        }
    }
    app.out.print(&text)?;
    Ok(Code::Ok)
}

/// Returns the properties of a schema as a table; `None` when it names none.
pub fn fields(what: &str, schema: &Value) -> Option<String> {
    let none = serde_json::Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    let required = schema.get("required").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    // A name may be required without being described.
    let bare = required.iter().filter_map(Value::as_str).filter(|name| !properties.contains_key(*name));
    let bare = bare.map(|name| vec![name.to_owned(), "any".to_owned(), "required".to_owned(), String::new()]);
    let rows = properties.iter().map(|(name, property)| {
        let kind = match property.get("type") {
            _ if property.get("format").is_some_and(|format| format == "file") => "file".to_owned(),
            Some(Value::String(kind)) => kind.clone(),
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
            _ => property.get("enum").map_or_else(|| "any".to_owned(), |words| format!("one of {words}")),
        };
        let need = match property.get("default") {
            Some(default) => {
                let text: String = default.to_string();
                let short: String = text.chars().take(40).collect();
                format!("default {short}{}", if short.len() < text.len() { "..." } else { "" })
            }
            None if required.iter().any(|known| known == name) => "required".to_owned(),
            None => "optional".to_owned(),
        };
        let about = property.get("description").and_then(Value::as_str).unwrap_or("");
        vec![name.clone(), kind, need, about.to_owned()]
    });
    let rows: Vec<_> = rows.chain(bare).collect();
    (!rows.is_empty()).then(|| shown::table(&[what, "TYPE", "", "ABOUT"], rows))
}

async fn test(app: &App, worker: Arc<dyn Worker>, given: &InputArgs) -> Result<Code, Failure> {
    let spec = worker.spec().clone();
    let mut inputs = given.read(spec.input.as_ref(), Path::new("."))?;
    let input = submit::admit(&spec, std::mem::take(&mut inputs.value))?;
    let mut context = TaskContext::detached("task_0");
    context.files = Arc::new(inputs);
    let run = worker.execute(&context, input);
    let limit =
        spec.timeout.map_or(std::time::Duration::from_secs(300), |time| std::time::Duration::from_millis(time.0));
    let done = tokio::time::timeout(limit, run).await;
    let done = done.map_err(|_| {
        let span = spec.timeout.map_or_else(|| "5 minutes".to_owned(), shown::duration);
        Failure::new(Code::Timeout, format!("{} took longer than {span}", spec.name))
    })?;
    let output = done.map_err(|error| {
        Failure::new(task_code(error.category), format!("{} failed: {error}", spec.name)).help(advice(&error))
    })?;
    let provenance = &output.provenance;
    if app.out.json {
        let provenance = serde_json::to_value(provenance).unwrap_or_default();
        app.out.print_json(&json!({ "worker": spec.name, "output": output.value, "provenance": provenance }))?;
        return Ok(Code::Ok);
    }
    if let Some(reason) = &provenance.degraded {
        app.out.warn(&format!("the answer is degraded: {reason}"));
    }
    app.out.print_json(&output.value)?;
    let provider = provenance.provider.as_deref().unwrap_or("no model");
    app.out.note(&format!("answered by {provider}, cost {}", provenance.cost));
    Ok(Code::Ok)
}
