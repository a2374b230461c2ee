//! A folder of its own for every test, and the binary in it.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use kapelle_testkit::children;
use serde_json::Value;

/// Time limit for everything, on any machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A folder with nothing in it.
pub struct Place {
    folder: tempfile::TempDir,
}

/// The output of the binary.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// A workflow that needs no model and no file.
pub const PLAIN: &str = "\
name: plain
inputs: { type: object, required: [text], additionalProperties: false, properties: { text: { type: string }, n: { type: integer, default: 2 } } }
steps:
  words: { worker: keywords, with: { text: '${{ inputs.text }}', max: '${{ inputs.n }}' } }
  said: { needs: [words], worker: log, with: { message: '${{ steps.words.output.keywords }}' } }
outputs: { keywords: '${{ steps.words.output.keywords }}' }
";

/// A text that has keywords.
pub const TEXT: &str = "The reading room needs light. The reading room has none.";

impl Place {
    pub fn new() -> Place {
        Place { folder: tempfile::tempdir().unwrap() }
    }

    /// Makes a folder with a workflow `plain.yaml`.
    pub fn plain() -> Place {
        let place = Place::new();
        place.file("plain.yaml", PLAIN);
        place
    }

    /// Makes a folder in which `plain.yaml` has been run once: `run_1`, `task_1` and `task_2`.
    pub fn ran() -> Place {
        let place = Place::plain();
        let said = place.kapelle(&["run", "plain.yaml", "--input", &format!("text={TEXT}")]);
        assert_eq!(said.code, 0, "{said:?}");
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    #[expect(clippy::disallowed_methods, reason = "the binary under test is started here")]
    pub fn command(&self, arguments: &[&str]) -> Command {
        children::limit(children::AGE_MOST);
        let mut command = Command::new(env!("CARGO_BIN_EXE_kapelle"));
        command.current_dir(self.folder.path()).args(arguments).env_clear().stdin(Stdio::null());
        command.env("HOME", self.folder.path()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    /// Runs another program here. Returns its output.
    #[expect(clippy::disallowed_methods, reason = "a test uses the programs of the machine")]
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path()).args(arguments).env("HOME", self.folder.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Says whether a program is installed.
    pub fn has(&self, program: &str) -> bool {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    }

    pub fn kapelle(&self, arguments: &[&str]) -> Said {
        Said::of(&self.command(arguments).output().unwrap())
    }

    pub fn with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Said {
        Said::of(&self.command(arguments).envs(variables.iter().copied()).output().unwrap())
    }

    /// Starts the binary, and waits until it has printed a line with that part.
    pub fn started(&self, arguments: &[&str], part: &str) -> (Child, BufReader<std::process::ChildStderr>) {
        let mut child = self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let _watched = watched(&child);
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains(part) {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0, "it ended before it said `{part}`");
        }
        (child, lines)
    }
}

/// Watches a process and kills it at the time limit, so that no test hangs: reading its output ends then.
pub fn watched(child: &Child) -> impl Drop + use<> {
    let (alive, over) = mpsc::channel::<()>();
    let pid = child.id().to_string();
    std::thread::spawn(move || {
        if over.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            kill(&pid, "-KILL");
        }
    });
    Watched(alive)
}

/// Waits for the end of a process. Returns its exit code; `None` when a signal ended it, as at the time limit.
pub fn ended(child: &mut Child) -> Option<i32> {
    let _watched = watched(child);
    child.wait().unwrap().code()
}

/// A guard; the process is watched until it is dropped.
struct Watched(mpsc::Sender<()>);

impl Drop for Watched {
    fn drop(&mut self) {
        // The thread ends even if the message cannot be sent.
        let _ = self.0.send(());
    }
}

#[expect(clippy::disallowed_methods, reason = "the system's own `kill` sends the signal")]
fn kill(pid: &str, signal: &str) -> bool {
    Command::new("kill").args([signal, pid]).status().unwrap().success()
}

/// Sends a signal to a process that was started here.
pub fn signal(child: &Child, signal: &str) {
    assert!(kill(&child.id().to_string(), signal));
}

impl Said {
    pub fn of(output: &Output) -> Said {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Said { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks that it failed with that code, and printed these parts.
    #[track_caller]
    pub fn refused(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for part in parts {
            assert!(self.err.contains(part), "`{part}` is not in: {}", self.err);
        }
        // A server says it in a line of its log.
        assert!(self.err.contains("error: ") || self.err.contains("ERROR"), "{self:?}");
        assert!(!self.err.contains("panicked"), "{self:?}");
    }
}

/// Looks until it holds, within a minute.
#[expect(clippy::disallowed_methods, reason = "what is waited for happens in another process, which cannot tell")]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what} was not seen");
        std::thread::yield_now();
    }
}
