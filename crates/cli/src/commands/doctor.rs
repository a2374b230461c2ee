//! `kapelle doctor`: checks that everything needed is there, and says what to do where it is not.

use std::path::Path;

use kapelle::{
    gateway::{AliasStatus, LinkState},
    store::{SqliteReader, StoreError},
    workers::{
        document::{ChildReader, Options},
        script::{Scan, Script, Start, discover::Kind, interpreter::Interpreters},
    },
};
use serde_json::{Value, json};

use crate::{
    app::App,
    failure::{Code, Failure},
    out::{Tone, paint},
    project::Project,
    settings::Settings,
};

/// Check that everything needed is there.
#[derive(Debug, clap::Args)]
pub struct Args {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    Warn,
    Fail,
}

/// One thing that was checked.
struct Check {
    name: &'static str,
    state: State,
    found: String,
    todo: Option<String>,
}

impl Check {
    fn new(name: &'static str, state: State, found: impl Into<String>) -> Check {
        Check { name, state, found: found.into(), todo: None }
    }

    fn todo(mut self, todo: impl Into<String>) -> Check {
        self.todo = Some(todo.into());
        self
    }

    fn word(&self) -> &'static str {
        match self.state {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail => "fail",
        }
    }

    fn json(&self) -> Value {
        json!({ "check": self.name, "state": self.word(), "found": self.found, "todo": self.todo })
    }

    fn text(&self) -> String {
        let tone = match self.state {
            State::Ok => Tone::Good,
            State::Warn => Tone::Warn,
            State::Fail => Tone::Bad,
        };
        let word = paint(tone, &format!("{:<4}", self.word()));
        let todo = self.todo.as_ref().map_or_else(String::new, |todo| format!("\n                 -> {todo}"));
        format!("{word} {:<11} {}{todo}", self.name, self.found)
    }
}

/// Runs the verb.
///
/// # Errors
/// Never itself; a check that fails is the exit code.
pub async fn run(app: &App, _: &Args) -> Result<Code, Failure> {
    let mut checks = vec![Check::new("version", State::Ok, format!("kapelle {}", env!("CARGO_PKG_VERSION")))];
    checks.push(sqlite());
    match app.data() {
        Ok(folder) => {
            checks.push(writable(&folder));
            checks.push(lock(&folder));
            checks.push(database(&folder));
        }
        Err(failure) => checks.push(Check::new("data", State::Fail, failure.message)),
    }
    match app.settings() {
        Ok(settings) => {
            let place =
                app.project.config.as_deref().map_or_else(|| "defaults, no kapelle.yaml".to_owned(), Project::shown);
            checks.push(Check::new("config", State::Ok, place));
            checks.extend(models(app, &settings));
        }
        Err(failure) => {
            checks.push(Check::new("config", State::Fail, failure.message).todo("correct the file or variable named"));
        }
    }
    checks.extend(scripts(app).await);
    checks.push(documents().await);

    if app.out.json {
        let values: Vec<Value> = checks.iter().map(Check::json).collect();
        app.out.print_json(&json!({ "checks": values }))?;
    } else {
        app.out.print(&checks.iter().map(Check::text).collect::<Vec<_>>().join("\n"))?;
    }
    let failed = checks.iter().any(|check| check.state == State::Fail);
    Ok(if failed { Code::Failed } else { Code::Ok })
}

fn sqlite() -> Check {
    Check::new("sqlite", State::Ok, format!("SQLite {}, bundled", kapelle::store::sqlite_version()))
}

fn writable(folder: &Path) -> Check {
    let shown = Project::shown(folder);
    // The nearest folder that is there: the rest is made when it is needed.
    let Some(there) = folder.ancestors().find(|folder| folder.is_dir()) else {
        return Check::new("data", State::Fail, format!("{shown} cannot be made"))
            .todo("name another folder with --data");
    };
    let probe = there.join(format!(".kapelle-doctor-{}", std::process::id()));
    let written = std::fs::File::create_new(&probe).and_then(|file| file.sync_all());
    let _ = std::fs::remove_file(&probe);
    match written {
        Ok(()) if there == folder => Check::new("data", State::Ok, format!("{shown} can be written")),
        Ok(()) => Check::new("data", State::Ok, format!("{shown} will be made by the first run")),
        Err(error) => Check::new("data", State::Fail, format!("{}: {error}", Project::shown(there)))
            .todo("allow this user to write there, or name another folder with --data"),
    }
}

fn lock(folder: &Path) -> Check {
    match kapelle::store::lock_holder(folder) {
        None => Check::new("writer", State::Ok, "no process writes to it"),
        Some(holder) => Check::new("writer", State::Warn, format!("process {holder} writes to it"))
            .todo("reading verbs work meanwhile; other runs need another folder or have to wait"),
    }
}

fn database(folder: &Path) -> Check {
    if !folder.join("kapelle.db").is_file() {
        return Check::new("database", State::Ok, "none yet");
    }
    match SqliteReader::open_read_only(folder).and_then(|reader| reader.check()) {
        Ok(()) => Check::new("database", State::Ok, "quick_check found nothing wrong"),
        Err(error) => {
            let todo = match error {
                StoreError::Newer { .. } => "install the newer version of Kapelle",
                _ => "copy the folder away before anything else, then restore a backup",
            };
            Check::new("database", State::Fail, error.to_string()).todo(todo)
        }
    }
}

fn models(app: &App, settings: &Settings) -> Vec<Check> {
    let known = match app.workers(settings) {
        Ok(known) => known,
        Err(failure) => return vec![Check::new("models", State::Fail, failure.message)],
    };
    let mut checks: Vec<Check> = known.aliases.iter().map(alias).collect();
    let count = known.catalogue.iter().count();
    checks.push(match known.problems.first() {
        None => Check::new("workers", State::Ok, format!("{count} workers")),
        Some(problem) => Check::new("workers", State::Warn, format!("{count} workers; not in effect: {problem}"))
            .todo("correct the file"),
    });
    checks
}

fn alias(status: &AliasStatus) -> Check {
    let links: Vec<String> = status
        .links
        .iter()
        .map(|link| {
            let state = match link.state {
                LinkState::Ready => "ready",
                LinkState::NoKey => "no key",
                LinkState::KeyRefused => "key refused",
                LinkState::Offline => "classical methods",
            };
            format!("{} ({state})", link.link)
        })
        .collect();
    let found = format!("`{}` asks {}", status.alias, links.join(", then "));
    if status.live {
        return Check::new("model", State::Ok, found);
    }
    let reason = status.reason.as_deref().unwrap_or("the alias is offline");
    Check::new("model", State::Warn, found).todo(format!(
        "{reason}: set it in the environment or in .env; until then answers are offline and marked degraded"
    ))
}

/// Who runs scripts, and which scripts lack something.
async fn scripts(app: &App) -> Vec<Check> {
    let path = std::env::var_os("PATH");
    let interpreters = Interpreters::along(path.as_deref());
    let root = app.project.workers();
    let kinds = [
        ("node", Kind::JavaScript, "a.js"),
        ("typescript", Kind::TypeScript, "a.ts"),
        ("python", Kind::Python, "a.py"),
    ];
    let mut checks = Vec::new();
    for (name, kind, file) in kinds {
        checks.push(match interpreters.choose(kind, &root.join(file), &root, None).await {
            Ok(chosen) => Check::new(name, State::Ok, chosen.in_words()),
            Err(missing) => {
                Check::new(name, State::Warn, format!("{} scripts cannot be started", kind.as_str())).todo(missing)
            }
        });
    }
    let mut scan = Scan::of(&root);
    scan.look(&interpreters, false).await;
    let count = scan.scripts().count();
    let lacks = |script: &&Script| matches!(script.start, Start::Cannot(_));
    let lacking: Vec<Check> = scan
        .scripts()
        .filter(lacks)
        .map(|script| {
            let found = format!("{} cannot be started", script.file.display());
            Check::new("script", State::Warn, found).todo(script.start.why())
        })
        .collect();
    checks.push(Check::new("scripts", State::Ok, format!("{count} scripts, {} of them lack something", lacking.len())));
    checks.extend(lacking);
    checks
}

/// Reads a small page through the child, as `extract_text` does.
async fn documents() -> Check {
    let page = std::env::temp_dir().join(format!("kapelle-doctor-{}.html", std::process::id()));
    if let Err(error) = std::fs::write(&page, "<html><body><p>It works.</p></body></html>") {
        return Check::new("documents", State::Warn, format!("{}: {error}", page.display()))
            .todo("set TMPDIR to a folder that can be written");
    }
    let reader = ChildReader::new(std::env::current_exe().ok());
    let read = reader.read(&page, "doctor.html", Some("text/html"), Options::default()).await;
    let _ = std::fs::remove_file(&page);
    match read {
        Ok(read) if read.text.contains("It works.") => {
            Check::new("documents", State::Ok, "PDF, DOCX and HTML are read in a child under limits")
        }
        Ok(_) => Check::new("documents", State::Fail, "the reading child gave another text than the page's"),
        Err(error) => Check::new("documents", State::Fail, error.message)
            .todo("allow this user to start processes and to set their limits"),
    }
}
