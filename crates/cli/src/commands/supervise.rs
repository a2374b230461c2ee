//! `kapelle supervise DIR`: the scripts of a folder, started and kept running, without a server.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use kapelle::{
    core::DurationMs,
    engine::{Clock, SystemClock},
    scripts::{
        Fleet, FleetEvent, FleetOptions, NoTokens,
        fleet::{Keeps, NoWorkerSink, ScriptStatus},
    },
};
use serde_json::json;

use crate::{
    app::App,
    failure::{Code, Failure},
    out::Out,
    project::Project,
    scripts::{self, Row},
    signals::Signals,
};

/// Supervise the scripts of a folder, without a server.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// The folder with the scripts
    #[arg(value_name = "DIR", default_value = "workers")]
    folder: PathBuf,
    /// The interval between printed states
    #[arg(long, value_name = "TIME", default_value = "30s")]
    every: String,
}

const AFTER: &str = "\
Without a server there is no gateway: scripts get no key, calls of models fail, and nothing is metered. The table says so
for each script that would call one. `kapelle serve` supervises the same scripts with a gateway, also without any key of
a provider: then calls of models are answered offline, and marked.";

/// Runs the verb.
///
/// # Errors
/// When the folder does not exist.
pub async fn run(app: &App, args: &Args) -> Result<Code, Failure> {
    let every = DurationMs::parse(&args.every).map_err(|error| Failure::usage(format!("--every: {error}")))?;
    let every = Duration::from_millis(every.0.max(100));
    let root = args.folder.canonicalize().map_err(|error| Failure::io(&args.folder, &error))?;
    if !root.is_dir() {
        return Err(Failure::usage(format!("{} is a file", Project::shown(&root))).help("name the folder it is in"));
    }
    let Some(helper) = &app.helper else {
        app.out.note("RUN_WORKERS=false: scripts are disabled");
        return Ok(Code::Ok);
    };
    let settings = app.settings()?;
    let mut signals = Signals::listen().map_err(|error| Failure::new(Code::Failed, format!("signals: {error}")))?;
    let clock = SystemClock::default();
    let options = FleetOptions {
        root,
        logs: app.prepare_data()?.join("logs/workers"),
        surroundings: app.surroundings(&settings, None),
        path: std::env::var_os("PATH"),
        tokens: Arc::new(NoTokens),
        worker_sink: Arc::new(NoWorkerSink),
        now: Arc::new(move || clock.now().0),
        told: Box::new(|_| ()),
        keeps: Keeps::All,
    };
    let fleet = Fleet::start(helper.clone(), options).await;
    tell(app.out, &fleet, |_| true);
    let mut told = BTreeSet::new();
    tell_unmetered(app.out, &fleet.status(), &mut told);
    print(app.out, &fleet.status())?;
    let mut tick = tokio::time::interval(every);
    tick.tick().await;
    let code = loop {
        tokio::select! {
            code = signals.next() => break code,
            _ = tick.tick() => {
                // A script may have been added, or have begun to use a model.
                tell_unmetered(app.out, &fleet.status(), &mut told);
                print(app.out, &fleet.status())?;
            }
        }
    };
    app.out.note("stopping: the scripts are asked to end; press Ctrl-C again to kill them");
    tokio::select! {
        () = fleet.stop() => Ok(code),
        // The helper ends everything when this process is gone.
        again = signals.next() => Ok(again),
    }
}

/// Says whether a script would call models: here it gets no key, because only a server has a gateway.
fn is_unmetered(script: &ScriptStatus) -> bool {
    script.standing == "started" && !script.uses.is_empty()
}

/// Warns once of each script that needs a gateway, which only a server has.
fn tell_unmetered(out: Out, all: &[ScriptStatus], told: &mut BTreeSet<String>) {
    let fresh = all.iter().filter(|script| is_unmetered(script) && told.insert(script.file.clone()));
    let files: Vec<&str> = fresh.map(|script| script.file.as_str()).collect();
    if !files.is_empty() {
        out.warn(&format!(
            "no gateway here: {} get no key, and their calls of models fail; `kapelle serve` gives them a token, meters \
             their calls and keeps budgets",
            files.join(", ")
        ));
    }
}

fn print(out: Out, all: &[ScriptStatus]) -> Result<(), Failure> {
    if out.json {
        let unmetered: Vec<&str> =
            all.iter().filter(|script| is_unmetered(script)).map(|script| script.file.as_str()).collect();
        return out.print(&json!({ "scripts": all, "no_gateway_for": unmetered }).to_string());
    }
    if all.is_empty() {
        return out.print("no scripts yet: .js, .mjs, .cjs, .ts, .py and executable files are looked for");
    }
    let rows = all.iter().map(|script| {
        let note = is_unmetered(script).then_some("no gateway here: no key, calls of models fail");
        Row::of(script).with_note(note)
    });
    out.print(&scripts::table(rows))
}

/// Prints the warnings of selected scripts, and from now on the events of all.
pub fn tell(out: Out, fleet: &Fleet, of: impl Fn(&ScriptStatus) -> bool) {
    let mut all = fleet.status();
    all.retain(of);
    let cannot: Vec<&ScriptStatus> = all.iter().filter(|script| script.standing == "cannot_start").collect();
    match cannot.as_slice() {
        [] => {}
        [one] => out.warn(&format!("script {} cannot be started: {}", one.file, one.why)),
        [first, ..] => out.warn(&format!(
            "{} scripts cannot be started, {} for one: {} (`kapelle workers` shows them all)",
            cannot.len(),
            first.file,
            first.why
        )),
    }
    for script in &all {
        for warning in &script.warnings {
            out.warn(&format!("script {}: {warning}", script.file));
        }
    }
    let mut events = fleet.watch();
    drop(tokio::spawn(async move {
        loop {
            match events.recv().await {
                Ok(event) => say(out, &event),
                Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
            }
        }
    }));
}

fn say(out: Out, event: &FleetEvent) {
    let whom = event.instance.map_or_else(|| event.worker.clone(), |number| format!("{}.{number}", event.worker));
    match event.what {
        "running" => out.note(&format!("script {whom} runs as process {}", event.pid.unwrap_or_default())),
        "crashed" | "cannot_start" | "parked" => out.warn(&format!("script {whom}: {}", event.detail)),
        "waiting" | "finished" | "found" | "changed" | "gone" => out.note(&format!("script {whom}: {}", event.detail)),
        _ => {}
    }
}
