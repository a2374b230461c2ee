//! Cancelling, pausing, resuming and signalling runs.

use kapelle::{
    Kapelle, RunId,
    core::Name,
    engine::{Ask, NewPayload, command},
};
use serde_json::{Value, json};

use crate::{
    app::App,
    describe,
    failure::{Code, Failure},
    ids, remote,
};

/// Asks the engine for something about a run, and tells how the run stands then.
///
/// # Errors
/// When there is no such run, or it is refused.
pub(super) async fn ask<C: Ask>(
    app: &App,
    run: &str,
    (verb, body): (&str, Value),
    command: impl FnOnce(RunId) -> C,
) -> Result<Code, Failure> {
    if let Some(client) = remote::server(app)? {
        let path = format!("/api/v1/runs/{}/{verb}", ids::run(run)?);
        return remote::change(app, &client, "run", &path, &body).await;
    }
    let (kapelle, run) = open(app, run).await?;
    let done = kapelle.engine().ask(command(run)).await;
    kapelle.drain().await;
    done?;
    tell(app, &kapelle, run)
}

/// Sends a signal to a run.
///
/// # Errors
/// When there is no such run, it has ended, or the payload is not JSON.
pub(super) async fn signal(app: &App, run: &str, name: &str, payload: &str) -> Result<Code, Failure> {
    let name = Name::parse(name).map_err(|error| Failure::usage(error.to_string()))?;
    let value: Value = serde_json::from_str(payload).map_err(|error| {
        Failure::usage(format!("--payload is not JSON: {error}"))
            .help("text needs quotes of its own: --payload '\"yes\"'")
    })?;
    if let Some(client) = remote::server(app)? {
        let path = format!("/api/v1/runs/{}/signals/{name}", ids::run(run)?);
        return remote::change(app, &client, "run", &path, &json!({ "payload": value })).await;
    }
    let (kapelle, run) = open(app, run).await?;
    let sent = match kapelle.engine().payload(&value) {
        Ok(payload) => kapelle.engine().ask(command(run, name, payload)).await,
        Err(error) => Err(error),
    };
    kapelle.drain().await;
    sent?;
    tell(app, &kapelle, run)
}

fn command(run: RunId, name: Name, payload: NewPayload) -> command::Signal {
    command::Signal { run, name, payload }
}

async fn open(app: &App, run: &str) -> Result<(Kapelle, RunId), Failure> {
    let run = ids::run(run)?;
    // Looked up first, so that an id that is wrong does not make a folder.
    describe::row(&app.reader()?, run)?;
    Ok((app.open_idle().await?, run))
}

fn tell(app: &App, kapelle: &Kapelle, run: RunId) -> Result<Code, Failure> {
    let row = kapelle.run(run).state()?;
    let state = row.status.kind().as_str();
    if app.out.json {
        app.out.print_json(&json!({ "run": run.to_string(), "state": state, "paused": row.paused.is_some() }))?;
    } else {
        let paused = if row.paused.is_some() { ", paused" } else { "" };
        app.out.print(&format!("{run} is {state}{paused}"))?;
        if !row.status.kind().is_terminal() && row.paused.is_none() {
            app.out.note(&format!("Go on with: {}", app.resume_line(&run.to_string())));
        }
    }
    Ok(Code::Ok)
}
