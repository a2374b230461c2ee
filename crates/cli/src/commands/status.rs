//! `kapelle status [ID]`: current work, or the state of one run or task.

use std::collections::BTreeMap;

use kapelle::{
    core::TenantId,
    store::{Page, Reader, RunFilter, SqliteReader},
};
use serde_json::json;

use super::{runs, tasks};
use crate::{
    app::App,
    describe,
    failure::{Code, Failure},
    ids::{self, Id},
    out::{Tone, paint},
    shown,
};

/// Runs that are shown besides the open ones.
const LATEST: u32 = 10;
/// Open runs that are shown.
const OPEN: u32 = 100;

/// Show current work, or the state of a run or task.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A run or task, such as run_3 or task_12
    #[arg(value_name = "ID")]
    id: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// When the run or task does not exist, or the folder has no data yet.
pub fn run(app: &App, args: &Args) -> Result<Code, Failure> {
    let id = args.id.as_deref().map(ids::any).transpose()?;
    let reader = app.reader()?;
    match id {
        Some(Id::Run(run)) => runs::show(app, &reader, run),
        Some(Id::Task(task)) => tasks::show(app, &reader, task),
        None => overview(app, &reader),
    }
}

fn overview(app: &App, reader: &SqliteReader) -> Result<Code, Failure> {
    let page = |most| Page { before: None, most };
    let open = reader.runs(TenantId::DEFAULT, &RunFilter { open: true, ..RunFilter::default() }, page(OPEN))?;
    let latest = reader.runs(TenantId::DEFAULT, &RunFilter::default(), page(LATEST))?;
    let mut queues: BTreeMap<String, BTreeMap<&'static str, u64>> = BTreeMap::new();
    for lane in reader.open_tasks(TenantId::DEFAULT)? {
        *queues.entry(lane.queue.to_string()).or_default().entry(lane.state.as_str()).or_default() += lane.tasks;
    }
    if app.out.json {
        let runs = |rows: &[_]| rows.iter().map(describe::run_json).collect::<Vec<_>>();
        let value = json!({ "open_runs": runs(&open), "latest_runs": runs(&latest), "open_tasks": queues });
        app.out.print_json(&value)?;
        return Ok(Code::Ok);
    }
    let mut parts = Vec::new();
    if !queues.is_empty() {
        let rows = queues.iter().map(|(queue, states)| {
            let text: Vec<String> = states.iter().map(|(state, tasks)| format!("{tasks} {state}")).collect();
            vec![queue.clone(), text.join(", ")]
        });
        parts.push(format!("{}\n{}", heading("Open tasks"), shown::table(&["QUEUE", "TASKS"], rows.collect())));
    }
    if !open.is_empty() {
        parts.push(format!("{}\n{}", heading("Open runs"), describe::run_table(&open)));
    }
    match latest.is_empty() {
        true if parts.is_empty() => app.out.note("nothing has run yet"),
        true => {}
        false => parts.push(format!("{}\n{}", heading("Latest runs"), describe::run_table(&latest))),
    }
    app.out.print(&parts.join("\n\n"))?;
    Ok(Code::Ok)
}

fn heading(text: &str) -> String {
    paint(Tone::Bold, text)
}
