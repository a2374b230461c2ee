//! `kapelle doctor`: checks that everything needed is installed, and says what to do where it is missing.

mod check;
mod machine;
mod work;

use std::{collections::BTreeMap, io::Write as _, path::Path, sync::Arc};

use kapelle::{
    core::size,
    documents::{ChildReader, Options},
    gateway::{AliasStatus, LinkState, sends::Sends},
    scripts::{Scan, Script, Start, discover::Kind, interpreter::Interpreters},
    store::{Holder, SqliteReader, StoreError, private},
};
use kapelle_api::DoctorCheck;
use serde_json::{Value, json};

use self::check::{Check, State};
use crate::{
    app::App,
    failure::{Code, Failure},
    project::Project,
    settings::Settings,
    trust,
};

/// Check that everything needed is installed.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Length in bytes up to which a running server reads its database through.
const CHECKED_MAX: u64 = 256 << 20;

/// Runs the verb.
///
/// # Errors
/// Never; a failed check is the exit code.
pub async fn run(app: &App, _: &Args) -> Result<Code, Failure> {
    let mut checks = quick(app, app.settings().as_ref(), Place::Alone);
    checks.extend(slow(app).await);
    checks.extend(work::checks(app).await);

    if app.out.json {
        let values: Vec<Value> = checks.iter().map(Check::json).collect();
        app.out.print_json(&json!({ "checks": values }))?;
    } else {
        app.out.print(&checks.iter().map(Check::text).collect::<Vec<_>>().join("\n"))?;
    }
    let failed = checks.iter().any(|check| check.state == State::Fail);
    Ok(if failed { Code::Failed } else { Code::Ok })
}

/// The process that checks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A verb of the command line.
    Alone,
    /// The server that works on the folder.
    Server,
}

/// Makes the checks of a running server.
pub async fn served(app: &Arc<App>, settings: &Arc<Settings>) -> Vec<DoctorCheck> {
    let (beside, settings) = (Arc::clone(app), Arc::clone(settings));
    let quick = tokio::task::spawn_blocking(move || quick(&beside, Ok(&settings), Place::Server)).await;
    let mut checks = quick.unwrap_or_else(|error| vec![Check::new("doctor", State::Fail, error.to_string())]);
    checks.extend(slow(app).await);
    checks.into_iter().map(DoctorCheck::from).collect()
}

/// Makes the checks that need no process.
fn quick(app: &App, settings: Result<&Settings, &Failure>, place: Place) -> Vec<Check> {
    let mut checks = vec![Check::new("version", State::Ok, format!("kapelle {}", env!("CARGO_PKG_VERSION")))];
    checks.push(sqlite());
    match app.data() {
        Ok(folder) => {
            checks.push(writable(&folder));
            checks.push(permissions(&folder));
            checks.extend((place == Place::Alone).then(|| lock(&folder)));
            checks.push(database(&folder, place));
            checks.extend(machine::store(&folder));
        }
        Err(failure) => checks.push(Check::new("data", State::Fail, failure.message)),
    }
    match settings {
        Ok(settings) => {
            let file =
                app.project.config.as_deref().map_or_else(|| "defaults, no kapelle.yaml".to_owned(), Project::shown);
            checks.push(Check::new("config", State::Ok, file));
            checks.extend((place == Place::Alone).then(|| machine::port(app, settings)));
            checks.extend(budgets(app, settings));
            checks.extend(keys(app, settings));
            checks.extend(models(app, settings));
        }
        Err(failure) => {
            let check = Check::new("config", State::Fail, failure.message.clone());
            checks.push(check.todo("correct the file or variable named"));
        }
    }
    checks
}

/// Makes the checks that start processes.
async fn slow(app: &App) -> Vec<Check> {
    let mut checks = scripts(app).await;
    checks.push(documents().await);
    checks
}

fn sqlite() -> Check {
    Check::new("sqlite", State::Ok, format!("SQLite {}, bundled", kapelle::store::sqlite_version()))
}

fn writable(folder: &Path) -> Check {
    let shown = Project::shown(folder);
    // The nearest folder that exists: the rest is created when it is needed.
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

/// Checks whether other users can enter the folder, or read a file in it.
fn permissions(folder: &Path) -> Check {
    let name = "permissions";
    if !folder.is_dir() {
        return Check::new(name, State::Ok, "no folder yet: it is made for this user alone (mode 0700)");
    }
    let shown = Project::shown(folder);
    let look = match private::look(folder) {
        Ok(look) => look,
        Err(error) => return Check::new(name, State::Fail, error.to_string()),
    };
    let mode = look.mode.map_or_else(|| "none on this system".to_owned(), |mode| format!("{mode:04o}"));
    let open: Vec<String> = look.open.iter().take(3).map(|path| Project::shown(path)).collect();
    let files = match look.open.len() {
        0 => "all files are readable by their owner only".to_owned(),
        count => format!("{count} files and folders are readable by others, such as {}", open.join(", ")),
    };
    let found = format!("{shown} has mode {mode}, {files}");
    if look.is_closed() && look.open.is_empty() && look.notes.is_empty() {
        return Check::new(name, State::Ok, found);
    }
    let usual = format!("the next start of a verb that writes closes them; `chmod -R go-rwx {shown}` does it now");
    let todo = if look.notes.is_empty() { usual } else { look.notes.join("; ") };
    Check::new(name, State::Warn, found).todo(todo)
}

fn lock(folder: &Path) -> Check {
    match kapelle::store::lock_holder(folder) {
        None => Check::new("writer", State::Ok, "free for writing"),
        Some(holder) if holder.stranger.is_some() => {
            Check::new("writer", State::Fail, format!("it is in use by {}", holder.in_words()))
        }
        Some(Holder { process: None, .. }) => {
            Check::new("writer", State::Warn, "a process that cannot be seen from here writes to it")
                .todo("`fuser -v` on the file `lock` finds it where it runs, such as in a container")
        }
        Some(Holder { process: Some(process), .. }) => {
            Check::new("writer", State::Ok, format!("process {process} writes to it"))
        }
    }
}

fn database(folder: &Path, place: Place) -> Check {
    let Ok(about) = std::fs::metadata(folder.join("kapelle.db")) else {
        return Check::new("database", State::Ok, "none yet");
    };
    if place == Place::Server && about.len() > CHECKED_MAX {
        let found = format!("{} are not read through while the server works", size::in_words(about.len()));
        return Check::new("database", State::Ok, found).todo("`kapelle doctor` reads all of it, beside the server");
    }
    match SqliteReader::open_read_only(folder).and_then(|reader| reader.check()) {
        Ok(()) => Check::new("database", State::Ok, "quick_check passed"),
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
    let mut checks = aliases(&known.aliases);
    let count = known.catalogue.iter().count();
    checks.push(match known.problems.first() {
        None => Check::new("workers", State::Ok, format!("{count} workers")),
        Some(problem) => Check::new("workers", State::Warn, format!("{count} workers; not in effect: {problem}"))
            .todo("correct the file"),
    });
    checks
}

/// Warns of budgets that nobody spends from.
fn budgets(app: &App, settings: &Settings) -> Vec<Check> {
    // Faults of the workers are reported by their own check.
    let unknown = super::config::unknown_budgets(app, settings).unwrap_or_default();
    unknown.into_iter().map(|what| Check::new("budgets", State::Warn, what)).collect()
}

/// Checks which key is sent where, and what the user has to agree to.
fn keys(app: &App, settings: &Settings) -> Vec<Check> {
    let told = trust::sends(settings).and_then(|all| {
        let moved = trust::moved(&app.project, settings)?;
        let agreed = moved.is_empty() || trust::is_agreed(&app.project, settings, &moved)?;
        let check = |sends: &Sends| {
            let check = |state| Check::new("key", state, format!("{}: {}", sends.provider, sends.in_words()));
            if moved.contains(sends) && !agreed {
                return check(State::Fail).todo(
                    "this project sends a key of yours to a host that it is not meant for: `kapelle config trust` \
                     agrees to it",
                );
            }
            if sends.url.starts_with("http:") && !is_here(&sends.url) {
                return check(State::Warn).todo("plain http: the key and every prompt can be read on the way");
            }
            check(State::Ok)
        };
        Ok(all.iter().map(check).collect())
    });
    told.unwrap_or_else(|failure| vec![Check::new("key", State::Fail, failure.message)])
}

fn is_here(url: &str) -> bool {
    let host = url.trim_start_matches("http://").split(['/', '?']).next().unwrap_or_default();
    ["localhost", "127.", "[::1]"].iter().any(|begins| host.starts_with(begins))
}

/// Makes one check of the aliases that can be called, and one for each reason why others cannot.
fn aliases(all: &[AliasStatus]) -> Vec<Check> {
    let names = |all: &[&AliasStatus]| {
        let names: Vec<String> = all.iter().map(|status| format!("`{}`", status.alias)).collect();
        names.join(", ")
    };
    let mut checks = Vec::new();
    let live: Vec<&AliasStatus> = all.iter().filter(|status| status.live).collect();
    if !live.is_empty() {
        checks.push(Check::new("model", State::Ok, format!("{} can be called", names(&live))));
    }
    let mut by_reason: BTreeMap<&str, Vec<&AliasStatus>> = BTreeMap::new();
    for status in all.iter().filter(|status| !status.live) {
        by_reason.entry(status.reason.as_deref().unwrap_or("the alias is offline")).or_default().push(status);
    }
    for (reason, without) in by_reason {
        let stands_in = |status: &&AliasStatus| status.links.iter().any(|link| link.state == LinkState::Offline);
        let (offline, fails): (Vec<&AliasStatus>, Vec<&AliasStatus>) = without.iter().partition(|s| stands_in(s));
        let offline = (!offline.is_empty()).then(|| format!("{} answer offline, marked degraded", names(&offline)));
        let fails = (!fails.is_empty()).then(|| format!("calls of {} fail", names(&fails)));
        let until: Vec<String> = [offline, fails].into_iter().flatten().collect();
        let found = format!("{} call no model", names(&without));
        let todo = format!("{reason}: set it in the environment or in .env; until then {}", until.join(", and "));
        checks.push(Check::new("model", State::Warn, found).todo(todo));
    }
    checks
}

/// Checks the interpreters of scripts, and what scripts lack.
async fn scripts(app: &App) -> Vec<Check> {
    let path = std::env::var_os("PATH");
    let interpreters = Interpreters::along(path.as_deref());
    let root = app.project.workers();
    let kinds = [
        ("node", Kind::JavaScript, "a.js"),
        ("typescript", Kind::TypeScript, "a.ts"),
        ("python", Kind::Python, "a.py"),
    ];
    let mut scan = Scan::of(&root);
    scan.look(&interpreters, false).await;
    let mut checks = Vec::new();
    for (name, kind, file) in kinds {
        let needed = scan.scripts().any(|script| script.kind == kind);
        match interpreters.choose(kind, &root.join(file), &root, None).await {
            Ok(chosen) => checks.push(Check::new(name, State::Ok, chosen.in_words())),
            // Nothing is wrong about an interpreter that no script needs.
            Err(missing) if needed => {
                let found = format!("{} scripts cannot be started", kind.as_str());
                checks.push(Check::new(name, State::Warn, found).todo(missing));
            }
            Err(_) => {}
        }
    }
    let warned = scan.scripts().flat_map(|script| script.warnings.iter().map(move |warning| (script, warning)));
    checks.extend(warned.map(|(script, warning)| {
        Check::new("script", State::Warn, format!("{}: {warning}", script.file.display()))
            .todo("change that line; `kapelle workers` lists the warnings of all scripts")
    }));
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
    let text = b"<html><body><p>It works.</p></body></html>";
    // Others may write to that folder: existing files are neither followed nor overwritten.
    let written = private::options().write(true).create_new(true).open(&page).and_then(|mut file| file.write_all(text));
    if let Err(error) = written {
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
        Ok(_) => Check::new("documents", State::Fail, "the child returned a different text than the page's"),
        Err(error) => Check::new("documents", State::Fail, error.message)
            .todo("allow this user to start processes and to set their limits"),
    }
}
