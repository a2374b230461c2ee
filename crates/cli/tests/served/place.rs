//! The real server in a folder of its own, to be killed and restarted at one address.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use kapelle_testkit::rng::Rng;

use crate::http::Http;

/// A folder, and the server that works on it.
pub struct Place {
    folder: tempfile::TempDir,
    pub address: SocketAddr,
    server: Option<(Child, BufReader<ChildStdout>)>,
}

impl Place {
    /// Makes a fresh folder with a running server.
    pub fn new(chance: &mut Rng) -> Place {
        Place::prepared(chance, |_| {})
    }

    /// Makes it in a folder that `prepare` has filled.
    pub fn prepared(chance: &mut Rng, prepare: impl FnOnce(&Path)) -> Place {
        let mut place = Place { folder: tempfile::tempdir().unwrap(), address: free(chance), server: None };
        prepare(place.folder.path());
        place.start();
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn token(&self) -> Arc<str> {
        Arc::from(fs::read_to_string(self.path(".kapelle/token")).unwrap().trim())
    }

    pub fn http(&self) -> Http {
        Http::new(self.address, self.token())
    }

    /// Starts the server. Returns how long it took until it served.
    pub fn start(&mut self) -> Duration {
        let begun = now();
        let log = fs::File::options().create(true).append(true).open(self.path("server.log")).unwrap();
        let mut command = program("sh");
        // The limits of open files under which most systems start programs.
        command.args(["-c", "ulimit -Sn 1024; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_kapelle")]);
        without_keys(&mut command).current_dir(self.folder.path());
        command.args(["serve", "--listen", &self.address.to_string()]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), format!("listening={}", self.address), "{}", self.log());
        self.server = Some((child, lines));
        begun.elapsed()
    }

    /// Kills the server at any point of its work.
    pub fn kill(&mut self) {
        let pid = self.pid();
        let (mut child, _) = self.server.take().unwrap();
        assert_eq!(child.try_wait().unwrap(), None, "the server, process {pid}, ended by itself:\n{}", self.log());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Returns the process id of the server.
    pub fn pid(&self) -> u32 {
        self.server.as_ref().unwrap().0.id()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("server.log")).unwrap_or_default()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((mut child, _)) = self.server.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Returns the real binary in a folder, without any key for a model.
pub fn kapelle(folder: &Path) -> Command {
    let mut command = program(env!("CARGO_BIN_EXE_kapelle"));
    without_keys(&mut command).current_dir(folder);
    command
}

fn without_keys(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if ["KAPELLE_", "OPENAI_"].iter().any(|begin| name.to_string_lossy().starts_with(begin)) {
            command.env_remove(name);
        }
    }
    command
}

#[expect(clippy::disallowed_methods, reason = "the processes under test are started here, to be killed")]
pub fn program(name: &str) -> Command {
    Command::new(name)
}

/// Returns a free port outside the system's automatic range. A client that connects from the very port it connects to,
/// while the server is away, would be talking to itself and keep the server from returning.
fn free(chance: &mut Rng) -> SocketAddr {
    loop {
        let address = SocketAddr::from(([127, 0, 0, 1], 20_000 + u16::try_from(chance.below(10_000)).unwrap()));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a harness of faults works in real time")]
pub fn now() -> Instant {
    Instant::now()
}

/// Returns microseconds of a clock that all processes of this machine share.
#[expect(clippy::disallowed_methods, reason = "hosts in other processes write their histories with the same clock")]
pub fn micros() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a harness of faults works in real time")]
pub fn pause(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

pub fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Says whether the programs are installed. Without one the test is skipped with a note, or fails where nothing may be
/// skipped.
pub fn there(programs: &[&str]) -> bool {
    let missing: Vec<_> = programs
        .iter()
        .filter(|name| program(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err())
        .collect();
    assert!(missing.is_empty() || std::env::var_os("KAPELLE_TEST_REQUIRE").is_none(), "{missing:?} is not there");
    if !missing.is_empty() {
        println!("skipped: {missing:?} is not there");
    }
    missing.is_empty()
}
