//! `kapelle status [ID]`: current work, or the state of one run or task.

use kapelle::{Money, store::lock_holder};
use kapelle_api::{Api, Budget, CostQuery, Queue, Run, RunQuery, ServerHealth, WorkersStatus};
use serde_json::{Value, json};

use super::{queues, runs, tasks};
use crate::{
    api_session::ApiSession,
    app::App,
    describe,
    failure::{Code, Failure},
    ids::{self, Id},
    out::{Tone, paint},
    project::Project,
    remote, scripts, shown,
};

/// Runs that are shown besides the open ones.
const LATEST: u32 = 10;
/// Open runs that are shown.
const OPEN: u32 = 100;

/// Show the server and current work, or the state of a run or task.
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
pub async fn run(app: &App, args: &Args) -> Result<Code, Failure> {
    let id = args.id.as_deref().map(ids::any).transpose()?;
    let session = ApiSession::reading(app)?;
    match id {
        Some(Id::Run(run)) => runs::show(app, session.api(), &run.to_string()).await,
        Some(Id::Task(task)) => tasks::show(app, session.api(), &task.to_string()).await,
        None => overview(app, &session).await,
    }
}

/// Everything that is shown.
struct Overview {
    server: Value,
    /// The server or its absence, in one line.
    line: String,
    health: ServerHealth,
    workers: WorkersStatus,
    queues: Vec<Queue>,
    open: Vec<Run>,
    latest: Vec<Run>,
    spent_today: u64,
    budgets: Vec<Budget>,
}

impl Overview {
    async fn read(app: &App, session: &ApiSession) -> Result<Overview, Failure> {
        let api = session.api();
        let (server, line) = server(app, session)?;
        let query =
            |open: bool, limit| RunQuery { open: open.then_some(true), limit: Some(limit), ..RunQuery::default() };
        Ok(Overview {
            server,
            line,
            health: api.health().await?,
            workers: api.workers_status().await?,
            queues: api.queues().await?.queues,
            open: api.runs(query(true, OPEN)).await?.runs,
            latest: api.runs(query(false, LATEST)).await?.runs,
            spent_today: spent_today(api).await?,
            budgets: api.budgets().await?.budgets,
        })
    }

    fn warnings(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        let checks = self.health.checks.iter().filter(|check| check.status != kapelle_api::HealthStatus::Ok);
        all.extend(checks.map(|check| format!("{}: {}", check.name, check.reason)));
        for script in &self.workers.scripts {
            let crashed = script.state == kapelle_api::ProcessState::Crashed;
            all.extend(crashed.then(|| format!("script {} is crashed: kapelle workers show {0}", script.name)));
            all.extend(script.warnings.iter().map(|warning| format!("script {}: {warning}", script.name)));
        }
        all.extend(self.queues.iter().flat_map(|queue| queue.warnings.iter().cloned()));
        for queue in &self.queues {
            let parked = queue.tasks.get("parked").copied().unwrap_or(0);
            let tasks = shown::count(parked as usize, "task");
            all.extend(
                (parked > 0)
                    .then(|| format!("queue {}: {tasks} parked for lack of money; kapelle budgets", queue.name)),
            );
        }
        let used = |budget: &&Budget| budget.spent_nanousd >= budget.limit_nanousd;
        let over = self.budgets.iter().filter(used);
        all.extend(
            over.map(|budget| format!("budget {} is used up: kapelle budgets raise {0} AMOUNT", budget.account)),
        );
        all.sort();
        all.dedup();
        all
    }

    fn json(&self) -> Value {
        json!({
            "server": self.server, "health": self.health, "scripts": self.workers.scripts, "hosts": self.workers.hosts,
            "queues": self.queues, "open_runs": self.open, "latest_runs": self.latest,
            "spent_today_nanousd": self.spent_today, "budgets": self.budgets, "warnings": self.warnings(),
        })
    }
}

/// Returns which server or process works on the folder, for programs and for people.
fn server(app: &App, session: &ApiSession) -> Result<(Value, String), Failure> {
    if let Some(client) = session.server().filter(|_| remote::is_named(app)) {
        let address = client.base();
        return Ok((json!({ "address": address, "process": null }), format!("server {address}")));
    }
    let folder = app.data()?;
    let holder = lock_holder(&folder);
    let process = holder.as_ref().and_then(|holder| holder.process);
    if let Some(client) = session.server() {
        let address = client.base();
        let server = json!({ "address": address, "process": process });
        let process = process.map_or_else(String::new, |process| format!(", process {process}"));
        return Ok((server, format!("server {address}{process}")));
    }
    let shown = Project::shown(&folder);
    Ok(match holder {
        Some(holder) => {
            let line = format!("no server works on {shown}; {} works in it", holder.in_words());
            (json!({ "address": null, "process": process }), line)
        }
        None => (Value::Null, format!("no server works on {shown}: `kapelle serve` starts one")),
    })
}

async fn spent_today(api: &dyn Api) -> Result<u64, Failure> {
    let now = kapelle::engine::Clock::now(&kapelle::engine::SystemClock::default());
    let today: String = shown::time_exact(now).chars().take(10).collect();
    let query = CostQuery { by: Some("day".to_owned()), limit: Some(1), ..CostQuery::default() };
    let days = api.cost(query).await?.rows;
    Ok(days.iter().find(|day| day.name == today).map_or(0, |day| day.cost_nanousd))
}

async fn overview(app: &App, session: &ApiSession) -> Result<Code, Failure> {
    let seen = Overview::read(app, session).await?;
    if app.out.json {
        app.out.print_json(&seen.json())?;
        return Ok(Code::Ok);
    }
    let mut parts = vec![seen.line.clone()];
    if !seen.workers.scripts.is_empty() {
        let rows = seen.workers.scripts.iter().map(scripts::Row::of_server);
        parts.push(format!("{}\n{}", heading("Scripts"), scripts::table(rows)));
    }
    let hosts = seen.workers.hosts.iter().map(|host| {
        let state = if host.alive { "alive" } else { "silent" };
        vec![host.name.clone(), state.to_owned(), host.slots.to_string(), host.workers.join(", ")]
    });
    let hosts: Vec<Vec<String>> = hosts.collect();
    if !hosts.is_empty() {
        let table = shown::table(&["HOST", "STATE", "SLOTS", "WORKERS"], hosts);
        parts.push(format!("{}\n{table}", heading("Hosts")));
    }
    let busy: Vec<Queue> =
        seen.queues.iter().filter(|queue| queue.paused || !queue.tasks.is_empty()).cloned().collect();
    if !busy.is_empty() {
        parts.push(format!("{}\n{}", heading("Open tasks"), queues::table(&busy)));
    }
    for (title, runs) in [("Open runs", &seen.open), ("Latest runs", &seen.latest)] {
        if !runs.is_empty() {
            parts.push(format!("{}\n{}", heading(title), describe::run_table(runs)));
        }
    }
    parts.push(money(&seen));
    app.out.print(&parts.join("\n\n"))?;
    if seen.latest.is_empty() && busy.is_empty() {
        app.out.note("no runs, and no open tasks");
    }
    seen.warnings().iter().for_each(|warning| app.out.warn(warning));
    Ok(Code::Ok)
}

fn money(seen: &Overview) -> String {
    let day = seen.budgets.iter().find(|budget| budget.account == "day" && budget.tenant == 1);
    let of = day.map_or_else(String::new, |day| format!(" of {}", Money(day.limit_nanousd)));
    format!("spent today: {}{of}", Money(seen.spent_today))
}

fn heading(text: &str) -> String {
    paint(Tone::Bold, text)
}
