//! `kapelle runs watch RUN`: the events of a run by number, without a gap, until it ends.

use std::time::Duration;

use super::texts::Texts;
use kapelle::RunId;
use kapelle_api::RunState;

use crate::{
    api_session::ApiSession,
    app::App,
    commands::logs,
    failure::{Code, Failure},
    signals::Signals,
};

/// Interval between reads of the data. Another process may be the one that works on the run.
const EVERY: Duration = Duration::from_millis(200);

/// Time to wait for the last output once the run has ended.
const LAST: Duration = Duration::from_millis(300);

/// Runs the verb. It ends with the run.
///
/// # Errors
/// When the run does not exist.
pub(super) async fn run(app: &App, id: RunId, from: u64) -> Result<Code, Failure> {
    let session = ApiSession::reading(app)?;
    let api = session.api();
    let mut signals = Signals::listen()
        .map_err(|error| Failure::new(Code::Failed, format!("signals cannot be listened to: {error}")))?;
    let mut next = from;
    let mut texts = Texts::of(session.server().cloned(), id);
    loop {
        // Read first: an entry that is written after this read is seen by the next.
        let row = api.run(&id.to_string(), 0).await?;
        let ended = row.state.is_ended();
        if ended && next > from {
            // The last output of its models is shown before its end.
            while let Ok(Some(piece)) = tokio::time::timeout(LAST, texts.next()).await {
                texts.show(app.out, &piece)?;
            }
        }
        if row.seq > next {
            texts.flush(app.out, None)?;
            next = logs::print_run(app, api, &row, next).await?;
        }
        match row.state {
            RunState::Succeeded => return Ok(Code::Ok),
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
