//! `kapelle runs explain RUN [STEP]`: why steps are not running.

use std::collections::HashMap;

use kapelle::{
    RunId,
    core::{TenantId, definition::nearest},
    inspect::{self, Reason},
    store::Reader,
};
use serde_json::{Value, json};

use crate::{
    app::App,
    failure::{Code, Failure},
    remote, shown,
};

/// Asks the server that works on the folder for reasons that are not stored, such as a provider at its rate limit. It
/// asks about one task of each worker, because the reason is common to all of them.
async fn ask_server(app: &App, reasons: &mut [Reason]) -> Result<(), Failure> {
    if reasons.iter().all(|reason| reason.ready.is_none()) {
        return Ok(());
    }
    let Some(client) = remote::server(app)? else { return Ok(()) };
    let mut known: HashMap<String, Option<String>> = HashMap::new();
    for reason in reasons {
        let Some((task, worker)) = &reason.ready else { continue };
        if !known.contains_key(worker) {
            let shown: Result<Value, _> = client.get(&format!("/api/v1/tasks/{task}")).await;
            // The task may have begun meanwhile.
            let why = shown.ok().filter(|task| task["state"] == "ready");
            let why = why.and_then(|task| task["reason"].as_str().map(str::to_owned));
            known.insert(worker.clone(), why);
        }
        if let Some(Some(why)) = known.get(worker) {
            reason.why.clone_from(why);
        }
    }
    Ok(())
}

/// Runs the verb.
///
/// # Errors
/// When the run or step does not exist, or its definition cannot be read.
pub(super) async fn run(app: &App, id: RunId, step: Option<&str>) -> Result<Code, Failure> {
    let reader = app.reader()?;
    let row = reader.run(TenantId::DEFAULT, id)?.ok_or_else(|| Failure::not_found(format!("{id} does not exist")))?;
    let known = app.workers(&app.settings()?)?;
    let serves = |worker: &str| known.has(worker);
    let mut reasons = inspect::explain(&reader, &row, &serves)?;
    if let Some(wanted) = step {
        let names: Vec<String> = reasons.iter().map(|reason| reason.path.clone()).collect();
        reasons.retain(|reason| reason.path == wanted);
        if reasons.is_empty() {
            let failure = Failure::not_found(format!("{id} has no step `{wanted}` so far"));
            return Err(match nearest(wanted, names.iter().map(String::as_str)) {
                Some(near) => failure.help(format!("did you mean `{near}`?")),
                None => failure.help(format!("`kapelle runs show {id}` lists its steps")),
            });
        }
    } else {
        reasons.retain(|reason| !reason.ended);
    }
    ask_server(app, &mut reasons).await?;
    if app.out.json {
        let steps: Vec<_> = reasons
            .iter()
            .map(|reason| json!({ "step": reason.path, "state": reason.state, "ended": reason.ended, "why": reason.why }))
            .collect();
        app.out.print_json(&json!({ "run": id.to_string(), "state": row.status.kind().as_str(), "steps": steps }))?;
        return Ok(Code::Ok);
    }
    if reasons.is_empty() {
        app.out.print(&format!("{id} is {}: nothing waits", row.status.kind().as_str()))?;
        return Ok(Code::Ok);
    }
    let rows = reasons.into_iter().map(|reason| vec![reason.path, reason.state.to_owned(), reason.why]).collect();
    app.out.print(&shown::table(&["STEP", "STATE", "WHY"], rows))?;
    Ok(Code::Ok)
}
