//! `kapelle runs watch RUN`: the events of a run by number, without a gap, until it ends.

use std::time::Duration;

use super::texts::Texts;
use kapelle::{RunId, core::TenantId, store::Reader};

use crate::{
    app::App,
    commands::logs,
    failure::{Code, Failure},
    signals::Signals,
};

/// How often the data is looked at. Another process may be the one that works on the run.
const EVERY: Duration = Duration::from_millis(200);

/// How long what was written last is waited for once the run has ended.
const LAST: Duration = Duration::from_millis(300);

/// Runs the verb. It ends as the run does.
///
/// # Errors
/// When there is no such run.
pub(super) async fn run(app: &App, id: RunId, from: u64) -> Result<Code, Failure> {
    let reader = app.reader()?;
    let mut signals = Signals::listen()
        .map_err(|error| Failure::new(Code::Failed, format!("signals cannot be listened to: {error}")))?;
    let mut next = from;
    let mut texts = Texts::of(app, id);
    loop {
        // Read first: what is journaled after this look is seen by the next.
        let row =
            reader.run(TenantId::DEFAULT, id)?.ok_or_else(|| Failure::not_found(format!("{id} does not exist")))?;
        let ended = row.status.kind().is_terminal();
        if ended && next > from {
            // It was watched: what its models wrote last stands before its end.
            while let Ok(Some(piece)) = tokio::time::timeout(LAST, texts.next()).await {
                texts.show(app.out, &piece)?;
            }
        }
        if row.seq > next {
            texts.flush(app.out, None)?;
        }
        next = logs::print_run(app, &reader, &row, next)?;
        match row.status.kind().as_str() {
            "succeeded" => return Ok(Code::Ok),
            _ if ended => return Ok(Code::Failed),
            _ => {}
        }
        let look = tokio::time::sleep(EVERY);
        tokio::pin!(look);
        loop {
            tokio::select! {
                code = signals.next() => return Ok(code),
                Some(piece) = texts.next() => texts.show(app.out, &piece)?,
                () = &mut look => break,
            }
        }
    }
}
