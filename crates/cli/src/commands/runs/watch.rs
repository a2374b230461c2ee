//! `kapelle runs watch RUN`: the events of a run by number, without a gap, until it ends.

use std::time::Duration;

use kapelle::{RunId, core::TenantId, store::Reader};

use crate::{
    app::App,
    commands::logs,
    failure::{Code, Failure},
    signals::Signals,
};

/// How often the data is looked at. Another process may be the one that works on the run.
const EVERY: Duration = Duration::from_millis(200);

/// Runs the verb. It ends as the run does.
///
/// # Errors
/// When there is no such run.
pub(super) async fn run(app: &App, id: RunId, from: u64) -> Result<Code, Failure> {
    let reader = app.reader()?;
    let mut signals = Signals::listen()
        .map_err(|error| Failure::new(Code::Failed, format!("signals cannot be listened to: {error}")))?;
    let mut next = from;
    loop {
        // Read first: what is journaled after this look is seen by the next.
        let row =
            reader.run(TenantId::DEFAULT, id)?.ok_or_else(|| Failure::not_found(format!("{id} does not exist")))?;
        next = logs::print_run(app, &reader, &row, next)?;
        match row.status.kind().as_str() {
            "succeeded" => return Ok(Code::Ok),
            "failed" | "cancelled" => return Ok(Code::Failed),
            _ => {}
        }
        tokio::select! {
            code = signals.next() => return Ok(code),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
