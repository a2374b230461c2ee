//! Waits for the end of a task, and says each change of its state with the reason.

use std::time::Duration;

use kapelle::core::DurationMs;
use kapelle_api::{Api, Task, TaskState};
use tokio::time::Instant;

use crate::{
    app::App,
    failure::{Code, Failure},
    signals::Signals,
};

/// Interval between looks at the state, in milliseconds. The end itself is reported at once.
const LOOK_MS: u64 = 1_000;

/// The longest time to wait.
#[derive(Debug, Clone, Copy)]
pub struct Patience(Option<Duration>);

impl Patience {
    /// Parses a time such as `30s`. An empty text waits without a limit.
    ///
    /// # Errors
    /// When it is not a time.
    pub fn parse(text: &str) -> Result<Patience, Failure> {
        if text.is_empty() {
            return Ok(Patience(None));
        }
        let time = DurationMs::parse(text).map_err(|error| Failure::usage(format!("--wait: {error}")))?;
        Ok(Patience(Some(Duration::from_millis(time.0))))
    }
}

/// Waits until a task has ended or is parked, the time is over, or a signal comes. Returns its state then, and the exit
/// code of a task that has not ended.
///
/// # Errors
/// When the server goes away.
pub async fn wait(app: &App, api: &dyn Api, id: &str, patience: Patience) -> Result<(Task, Option<Code>), Failure> {
    let mut signals = Signals::listen().map_err(|error| Failure::new(Code::Failed, format!("signals: {error}")))?;
    let began = Instant::now();
    let mut said = String::new();
    loop {
        let left = patience.0.map(|most| most.saturating_sub(began.elapsed()));
        let wait_ms = left.map_or(LOOK_MS, |left| u64::try_from(left.as_millis()).unwrap_or(LOOK_MS).min(LOOK_MS));
        let task = tokio::select! {
            task = api.task(id, wait_ms) => task?,
            code = signals.next() => return Ok((api.task(id, 0).await?, Some(code))),
        };
        if task.state.is_ended() {
            return Ok((task, None));
        }
        let state = match &task.reason {
            Some(reason) => format!("{id} is {}: {reason}", task.state),
            None => format!("{id} is {}", task.state),
        };
        if state != said && (task.reason.is_some() || !said.is_empty()) {
            app.out.note(&state);
        }
        said = state;
        if task.state == TaskState::Parked {
            return Ok((task, Some(Code::Parked)));
        }
        if left.is_some_and(|left| left.is_zero()) {
            return Ok((task, Some(Code::Timeout)));
        }
    }
}
