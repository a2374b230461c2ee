//! `kapelle supervise DIR`: the scripts of a folder, started and kept running, with a gateway of their own.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use kapelle::{
    Kapelle,
    core::DurationMs,
    scripts::{Fleet, FleetEvent, fleet::ScriptStatus},
};
use serde_json::json;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::serve::{self, Plan};
use crate::{
    app::App,
    failure::{Code, Failure},
    out::Out,
    project::Project,
    scripts::{self, Row},
};

/// Supervise the scripts of a folder, on a free port of this machine.
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
The process is a server on a free port of 127.0.0.1, for this folder of scripts alone. Each script gets a token and the
address of its gateway, and never the key of the provider, which stays here: model calls are metered, capped by budgets
and recorded as with `kapelle serve`. Other verbs in this project, such as `kapelle cost` and `kapelle logs`, ask it.";

/// Runs the verb.
///
/// # Errors
/// When the folder does not exist, or another process works on the data of the project.
pub async fn run(app: &App, args: &Args) -> Result<Code, Failure> {
    let every = DurationMs::parse(&args.every).map_err(|error| Failure::usage(format!("--every: {error}")))?;
    let every = Duration::from_millis(every.0.max(100));
    let root = args.folder.canonicalize().map_err(|error| Failure::io(&args.folder, &error))?;
    if !root.is_dir() {
        return Err(Failure::usage(format!("{} is a file", Project::shown(&root))).help("name the folder it is in"));
    }
    if app.helper.is_none() {
        let why = if cfg!(target_os = "linux") { "RUN_WORKERS=false: scripts are disabled" } else { NOT_HERE };
        app.out.note(why);
        return Ok(Code::Ok);
    }
    let listen = Some("127.0.0.1:0".to_owned());
    let plan = Plan { listen, host_names: Vec::new(), insecure: false, scripts: root, every: Some(every) };
    serve::perform(app, plan).await.map_err(|failure| match failure.code {
        Code::Conflict => failure.help(
            "one process works on a project: `kapelle serve` already supervises the scripts of workers/; `--data FOLDER` \
             keeps the state of this one elsewhere",
        ),
        _ => failure,
    })
}

const NOT_HERE: &str = "scripts are supported on Linux only";

/// The states of the scripts of a server: printed at an interval, with a warning for each script whose model calls no
/// provider can answer.
pub(super) struct States<'a> {
    out: Out,
    kapelle: &'a Kapelle,
    tick: Option<Interval>,
    told: BTreeSet<String>,
}

impl<'a> States<'a> {
    pub fn new(out: Out, kapelle: &'a Kapelle, every: Option<Duration>) -> States<'a> {
        let tick = every.map(|every| {
            let mut tick = interval(every);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            tick.reset();
            tick
        });
        States { out, kapelle, tick, told: BTreeSet::new() }
    }

    /// Waits until the states are to be printed again; for ever when they are not printed.
    pub async fn due(&mut self) {
        match &mut self.tick {
            Some(tick) => drop(tick.tick().await),
            None => std::future::pending().await,
        }
    }

    /// Prints the state of each script.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn print(&mut self) -> Result<(), Failure> {
        // A script may have been added, or have begun to use a model.
        self.tell_keyless();
        let all = self.scripts();
        let missing = self.missing();
        let is_keyless = |script: &ScriptStatus| missing.is_some() && asks_models(script);
        if self.out.json {
            let keyless: Vec<&str> =
                all.iter().filter(|script| is_keyless(script)).map(|script| script.file.as_str()).collect();
            return self.out.print(&json!({ "scripts": all, "no_provider_for": keyless }).to_string());
        }
        if all.is_empty() {
            return self.out.print("no scripts yet: .js, .mjs, .cjs, .ts, .py and executable files are looked for");
        }
        let rows = all.iter().map(|script| {
            let note = is_keyless(script).then_some("no provider has a key: model calls are answered offline, or fail");
            Row::of(script).with_note(note)
        });
        self.out.print(&scripts::table(rows))
    }

    /// Warns once of each script that asks models while no provider can answer.
    pub fn tell_keyless(&mut self) {
        let Some(missing) = self.missing() else { return };
        for script in self.scripts() {
            if asks_models(&script) && self.told.insert(script.file.clone()) {
                self.out.warn(&format!(
                    "script {} asks models ({}), and no provider can be called: {missing}; its calls are answered \
                     offline and marked where that is possible, and fail with `model_required` otherwise",
                    script.file, script.uses
                ));
            }
        }
    }

    fn scripts(&self) -> Vec<ScriptStatus> {
        self.kapelle.app().fleet().map(Fleet::status).unwrap_or_default()
    }

    /// Returns the reason why no model can be called; `None` when one can.
    fn missing(&self) -> Option<String> {
        let aliases = self.kapelle.gateway().status();
        if aliases.iter().any(|alias| alias.live) {
            return None;
        }
        let reasons: BTreeSet<String> = aliases.into_iter().filter_map(|alias| alias.reason).collect();
        Some(reasons.into_iter().collect::<Vec<_>>().join(", "))
    }
}

/// Says whether a script that is started would call models.
fn asks_models(script: &ScriptStatus) -> bool {
    script.standing == "started" && !script.uses.is_empty()
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
