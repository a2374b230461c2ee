//! One short-lived child under limits.

use std::{
    ffi::OsString,
    io,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::AsyncWriteExt,
    process::{Child, ChildStdin, Command},
    time::timeout,
};

use crate::{
    capture,
    error::ChildError,
    group::Group,
    limits::Limits,
    spawner::{self, Started},
};

/// Longest wait for the pipes of a dead child; only a descendant that left its group can still hold them open.
const PIPE_GRACE: Duration = Duration::from_millis(500);

/// Standard input of a child.
#[derive(Debug, Clone, Default)]
pub enum ChildInput {
    /// Empty: end of file at once.
    #[default]
    Empty,
    /// These bytes. A child may leave a part of them unread.
    Bytes(Vec<u8>),
    /// This file.
    File(PathBuf),
}

/// A program to run once, under limits, with a given environment only.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct LimitedChild {
    pub program: PathBuf,
    pub args: Vec<OsString>,
    pub stdin: ChildInput,
    /// Its whole environment; nothing is inherited.
    pub env: Vec<(OsString, OsString)>,
    /// Its working directory. `None`: that of this process.
    pub folder: Option<PathBuf>,
    /// Resource limits.
    pub limits: Limits,
}

/// Output of a child that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct ChildOutput {
    pub stdout: Vec<u8>,
    /// End of its standard error.
    pub stderr_tail: String,
}

/// Output read from the child so far.
#[derive(Default)]
struct Heard {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    too_much: bool,
}

impl LimitedChild {
    /// Makes a program without arguments, with empty input and environment, and the default limits.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> LimitedChild {
        LimitedChild {
            program: program.into(),
            args: Vec::new(),
            stdin: ChildInput::Empty,
            env: Vec::new(),
            folder: None,
            limits: Limits::default(),
        }
    }

    /// Runs the program to its end. Dropping the future kills the child and its whole group.
    ///
    /// # Errors
    /// When the program cannot be started, reaches a limit, or does not end with exit code zero.
    pub async fn run(self) -> Result<ChildOutput, ChildError> {
        let Started { mut child, group } = self.start().await?;
        let stdin = child.stdin.take();
        let bytes = if let ChildInput::Bytes(bytes) = self.stdin { bytes } else { Vec::new() };
        let mut heard = Heard::default();
        let ended = timeout(self.limits.wall, listen(&mut child, &group, stdin, bytes, &self.limits, &mut heard)).await;
        group.kill();
        let Ok(status) = ended else {
            // Reaps the dead child; it cannot outlive its kill.
            let _ = child.wait().await;
            return Err(ChildError::TimedOut { limit: self.limits.wall, cpu: false });
        };
        let status = status?;
        if heard.too_much {
            return Err(ChildError::TooMuchOutput { limit: self.limits.output });
        }
        let stderr_tail = String::from_utf8_lossy(&heard.stderr).into_owned();
        if status.success() {
            return Ok(ChildOutput { stdout: heard.stdout, stderr_tail });
        }
        Err(classify(status, stderr_tail, &self.limits))
    }

    async fn start(&self) -> Result<Started, ChildError> {
        let cannot =
            |source: io::Error| ChildError::CannotStart { program: self.program.display().to_string(), source };
        let mut command = Command::new(&self.program);
        command.args(&self.args).env_clear().envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command.stdin(match &self.stdin {
            ChildInput::Empty => Stdio::null(),
            ChildInput::Bytes(_) => Stdio::piped(),
            ChildInput::File(path) => Stdio::from(std::fs::File::open(path).map_err(cannot)?),
        });
        #[cfg(target_os = "linux")]
        crate::linux::confine(&mut command, &self.limits);
        #[cfg(all(unix, not(target_os = "linux")))]
        command.process_group(0);
        spawner::spawn(command).await.map_err(cannot)
    }
}

/// Writes the child's input and reads its output until it has ended.
async fn listen(
    child: &mut Child,
    group: &Group,
    stdin: Option<ChildStdin>,
    bytes: Vec<u8>,
    limits: &Limits,
    heard: &mut Heard,
) -> io::Result<ExitStatus> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let Heard { stdout: kept, stderr: tail, too_much } = heard;
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A child may stop reading; its exit code says whether it failed.
            let _ = stdin.write_all(&bytes).await;
        }
        drop(bytes);
    };
    let hear = async {
        if let Some(stdout) = stdout {
            match capture::whole(stdout, limits.output).await? {
                Some(all) => *kept = all,
                None => {
                    *too_much = true;
                    group.kill();
                }
            }
        }
        io::Result::Ok(())
    };
    let mourn = async {
        match stderr {
            Some(stderr) => capture::tail(stderr, tail).await,
            None => Ok(()),
        }
    };
    let pipes = async { tokio::join!(feed, hear, mourn) };
    tokio::pin!(pipes);
    let mut done = false;
    let status = tokio::select! {
        status = child.wait() => status?,
        (_, heard, mourned) = &mut pipes => {
            heard?;
            mourned?;
            done = true;
            child.wait().await?
        }
    };
    // Descendants of the child are killed with it, and so the pipes close.
    group.kill();
    if !done && let Ok((_, heard, mourned)) = timeout(PIPE_GRACE, pipes).await {
        heard?;
        mourned?;
    }
    Ok(status)
}

/// Determines the limit that a child reached, from its end.
fn classify(status: ExitStatus, stderr_tail: String, limits: &Limits) -> ChildError {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal = None;
    #[cfg(unix)]
    {
        use rustix::process::Signal;
        if signal == Some(Signal::XCPU.as_raw()) {
            return ChildError::TimedOut { limit: limits.cpu, cpu: true };
        }
        // This process did not kill it, so the system did: it does so when memory runs out, or past the hard limit of
        // processor time.
        if signal == Some(Signal::KILL.as_raw()) {
            return ChildError::OutOfMemory { limit: limits.memory };
        }
    }
    if OUT_OF_MEMORY.iter().any(|words| stderr_tail.contains(words)) {
        return ChildError::OutOfMemory { limit: limits.memory };
    }
    ChildError::Crashed { signal, code: status.code(), stderr_tail }
}

/// Last words of programs that ran out of memory: Rust, C and C++, Python, thread creation.
const OUT_OF_MEMORY: [&str; 5] =
    ["memory allocation of", "Cannot allocate memory", "std::bad_alloc", "MemoryError", "failed to allocate"];
