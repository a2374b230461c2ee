//! One attempt of one task in a process of its own: its input on standard input, its answer on standard output.

use std::{sync::Arc, time::Duration};

use kapelle_core::{
    Category, TaskError,
    worker::{Output, TaskContext, WorkerSpec},
};
use kapelle_supervisor::{
    helper_process::Process,
    machine::{Cause, Exit},
};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    group::Group,
    handle::Inner,
    process::{OutputReader, launch, lend, read},
};
use crate::{
    answer::divide,
    environment::Person,
    log::{Lines, Stream},
};

/// The longest answer, in bytes.
const ANSWER_MAX: u64 = 16 << 20;
/// Time limit for a cancelled process to end by itself.
const GRACE: Duration = Duration::from_secs(2);
/// Bytes of an error that are reported.
const WORDS: usize = 500;

/// Runs one attempt. Dropping the future ends the process.
pub(super) async fn run(
    inner: &Arc<Inner>,
    group: &Arc<Group>,
    (spec, ctx): (&WorkerSpec, &TaskContext),
    input: Value,
) -> Result<Output, TaskError> {
    let script = group.script();
    let _busy = group.seats.enter();
    let token =
        lend(inner, spec, ctx).map_err(|why| TaskError::new(Category::Unavailable, format!("no token: {why}")))?;
    let task = Some((ctx.task.as_str(), ctx.attempt));
    let person = Person { script: &script, id: &group.id, instance: 0, access: token.access(), task, trace: "" };
    let cannot = |error: kapelle_supervisor::helper_process::LaunchError| {
        TaskError::new(Category::Unavailable, format!("{} cannot be started: {error}", script.name))
    };
    let (launch, redactor) = launch(inner, &person).map_err(cannot)?;
    let Process { mut handle, guard, mut stdin, stdout, stderr } = inner.helper.spawn(launch).await.map_err(cannot)?;
    let output = OutputReader::of_task(inner, group, redactor, handle.pid());
    let _ending = Ending { handle: handle.clone(), guard: Some(guard) };
    let input = serde_json::to_vec(&input).unwrap_or_default();
    let feed = async move {
        // A process need not read its input; its exit decides.
        let _ = stdin.write_all(&input).await;
        drop(stdin);
    };
    let mut answer = Vec::new();
    let mut out = stdout.take(ANSWER_MAX + 1);
    let flooded = handle.clone();
    let hear = async {
        let read = out.read_to_end(&mut answer).await;
        if answer.len() as u64 > ANSWER_MAX {
            // The output is not read any further, so the process would never end.
            flooded.kill();
        }
        read
    };
    let mut last = String::new();
    let complain = read(stderr, Lines::default(), |lines| {
        output.notes(Stream::Err, &lines);
        if let Some(line) = lines.iter().rfind(|line| !line.trim().is_empty()) {
            last.clone_from(line);
        }
    });
    let exit = {
        let streams = async { tokio::join!(feed, hear, complain) };
        tokio::pin!(streams);
        tokio::select! {
            exit = handle.exited() => {
                let _ = tokio::time::timeout(GRACE, streams).await;
                exit
            }
            _ = &mut streams => handle.exited().await,
        }
    };
    if answer.len() as u64 > ANSWER_MAX {
        let message = format!("the answer has more than {} MiB", ANSWER_MAX >> 20);
        return Err(TaskError::new(Category::InvalidOutput, message).permanent());
    }
    let (said, found) = divide(&answer);
    said.lines().for_each(|line| output.note(Stream::Out, line));
    verdict(&exit, found.map(|found| output.redactor.clean_answer(found)), &output.redactor.clean(&last)).map_err(
        |mut error| {
            error.message = output.redactor.clean(&error.message);
            error
        },
    )
}

/// Decides the result of an attempt whose process has ended. An error that the process reported before it failed is
/// trusted.
fn verdict(exit: &Exit, found: Result<Value, String>, last: &str) -> Result<Output, TaskError> {
    if exit.is_success() {
        let found =
            found.map_err(|why| TaskError::new(Category::InvalidOutput, format!("it exited normally, but {why}")))?;
        return Ok(Output::plain(found));
    }
    let told = found.ok().and_then(|found| serde_json::from_value::<Told>(found.get("error")?.clone()).ok());
    Err(told.map_or_else(
        || {
            let words: String = last.chars().take(WORDS).collect();
            let words = if words.is_empty() { words } else { format!(": {words}") };
            match (&exit.cause, exit.code) {
                (Some(Cause::HelperLost), _) => {
                    TaskError::new(Category::LeaseLost, format!("the process was lost: {exit}{words}"))
                }
                // An exception of the script: it failed, and nothing killed it.
                (None, Some(_)) => TaskError::new(Category::Internal, format!("the script failed with {exit}{words}")),
                _ => TaskError::new(Category::Crashed, format!("the process was ended: {exit}{words}")),
            }
        },
        TaskError::from,
    ))
}

/// An error as a script reports it.
#[derive(serde::Deserialize)]
pub(super) struct Told {
    category: Category,
    message: String,
    #[serde(default)]
    retryable: Option<bool>,
    #[serde(default)]
    retry_after_ms: Option<u64>,
    /// `fresh`: the next attempt does not reuse the model answers of this one.
    #[serde(default)]
    retry: Option<Again>,
}

/// Source of model answers for the next attempt.
#[derive(serde::Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Again {
    Fresh,
}

impl From<Told> for TaskError {
    fn from(told: Told) -> TaskError {
        // Only Kapelle can know that a lease was lost: a process that reports its end has ended by itself.
        let category = if told.category == Category::LeaseLost { Category::Crashed } else { told.category };
        let mut error = TaskError::new(category, told.message);
        error.retryable = told.retryable.unwrap_or(error.retryable);
        error.retry_after = told.retry_after_ms.map(kapelle_core::DurationMs);
        error.fresh |= told.retry == Some(Again::Fresh);
        error
    }
}

/// A process that is asked to end, and killed a little later.
struct Ending {
    handle: kapelle_supervisor::helper_process::Handle,
    guard: Option<kapelle_supervisor::helper_process::Guard>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let (Some(guard), mut handle) = (self.guard.take(), self.handle.clone()) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            handle.terminate();
            let _ = tokio::time::timeout(GRACE, handle.exited()).await;
            drop(guard);
        });
    }
}
