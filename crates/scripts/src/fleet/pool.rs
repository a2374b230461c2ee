//! Warm processes that take one task after the other. They speak the worker protocol, one JSON object a line: the
//! answers that a worker host receives are written to them, and they write the request bodies that a host sends.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use kapelle_core::{
    Category, TaskError,
    worker::{Output, ProgressFn, TaskContext, WorkerSpec},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWriteExt as _},
    net::unix::pipe::Sender,
    sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
};

use super::{
    group::Group,
    handle::Inner,
    process::{OutputReader, lend, read},
    task::Told,
};
use crate::{
    answer::explain,
    log::{Lines, Stream},
    redact::Redactor,
};

/// The longest line of a process, in bytes.
const LINE_MAX: usize = 16 << 20;
/// Time limit for a process to end a task that was cancelled.
const GRACE: Duration = Duration::from_secs(10);

/// The result of an attempt, as its process reported it.
type Answer = Result<Value, TaskError>;

/// The working processes of a pool, with the number of attempts in progress.
#[derive(Default)]
pub(super) struct Seats {
    all: Mutex<Vec<Arc<Seat>>>,
    changed: Notify,
    busy: Arc<AtomicUsize>,
}

/// A guard that counts an attempt as in progress until it is dropped.
pub(super) struct Busy(Arc<AtomicUsize>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Seats {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Seat>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an attempt.
    pub(super) fn enter(&self) -> Busy {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(&self.busy))
    }

    pub(super) fn busy(&self) -> usize {
        self.busy.load(Ordering::Relaxed)
    }

    /// Adds a working process.
    pub(super) fn add(&self, seat: Arc<Seat>) {
        self.lock().push(seat);
        self.changed.notify_waiters();
    }

    /// Removes a process that ended. Its attempts have crashed, or were lost if the process was asked to end.
    pub(super) fn gone(&self, number: u32, asked: bool) {
        let mut all = self.lock();
        for seat in all.iter().filter(|seat| seat.number == number) {
            seat.abandon(asked);
        }
        all.retain(|seat| seat.number != number);
    }

    /// Waits for a free slot in the least busy process.
    async fn take(&self) -> (Arc<Seat>, OwnedSemaphorePermit) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let mut seats: Vec<Arc<Seat>> = self.lock().clone();
            seats.sort_by_key(|seat| std::cmp::Reverse(seat.room.available_permits()));
            let free = seats.into_iter().find_map(|seat| {
                let permit = Arc::clone(&seat.room).try_acquire_owned().ok()?;
                Some((seat, permit))
            });
            if let Some(free) = free {
                return free;
            }
            changed.await;
        }
    }
}

/// A process that takes tasks.
pub(super) struct Seat {
    number: u32,
    room: Arc<Semaphore>,
    lines: mpsc::UnboundedSender<String>,
    pending: Mutex<HashMap<String, Pending>>,
    output: Arc<OutputReader>,
    next: AtomicU64,
}

struct Pending {
    answer: oneshot::Sender<Answer>,
    progress: ProgressFn,
    /// Removes secrets; includes the token of the attempt, which came with the task.
    redactor: Redactor,
}

impl Seat {
    pub(super) fn new(number: u32, slots: u32, mut stdin: Sender, output: Arc<OutputReader>) -> Seat {
        let (lines, mut queue) = mpsc::unbounded_channel::<String>();
        tokio::spawn(async move {
            while let Some(line) = queue.recv().await {
                if stdin.write_all(line.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
        let room = Arc::new(Semaphore::new(slots as usize));
        Seat { number, room, lines, pending: Mutex::default(), output, next: AtomicU64::new(0) }
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, HashMap<String, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, message: &Value) {
        let _ = self.lines.send(format!("{message}\n"));
    }

    /// Fails every waiting attempt by dropping the senders.
    fn abandon(&self, asked: bool) {
        let pending = std::mem::take(&mut *self.pending());
        for (_, pending) in pending.into_iter().filter(|_| asked) {
            let lost = TaskError::new(Category::LeaseLost, "its process was stopped or restarted");
            let _ = pending.answer.send(Err(lost));
        }
        self.room.close();
    }

    fn heard(&self, line: String) {
        let line = match line.strip_prefix('\u{feff}') {
            Some(rest) => rest.to_owned(),
            None => line,
        };
        // Parsed in two steps: numbers keep their digits, so an untagged value cannot be read directly from text.
        let message = serde_json::from_str::<Value>(&line).and_then(serde_json::from_value::<Message>);
        let message = message.ok().filter(|_| line.starts_with('{'));
        match message {
            Some(Message::Report(report)) => self.report(report),
            Some(Message::Reports { reports }) => reports.into_iter().for_each(|report| self.report(report)),
            Some(Message::Beat { tasks }) => {
                for beat in tasks {
                    let of = |pending: &Pending| (Arc::clone(&pending.progress), pending.redactor.clone());
                    let found = self.pending().get(&beat.lease_token).map(of);
                    if let Some((progress, redactor)) = found {
                        let message = redactor.clean(beat.message.as_deref().unwrap_or(""));
                        progress(beat.progress.unwrap_or(0.0), &message);
                    }
                }
            }
            Some(Message::Register { .. }) => self.output.ready(),
            None => {
                self.output.note(Stream::Out, &line);
                self.misreported(&line);
            }
        }
    }

    /// Handles a line that is not a message but names the lease of a task. It was meant as the task's report, and no
    /// other report will come.
    fn misreported(&self, line: &str) {
        if !line.starts_with('{') || !line.contains("outcome") {
            return;
        }
        let mut pending = self.pending();
        let meant = pending.keys().find(|token| {
            [format!("\"{token}\""), format!("'{token}'")].iter().any(|quoted| line.contains(quoted.as_str()))
        });
        let Some(token) = meant.cloned() else { return };
        let why = match serde_json::from_str::<Value>(line) {
            Err(_) => format!("its report is not JSON: {}", explain(line, 0)),
            Ok(report) => {
                let of_several = report.get("reports").and_then(Value::as_array).and_then(|reports| {
                    reports.iter().find(|report| report.get("lease_token").is_some_and(|known| *known == *token))
                });
                match serde_json::from_value::<Report>(of_several.unwrap_or(&report).clone()) {
                    Ok(_) => return,
                    Err(error) => format!("its report is not understood: {error}"),
                }
            }
        };
        if let Some(pending) = pending.remove(&token) {
            let _ = pending.answer.send(Err(TaskError::new(Category::InvalidOutput, why)));
        }
    }

    fn report(&self, report: Report) {
        let Some(pending) = self.pending().remove(&report.lease_token) else {
            self.output.note(Stream::Kapelle, "a report for a task that it does not work on was ignored");
            return;
        };
        let answer = match (report.outcome, report.error) {
            (Outcome::Succeed, _) => Ok(report.output),
            (Outcome::Fail, Some(told)) => Err(told.into()),
            (Outcome::Fail, None) => Err(TaskError::new(Category::Internal, "it reported a failure without an error")),
            (Outcome::Release, _) => Err(TaskError::new(Category::Unavailable, "it released the task")),
        };
        let _ = pending.answer.send(answer);
    }
}

/// A message from a process of a pool.
#[derive(Deserialize)]
#[serde(untagged)]
enum Message {
    Report(Report),
    Reports {
        reports: Vec<Report>,
    },
    Beat {
        tasks: Vec<Beat>,
    },
    Register {
        #[serde(rename = "workers")]
        _workers: Vec<Value>,
    },
}

#[derive(Deserialize)]
struct Report {
    lease_token: String,
    outcome: Outcome,
    #[serde(default)]
    output: Value,
    #[serde(default)]
    error: Option<Told>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Succeed,
    Fail,
    Release,
}

#[derive(Deserialize)]
struct Beat {
    lease_token: String,
    #[serde(default)]
    progress: Option<f64>,
    #[serde(default)]
    message: Option<String>,
}

/// Reads the messages of a process of a pool.
pub(super) async fn hear(seat: Arc<Seat>, output: Arc<OutputReader>, from: impl AsyncRead + Unpin) {
    let wanted = match &output.group.script().settings.ready {
        crate::settings::Ready::Line(line) => Some(line.clone()),
        _ => None,
    };
    read(from, Lines::of(LINE_MAX), |lines| {
        for line in lines {
            if wanted.as_ref().is_some_and(|wanted| line.contains(wanted.as_str())) {
                output.ready();
            }
            seat.heard(line);
        }
    })
    .await;
}

/// Runs one attempt in a process of the pool. Dropping the future cancels the attempt in the process.
pub(super) async fn run(
    inner: &Arc<Inner>,
    group: &Arc<Group>,
    (spec, ctx): (&WorkerSpec, &TaskContext),
    input: Value,
) -> Result<Output, TaskError> {
    let script = group.script();
    group.wake();
    let (seat, permit) = group.seats.take().await;
    let token =
        lend(inner, spec, ctx).map_err(|why| TaskError::new(Category::Unavailable, format!("no token: {why}")))?;
    let number = seat.next.fetch_add(1, Ordering::Relaxed);
    let lease_token = format!("{}.{}.{number}", ctx.task, ctx.attempt);
    let (answer, answered) = oneshot::channel();
    let redactor = seat.output.redactor.and(token.access().map(|access| access.token.as_str()));
    let pending = Pending { answer, progress: Arc::clone(&ctx.progress), redactor: redactor.clone() };
    seat.pending().insert(lease_token.clone(), pending);
    let mut task = json!({
        "id": ctx.task,
        "attempt": ctx.attempt,
        "lease_token": lease_token,
        "lease_ttl_ms": 15_000,
        "timeout_ms": ctx.timeout.map(|timeout| timeout.0),
        "last_attempt": ctx.last_attempt,
        "worker": script.name.as_str(),
        "input": input,
    });
    if let Some(run) = &ctx.run {
        task["run"] = json!(run);
        task["step"] = json!(ctx.step);
    }
    if let Some(access) = token.access() {
        // The field has the name that it has in the answer to a claim.
        task["gateway_token"] = json!(access.token);
        task["gateway_url"] = json!(access.base_url);
    }
    seat.send(&json!({ "tasks": [task] }));
    let mut attempt = Attempt { seat: Arc::clone(&seat), lease_token, permit: Some(permit) };
    match answered.await {
        Ok(answer) => {
            attempt.permit = None;
            group.seats.changed.notify_waiters();
            match answer {
                Ok(answer) => Ok(Output::plain(redactor.clean_answer(answer))),
                Err(error) => Err(TaskError { message: redactor.clean(&error.message), ..error }),
            }
        }
        Err(_) => {
            attempt.permit = None;
            Err(TaskError::new(Category::Crashed, format!("its process ended: {}", group.last_words())))
        }
    }
}

/// An attempt in progress. Dropped early, it is cancelled, and its slot stays taken until the process confirms the end;
/// a process that does not confirm is replaced.
struct Attempt {
    seat: Arc<Seat>,
    lease_token: String,
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (done, is_done) = oneshot::channel();
        let progress: ProgressFn = Arc::new(|_, _| ());
        self.seat
            .pending()
            .insert(self.lease_token.clone(), Pending { answer: done, progress, redactor: Redactor::default() });
        self.seat.send(&json!({ "cancel": [self.lease_token], "lease_ttl_ms": 15_000 }));
        let seat = Arc::clone(&self.seat);
        runtime.spawn(async move {
            if tokio::time::timeout(GRACE, is_done).await.is_err() {
                seat.output.note(Stream::Kapelle, "the process continues a cancelled task and is replaced");
                seat.output.replace();
            }
            drop(permit);
            seat.output.group.seats.changed.notify_waiters();
        });
    }
}
