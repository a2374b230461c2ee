//! A running process: its streams, its readiness and its token.

use std::{sync::Arc, time::Duration};

use kapelle_core::worker::{TaskContext, WorkerSpec};
use kapelle_supervisor::{
    helper_process::{Handle, Launch, LaunchError, Process},
    machine::{Event, Exit},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    net::unix::pipe::Sender,
    sync::mpsc,
    task::JoinHandle,
};

use super::{
    group::Group,
    handle::Inner,
    instance::Order,
    pool::{self, Seat},
    probe,
};
use crate::{
    discover::Script,
    environment::Person,
    log::{Lines, Stream, presentable},
    redact::Redactor,
    settings::{Mode, Ready},
    token::{Access, Lent, Shortage},
};

/// Bytes per read.
const CHUNK: usize = 64 << 10;
/// Bytes of a process that are read within [`PACE`]; more waits in the pipe, which slows the process down.
const PACE_BYTES: usize = 512 << 10;
const PACE: Duration = Duration::from_millis(250);
/// Time limit for the helper to start a process.
const SPAWN: Duration = Duration::from_secs(30);
/// Time limit for the streams of an ended process to close.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A running process.
pub(super) struct RunningProcess {
    process: Handle,
    _guard: kapelle_supervisor::helper_process::Guard,
    token: Lent,
    readers: Vec<JoinHandle<()>>,
    probe: Option<JoinHandle<()>>,
    seat: Option<Arc<Seat>>,
    /// Held open: some programs end when their standard input closes.
    _stdin: Option<Sender>,
}

impl RunningProcess {
    /// Starts a process of a group.
    pub(super) async fn start(
        inner: &Arc<Inner>,
        group: &Arc<Group>,
        number: u32,
        orders: mpsc::UnboundedSender<Order>,
    ) -> Result<RunningProcess, LaunchError> {
        let script = group.script();
        let refused = |why: String| LaunchError::Refused(format!("no token: {why}"));
        // A pool's tokens come with its tasks.
        let access = match script.mode() {
            Mode::Daemon => {
                let process = format!("{}.{number}.{}", group.id, inner.now_ms());
                let budget = script.settings.max_cost;
                inner.options.tokens.for_process(&script.name, &process, budget).map_err(refused)?
            }
            Mode::Pool | Mode::Task => None,
        };
        let token = Lent::new(&inner.options.tokens, access);
        let person =
            Person { script: &script, id: &group.id, instance: number, access: token.access(), task: None, trace: "" };
        let (launch, redactor) = launch(inner, &person)?;
        let spawned = tokio::time::timeout(SPAWN, inner.helper.spawn(launch)).await;
        let spawned = spawned.map_err(|_| LaunchError::NoHelper("it does not answer".to_owned()))?;
        let Process { handle, guard, stdin, stdout, stderr } = spawned?;
        let output = OutputReader {
            inner: Arc::clone(inner),
            group: Arc::clone(group),
            number,
            redactor,
            pid: handle.pid(),
            orders,
        };
        let output = Arc::new(output);
        let mut live = RunningProcess {
            process: handle,
            _guard: guard,
            token,
            readers: Vec::new(),
            probe: None,
            seat: None,
            _stdin: None,
        };
        if script.mode() == Mode::Pool {
            let seat = Arc::new(Seat::new(number, script.settings.slots, stdin, Arc::clone(&output)));
            live.readers.push(tokio::spawn(pool::hear(Arc::clone(&seat), Arc::clone(&output), stdout)));
            live.seat = Some(seat);
        } else {
            live._stdin = Some(stdin);
            live.readers.push(tokio::spawn(Arc::clone(&output).hear(Stream::Out, stdout)));
        }
        live.readers.push(tokio::spawn(Arc::clone(&output).hear(Stream::Err, stderr)));
        if let Ready::Http(url) = &script.settings.ready {
            live.probe = Some(tokio::spawn(probe::until_ready(url.clone(), output)));
        }
        Ok(live)
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.process
    }

    /// Returns the money that its latest call lacked.
    pub(super) fn shortage(&self) -> Option<Shortage> {
        self.token.shortage()
    }

    /// Returns the slot through which tasks are given to it.
    pub(super) fn seat(&self) -> Option<Arc<Seat>> {
        self.seat.clone()
    }

    /// Waits for its end.
    pub(super) async fn ended(&mut self) -> Exit {
        self.process.exited().await
    }

    /// Reads the rest of its output.
    pub(super) async fn finish(mut self) {
        if let Some(probe) = self.probe.take() {
            probe.abort();
        }
        for mut reader in self.readers {
            if tokio::time::timeout(LAST_WORDS, &mut reader).await.is_err() {
                reader.abort();
            }
        }
    }
}

/// Returns the launch settings of a process, and the values that its output must not show.
pub(super) fn launch(inner: &Inner, person: &Person<'_>) -> Result<(Launch, Redactor), LaunchError> {
    let script: &Script = person.script;
    let Some(interpreter) = &script.interpreter else {
        return Err(LaunchError::Refused("its interpreter is unknown".to_owned()));
    };
    let trace = inner.trace(person);
    let person = Person { trace: &trace, ..*person };
    let surroundings = &inner.options.surroundings;
    let env = surroundings.of(&person);
    let redactor = Redactor::of(surroundings.secrets(&env));
    let mut args = interpreter.before.clone();
    if interpreter.program != script.path {
        args.push(script.path.display().to_string());
    }
    args.extend(script.settings.args.iter().cloned());
    let folder = script.path.parent().unwrap_or(&inner.options.root).to_owned();
    let program = interpreter.program.clone();
    Ok((Launch { program, args, env, folder, allowance: script.settings.allowance }, redactor))
}

impl Inner {
    /// Returns a trace context: the task's, or a new one for a process. Ids are hashes, so that an attempt keeps its
    /// own.
    fn trace(&self, person: &Person<'_>) -> String {
        use sha2::{Digest as _, Sha256};
        let about = match person.task {
            Some((task, attempt)) => format!("{task}.{attempt}"),
            None => format!("{}.{}.{}", person.id, person.instance, self.now_ms()),
        };
        let digest = Sha256::digest(about.as_bytes());
        let hex = digest.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        format!("00-{}-{}-01", &hex[..32], &hex[32..48])
    }
}

/// The reader of a process's output.
pub(super) struct OutputReader {
    pub(super) inner: Arc<Inner>,
    pub(super) group: Arc<Group>,
    pub(super) number: u32,
    pub(super) redactor: Redactor,
    pub(super) pid: i32,
    pub(super) orders: mpsc::UnboundedSender<Order>,
}

impl OutputReader {
    /// Creates the reader of a process that works on one task, which nobody restarts.
    pub(super) fn of_task(inner: &Arc<Inner>, group: &Arc<Group>, redactor: Redactor, pid: i32) -> OutputReader {
        let (orders, _) = mpsc::unbounded_channel();
        OutputReader { inner: Arc::clone(inner), group: Arc::clone(group), number: 0, redactor, pid, orders }
    }

    /// Adds a line to the log.
    pub(super) fn note(&self, stream: Stream, line: &str) {
        let text = presentable(line, &self.redactor);
        self.group.log.add(self.inner.now_ms(), self.number, stream, text);
    }

    /// Adds lines that came together.
    pub(super) fn notes(&self, stream: Stream, lines: &[String]) {
        let texts = lines.iter().map(|line| presentable(line, &self.redactor)).collect();
        self.group.log.add_all(self.inner.now_ms(), self.number, stream, texts);
    }

    /// Reports the process as ready.
    pub(super) fn ready(&self) {
        let _ = self.orders.send((Some(self.pid), Event::Ready));
    }

    /// Asks for a replacement of the process, which does not do as it was asked.
    pub(super) fn replace(&self) {
        let _ = self.orders.send((Some(self.pid), Event::Restart));
    }

    async fn hear(self: Arc<Self>, stream: Stream, from: impl AsyncRead + Unpin) {
        let wanted = match &self.group.script().settings.ready {
            Ready::Line(line) => Some(line.clone()),
            _ => None,
        };
        read(from, Lines::default(), |lines| {
            let is_wanted = |line: &String| wanted.as_ref().is_some_and(|wanted| line.contains(wanted.as_str()));
            if lines.iter().any(is_wanted) {
                self.ready();
            }
            self.notes(stream, &lines);
        })
        .await;
    }
}

/// Reads lines to the end, at most at the speed that logs can take.
pub(super) async fn read(mut from: impl AsyncRead + Unpin, mut lines: Lines, mut take: impl FnMut(Vec<String>)) {
    let mut chunk = vec![0; CHUNK];
    let mut began = tokio::time::Instant::now();
    let mut read_since = 0;
    while let Ok(read) = from.read(&mut chunk).await {
        if read == 0 {
            break;
        }
        take(lines.take(&chunk[..read]));
        read_since += read;
        if began.elapsed() >= PACE {
            (began, read_since) = (tokio::time::Instant::now(), 0);
        } else if read_since >= PACE_BYTES {
            tokio::time::sleep_until(began + PACE).await;
            (began, read_since) = (tokio::time::Instant::now(), 0);
        }
    }
    take(lines.finish().into_iter().collect());
}

/// Issues a token for one attempt.
pub(super) fn lend(inner: &Inner, spec: &WorkerSpec, ctx: &TaskContext) -> Result<Lent, String> {
    let access: Option<Access> = inner.options.tokens.for_task(spec, ctx)?;
    Ok(Lent::new(&inner.options.tokens, access))
}
