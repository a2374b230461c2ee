//! `session.log`: every end of a task and every event of the server's life as one line of JSON.
//!
//! A line is committed together with its event, under a number that rises by one; each line carries that number. After
//! a crash the end of the file tells where to continue, so lines equal events. The rows are deleted once the file is
//! synced.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use kapelle_core::{
    RunId, TenantId, Timestamp,
    task::{StateKind, Task, TaskState},
};
use kapelle_engine::{Clock, Engine, Logged, command};
use kapelle_store::{EndedTask, Reader, SessionRow, private};
use serde_json::{Value, json};

use crate::trail::Keeper;

/// The file in the folder of the state.
pub const SESSION_FILE: &str = "session.log";
/// Turns queued for the file. Further ones are read from the store.
const QUEUED: usize = 4_096;
/// Interval at which the audit trail is checked for entries without a head, in milliseconds.
const TRAIL_EVERY_MS: u64 = 10_000;
/// Interval at which the file is synced and the rows are deleted while there is something to write.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// Size at which a file is rotated, in bytes.
const SIZE_MAX: u64 = 64 << 20;
/// Rotated files that are kept.
const KEPT: u32 = 4;
/// Rows read at a time.
const PAGE: u32 = 256;

/// Returns the session log of a folder and its rotated files, oldest first.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let path = folder.join(SESSION_FILE);
    (1..=KEPT).rev().map(|number| aside(&path, number)).chain([path.clone()]).collect()
}

enum Message {
    Logged(Arc<Logged>),
    Finish,
}

/// The writer of the session log: a thread of its own, which never holds the loop up.
pub struct Session {
    sender: SyncSender<Message>,
    trail: Arc<Keeper>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Session {
    /// Continues the file of that folder.
    ///
    /// # Errors
    /// When the file cannot be read or written, or a thread cannot be started.
    pub(crate) fn start(folder: &Path, engine: &Engine, clock: Arc<dyn Clock>) -> io::Result<Session> {
        let (sender, receiver) = sync_channel(QUEUED);
        let trail = Arc::new(Keeper::of(folder)?);
        let mut writer = Writer::open(folder, (engine.clone(), Arc::clone(&trail)), clock)?;
        let waking = sender.clone();
        engine.observe_session(Box::new(move |logged| {
            // A full channel is harmless: the next number shows that something must be read from the store.
            let _ = waking.try_send(Message::Logged(Arc::clone(logged)));
        }));
        let run = move || {
            if let Err(error) = writer.run(&receiver) {
                tracing::error!(%error, "the session log cannot be written any more; the next start continues it");
            }
        };
        let thread = std::thread::Builder::new().name("kapelle-session".to_owned()).spawn(run)?;
        Ok(Session { sender, trail, thread: Mutex::new(Some(thread)) })
    }

    /// Returns the head of the audit trail for the end of this process, when the trail has entries.
    pub(crate) fn last_head(&self, reader: &dyn Reader, now: Timestamp, steady_ms: u64) -> Option<Value> {
        self.trail.due(reader, (now, steady_ms), true).unwrap_or_default()
    }

    /// Writes the remaining lines, and ends. The engine has ended before.
    pub(crate) async fn finish(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        let sender = self.sender.clone();
        let ended = tokio::task::spawn_blocking(move || {
            let _ = sender.send(Message::Finish);
            thread.join()
        });
        let _ = ended.await;
    }
}

struct Writer {
    path: PathBuf,
    file: File,
    size: u64,
    engine: Engine,
    trail: Arc<Keeper>,
    /// Time of the next check of the trail, on the monotonic clock.
    look_ms: u64,
    clock: Arc<dyn Clock>,
    /// The last number that is complete in the file.
    seq: u64,
    /// Lines of the next number that the file has already.
    skip: usize,
    /// The number up to which rows were deleted.
    given_up: u64,
}

impl Writer {
    fn open(folder: &Path, (engine, trail): (Engine, Arc<Keeper>), clock: Arc<dyn Clock>) -> io::Result<Writer> {
        let path = folder.join(SESSION_FILE);
        let mut file = private::options().create(true).read(true).append(true).open(&path)?;
        let size = cut(&mut file)?;
        let mut end = end(&mut file)?;
        if end.is_none()
            && let Ok(mut before) = File::open(aside(&path, 1))
        {
            end = self::end(&mut before)?;
        }
        // The last number may be incomplete: it is read again, and the lines that the file has are skipped.
        let (seq, skip) = end.map_or((0, 0), |(seq, lines)| (seq.saturating_sub(1), lines));
        Ok(Writer { path, file, size, engine, trail, look_ms: 0, clock, seq, skip, given_up: seq })
    }

    fn run(&mut self, receiver: &Receiver<Message>) -> io::Result<()> {
        self.catch_up()?;
        let every = u64::try_from(SYNC_EVERY.as_millis()).unwrap_or(u64::MAX);
        let mut synced = self.clock.steady_ms();
        self.tell_head(true)?;
        loop {
            match receiver.recv_timeout(SYNC_EVERY) {
                Ok(Message::Logged(logged)) => self.take(&logged)?,
                Ok(Message::Finish) | Err(RecvTimeoutError::Disconnected) => {
                    self.catch_up()?;
                    return self.sync();
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.clock.steady_ms() >= synced.saturating_add(every) {
                self.sync()?;
                self.tell_head(false)?;
                synced = self.clock.steady_ms();
            }
        }
    }

    /// Commits the head of the audit trail as a note, which then comes back as a line.
    fn tell_head(&mut self, always: bool) -> io::Result<()> {
        let steady_ms = self.clock.steady_ms();
        if !always && steady_ms < self.look_ms {
            return Ok(());
        }
        self.look_ms = steady_ms.saturating_add(TRAIL_EVERY_MS);
        let due = self.trail.due(&**self.engine.reader(), (self.clock.now(), steady_ms), always);
        if let Some(event) = due.map_err(io::Error::other)? {
            self.engine.tell(command::Note { note: Arc::from(event.to_string()) });
        }
        Ok(())
    }

    fn take(&mut self, logged: &Logged) -> io::Result<()> {
        if logged.seq <= self.seq {
            return Ok(());
        }
        if logged.seq > self.seq + 1 || self.skip > 0 {
            self.catch_up()?;
        }
        if logged.seq <= self.seq {
            return Ok(());
        }
        let mut text = Vec::new();
        for task in &logged.tasks {
            line(&mut text, logged.seq, &of_task(task));
        }
        for note in &logged.notes {
            line(&mut text, logged.seq, &of_note(note, logged.at));
        }
        self.write(logged.seq, &text)
    }

    /// Writes what the store has and the file lacks.
    fn catch_up(&mut self) -> io::Result<()> {
        loop {
            let rows = self.engine.reader().session(self.seq, PAGE).map_err(io::Error::other)?;
            for row in &rows {
                let skip = if row.seq == self.seq + 1 { std::mem::take(&mut self.skip) } else { 0 };
                self.skip = 0;
                let text = self.lines(row, skip)?;
                self.write(row.seq, &text)?;
            }
            if rows.len() < PAGE as usize {
                return Ok(());
            }
        }
    }

    /// Returns the lines of a row without the first `skip`.
    fn lines(&self, row: &SessionRow, skip: usize) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        let reader = self.engine.reader();
        for ended in row.ended.iter().skip(skip) {
            line(&mut text, row.seq, &found(&**reader, ended, row.at)?);
        }
        for note in row.notes.iter().skip(skip.saturating_sub(row.ended.len())) {
            line(&mut text, row.seq, &of_note(note, row.at));
        }
        Ok(text)
    }

    fn write(&mut self, seq: u64, text: &[u8]) -> io::Result<()> {
        self.file.write_all(text)?;
        self.size += text.len() as u64;
        self.seq = seq;
        if self.size >= SIZE_MAX { self.put_aside() } else { Ok(()) }
    }

    /// Rotates the file.
    fn put_aside(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        for number in (1..KEPT).rev() {
            let _ = fs::rename(aside(&self.path, number), aside(&self.path, number + 1));
        }
        fs::rename(&self.path, aside(&self.path, 1))?;
        self.file = private::options().create(true).read(true).append(true).open(&self.path)?;
        self.size = 0;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.seq > self.given_up {
            self.file.sync_data()?;
            self.engine.tell(command::SessionWritten { seq: self.seq });
            self.given_up = self.seq;
        }
        Ok(())
    }
}

fn aside(path: &Path, number: u32) -> PathBuf {
    path.with_extension(format!("log.{number}"))
}

/// Cuts off an incomplete last line. Returns the remaining length.
fn cut(file: &mut File) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let mut whole = length;
    let mut block = vec![0; 64 * 1024];
    while whole > 0 {
        let from = whole.saturating_sub(block.len() as u64);
        let part = &mut block[..usize::try_from(whole - from).unwrap_or(0)];
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(part)?;
        if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
            whole = from + at as u64 + 1;
            break;
        }
        whole = from;
    }
    if whole < length {
        file.set_len(whole)?;
    }
    Ok(whole)
}

/// Returns the last number of a file, and how many lines it has there.
fn end(file: &mut File) -> io::Result<Option<(u64, usize)>> {
    let length = file.metadata()?.len();
    let mut window = 64 * 1024_u64;
    loop {
        let from = length.saturating_sub(window);
        let mut tail = Vec::new();
        file.seek(SeekFrom::Start(from))?;
        file.take(length - from).read_to_end(&mut tail)?;
        let text = String::from_utf8_lossy(&tail);
        // The first line may be cut, unless the window begins with the file.
        let mut numbers = text.lines().skip(usize::from(from > 0)).map(number);
        let numbers: Vec<Option<u64>> = numbers.by_ref().collect();
        let Some(last) = numbers.iter().rev().find_map(|number| *number) else {
            if from == 0 {
                return Ok(None);
            }
            window *= 4;
            continue;
        };
        let lines = numbers.iter().rev().filter(|number| number.is_some()).take_while(|n| **n == Some(last)).count();
        if from == 0 || numbers.iter().any(|number| number.is_some_and(|number| number < last)) {
            return Ok(Some((last, lines)));
        }
        window *= 4;
    }
}

fn number(line: &str) -> Option<u64> {
    serde_json::from_str::<Value>(line).ok()?["seq"].as_u64()
}

fn line(text: &mut Vec<u8>, seq: u64, body: &Value) {
    let mut whole = json!({ "time": body["time"], "seq": seq });
    if let (Some(whole), Value::Object(body)) = (whole.as_object_mut(), body) {
        whole.extend(body.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    // A value of plain JSON types cannot fail to be written.
    let _ = serde_json::to_writer(&mut *text, &whole);
    text.push(b'\n');
}

fn time(at: Timestamp) -> Value {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(|_| json!(at.0), |stamp| json!(stamp.to_string()))
}

fn of_note(note: &str, at: Timestamp) -> Value {
    let mut body: Value = serde_json::from_str(note).unwrap_or_else(|_| json!({ "event": "note", "text": note }));
    if body.is_object() {
        body["time"] = time(at);
    }
    body
}

fn of_task(task: &Task) -> Value {
    let mut body = json!({
        "time": task.ended_at().map(time),
        "event": "task_ended",
        "task": task.id.to_string(),
        "worker": task.worker.as_str(),
        "queue": task.queue.as_str(),
        "outcome": task.state.kind().as_str(),
        "attempt": task.epoch,
        "tenant": task.tenant.0,
    });
    if let Some(origin) = &task.origin {
        body["run"] = json!(RunId::to_string(&origin.run));
        body["step"] = json!(&*origin.path);
    }
    match &task.state {
        TaskState::Succeeded { provenance, started_at, ended_at, .. } => {
            body["took_ms"] = json!(ended_at.since(*started_at).0);
            if provenance.degraded.is_some() {
                body["degraded"] = json!(true);
            }
        }
        TaskState::Failed { error, dead, .. } | TaskState::Discarded { error, dead, .. } => {
            body["error"] = json!(error.to_string());
            body["dead"] = json!(dead);
        }
        TaskState::Cancelled { reason, .. } | TaskState::Skipped { reason, .. } => body["reason"] = json!(&**reason),
        _ => {}
    }
    body
}

/// Reads a task from the store. It is as it was at its end, unless it was retried by hand or is past its retention.
fn found(reader: &dyn Reader, ended: &EndedTask, at: Timestamp) -> io::Result<Value> {
    let task = reader.task_of_any(ended.task).map_err(io::Error::other)?;
    Ok(match task {
        Some(task) if task.epoch == ended.epoch && task.state.kind() == ended.state => of_task(&task),
        other => {
            let worker = other.as_ref().map(|task| task.worker.as_str());
            let tenant = other.as_ref().map_or(TenantId::DEFAULT, |task| task.tenant);
            json!({
                "time": time(at),
                "event": "task_ended",
                "task": ended.task.to_string(),
                "worker": worker,
                "outcome": StateKind::as_str(ended.state),
                "attempt": ended.epoch,
                "tenant": tenant.0,
            })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> File {
        let path = std::env::temp_dir().join(format!("kapelle-session-{}-{:p}", std::process::id(), &text));
        fs::write(&path, text).unwrap();
        let file = File::options().read(true).append(true).open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        file
    }

    #[test]
    fn the_end_of_a_file_tells_where_to_go_on() {
        for (text, whole, expected) in [
            ("", 0, None),
            ("{\"se", 0, None),
            ("{\"seq\":1}\n", 10, Some((1, 1))),
            ("{\"seq\":1}\n{\"seq\":2}\n{\"seq\":2}\n{\"seq\":2", 30, Some((2, 2))),
            ("{\"seq\":2}\nwhat somebody wrote\n", 30, Some((2, 1))),
        ] {
            let mut file = file(text);
            assert_eq!(cut(&mut file).unwrap(), whole, "{text}");
            assert_eq!(end(&mut file).unwrap(), expected, "{text}");
        }
        let many: String = (0..20_000).map(|_| "{\"seq\":7,\"text\":\"quite a long line\"}\n").collect();
        let mut file = file(&format!("{{\"seq\":6}}\n{many}"));
        assert_eq!(end(&mut file).unwrap(), Some((7, 20_000)));
    }
}
