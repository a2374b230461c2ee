//! Worker hosts in processes of their own: Kapelle's own, and ones in Python and Node that were written from the guide
//! with their standard libraries alone.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use crate::{
    history::{History, What},
    place::{Place, kapelle, pause, program},
};

/// Tasks that a host works on at once.
const SLOTS: &str = "8";

/// The implementation of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Python,
    Node,
    /// `kapelle host` on the stream, with the worker `far`.
    Kapelle,
    /// `kapelle host` on the long poll, with the worker `far`.
    Polling,
}

impl Kind {
    fn is_kapelle(self) -> bool {
        matches!(self, Kind::Kapelle | Kind::Polling)
    }
}

/// A host.
pub struct Host {
    kind: Kind,
    /// The part before the point stays when it is restarted.
    pub name: String,
    workers: String,
    log: PathBuf,
    child: Child,
}

impl Host {
    /// Starts a host and waits until the server knows it.
    pub fn start(place: &Place, kind: Kind, name: &str, workers: &str) -> Host {
        let log = place.path(&format!("{name}.ndjson"));
        let child = spawn(place, kind, name, workers, &log);
        let said = || fs::read_to_string(place.path(&format!("{name}.log"))).unwrap_or_default();
        while kind.is_kapelle() && !said().contains("works for") {
            pause(5);
        }
        Host { kind, name: name.to_owned(), workers: workers.to_owned(), log, child }
    }

    /// Kills the process at any point of its work.
    pub fn kill(&mut self) {
        assert!(self.child.try_wait().unwrap().is_none(), "{} ended by itself", self.name);
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Kills it and starts another under a new name.
    pub fn replace(&mut self, place: &Place) {
        self.kill();
        let (stem, number) = self.name.split_once('.').unwrap_or((&self.name, "0"));
        self.name = format!("{stem}.{}", number.parse::<u32>().unwrap() + 1);
        self.child = spawn(place, self.kind, &self.name, &self.workers, &self.log);
    }

    /// Freezes it, or lets it continue.
    pub fn freeze(&self, still: bool) {
        let signal = if still { "-STOP" } else { "-CONT" };
        assert!(program("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
    }

    /// Returns the attempts that it has claimed and not reported yet, by its log.
    pub fn in_hand(&self) -> Vec<(String, u64)> {
        let mut open = Vec::new();
        for (task, events) in self.seen().tasks {
            for event in &events {
                let What::Claimed { by, attempt } = &event.what else { continue };
                let told = events
                    .iter()
                    .any(|event| matches!(&event.what, What::Reported(report) if report.attempt == *attempt));
                if *by == self.name && !told {
                    open.push((task.clone(), *attempt));
                }
            }
        }
        open
    }

    /// Returns its log.
    pub fn seen(&self) -> History {
        let mut history = History::default();
        history.read(&self.log);
        history
    }

    /// Returns its log about a task, and everything it complained about.
    pub fn tells_of(&self, task: &str) -> String {
        let said = fs::read_to_string(self.log.with_extension("log")).unwrap_or_default();
        let last: Vec<&str> = said.lines().rev().take(20).collect();
        format!("{}: {:#?} {last:#?}\n", self.name, self.seen().tasks.get(task))
    }

    pub fn log(&self) -> &Path {
        &self.log
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(place: &Place, kind: Kind, name: &str, workers: &str, log: &Path) -> Child {
    let plain = |file: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/served/plain").join(file);
    let mut command = match kind {
        Kind::Python => program("python3"),
        Kind::Node => program("node"),
        Kind::Kapelle | Kind::Polling => {
            let project = place.path("far");
            fs::create_dir_all(project.join("workers")).unwrap();
            let worker = "kind: prompt\nname: far\noffline: keywords\nprompt: '{{ text }}'\n";
            fs::write(project.join("workers/far.yaml"), worker).unwrap();
            kapelle(&project)
        }
    };
    match kind {
        Kind::Python => command.arg(plain("host.py")),
        Kind::Node => command.arg(plain("host.mjs")),
        Kind::Kapelle | Kind::Polling => {
            let server = format!("http://{}", place.address);
            command.args(["host", "--server", &server, "--worker", workers, "--slots", SLOTS, "--name", name]);
            command.args((kind == Kind::Polling).then_some("--long-poll"))
        }
    };
    command.env("HOST_SERVER", place.address.to_string()).env("HOST_TOKEN", &*place.token());
    command.env("KAPELLE_TOKEN", &*place.token());
    command.env("HOST_NAME", name).env("HOST_WORKERS", workers).env("HOST_SLOTS", SLOTS).env("HOST_LOG", log);
    let errors = fs::File::options().create(true).append(true).open(place.path(&format!("{name}.log"))).unwrap();
    command.stdin(Stdio::null());
    if kind.is_kapelle() {
        return command.stdout(Stdio::null()).stderr(errors).spawn().unwrap();
    }
    let mut child = command.stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line.trim(), "ready", "{name} did not start");
    child
}
