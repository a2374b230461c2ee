//! Records of effects that must not happen twice: one file for each key, written before the effect and after it.
//!
//! A crash in between leaves the first record alone. Then nobody knows whether the effect happened, and it is not
//! repeated.

use std::{
    collections::HashSet,
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Records of finished effects are kept for 90 days.
const KEPT: Duration = Duration::from_secs(90 * 86_400);
/// Number of new records between two removals of old ones.
const PRUNE_EVERY: u32 = 500;
/// Folder entries that are looked at in one removal.
const PRUNE_MAX: usize = 100_000;

/// Effects that this process is working on.
static RUNNING: LazyLock<Mutex<HashSet<PathBuf>>> = LazyLock::new(Mutex::default);

/// A folder of records.
#[derive(Debug, Clone)]
pub struct EffectLog {
    folder: PathBuf,
    begun: Arc<AtomicU32>,
}

/// A record as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// Task that began the effect.
    task: String,
    /// Digest of the content of the effect.
    content: String,
    /// The output of the finished effect; absent while it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    done: Option<Value>,
}

/// The answer to the beginning of an effect.
#[derive(Debug)]
pub enum Begun {
    /// It did not happen yet; the ticket ends its record.
    Fresh(Ticket),
    /// It happened, with this output.
    Done(Value),
    /// Another attempt of this process is at it.
    Running,
    /// It was begun by this task and may have happened.
    Unknown(String),
    /// The key was used for another content, by this task.
    Other(String),
}

/// Right to cause an effect once. Dropping it leaves the outcome unknown.
#[derive(Debug)]
pub struct Ticket {
    path: PathBuf,
    record: Record,
    _running: Claim,
}

#[derive(Debug)]
struct Claim(PathBuf);

impl Drop for Claim {
    fn drop(&mut self) {
        running().remove(&self.0);
    }
}

fn running() -> std::sync::MutexGuard<'static, HashSet<PathBuf>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

impl EffectLog {
    /// Uses a folder, which is made with the first record.
    #[must_use]
    pub fn in_folder(folder: impl Into<PathBuf>) -> EffectLog {
        EffectLog { folder: folder.into(), begun: Arc::default() }
    }

    /// Looks up what is recorded under a key. `None` when the effect may be begun.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn find(&self, key: &[&str], content: &[u8]) -> io::Result<Option<Begun>> {
        found(&self.path(key), &digest(content))
    }

    /// Begins the effect of a key. `again` repeats one whose outcome is unknown.
    ///
    /// # Errors
    /// When the record cannot be read or written; then nothing may be done.
    pub fn begin(&self, key: &[&str], task: &str, content: &[u8], again: bool) -> io::Result<Begun> {
        let path = self.path(key);
        if !running().insert(path.clone()) {
            return Ok(Begun::Running);
        }
        let claim = Claim(path.clone());
        let record = Record { task: task.to_owned(), content: digest(content), done: None };
        match found(&path, &record.content)? {
            None => self.fresh(path, record, claim),
            Some(Begun::Unknown(_)) if again => self.fresh(path, record, claim),
            Some(begun) => Ok(begun),
        }
    }

    fn path(&self, key: &[&str]) -> PathBuf {
        self.folder.join(format!("{}.json", digest(key.join("\0").as_bytes())))
    }

    fn fresh(&self, path: PathBuf, record: Record, claim: Claim) -> io::Result<Begun> {
        make_private(&self.folder)?;
        write(&path, &record)?;
        if self.begun.fetch_add(1, Ordering::Relaxed) % PRUNE_EVERY == PRUNE_EVERY - 1 {
            prune(&self.folder, &path);
        }
        Ok(Begun::Fresh(Ticket { path, record, _running: claim }))
    }
}

impl Ticket {
    /// Records that the effect happened.
    ///
    /// # Errors
    /// When the record cannot be written; the outcome then reads as unknown after a crash.
    pub fn done(mut self, output: &Value) -> io::Result<()> {
        self.record.done = Some(output.clone());
        write(&self.path, &self.record)
    }

    /// Records that the effect certainly did not happen, so that it may be tried again.
    ///
    /// # Errors
    /// When the record cannot be removed.
    pub fn undone(self) -> io::Result<()> {
        fs::remove_file(&self.path)?;
        sync_folder(&self.path)
    }
}

/// Reads what a record says about an effect with that content.
fn found(path: &Path, content: &str) -> io::Result<Option<Begun>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // A record that was cut by a loss of power: the effect began, and that is all that is known.
    let Ok(old) = serde_json::from_slice::<Record>(&bytes) else {
        return Ok(Some(Begun::Unknown("unknown".to_owned())));
    };
    Ok(Some(match old.done {
        _ if old.content != content => Begun::Other(old.task),
        Some(output) => Begun::Done(output),
        None => Begun::Unknown(old.task),
    }))
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Writes a record beside its place and moves it there.
fn write(path: &Path, record: &Record) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside)?;
    file.write_all(&serde_json::to_vec(record)?)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    sync_folder(path)
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}

#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Removes records that are older than the newest by more than [`KEPT`].
fn prune(folder: &Path, newest: &Path) {
    let time = |path: &Path| fs::metadata(path).and_then(|about| about.modified()).ok();
    let Some(now) = time(newest) else { return };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().take(PRUNE_MAX);
    for path in entries.map(|entry| entry.path()) {
        let old = time(&path).and_then(|then| now.duration_since(then).ok()).is_some_and(|age| age > KEPT);
        if old && let Err(error) = fs::remove_file(&path) {
            tracing::warn!(%error, path = %path.display(), "an old record of an effect cannot be removed");
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KEY: [&str; 2] = ["mailer", "invoice 7"];

    fn log() -> (tempfile::TempDir, EffectLog) {
        let folder = tempfile::tempdir().unwrap();
        let log = EffectLog::in_folder(folder.path().join("effects"));
        (folder, log)
    }

    #[test]
    fn an_effect_happens_once_whatever_the_attempts() {
        let (_folder, log) = log();
        let Begun::Fresh(ticket) = log.begin(&KEY, "task_1", b"a", false).unwrap() else { panic!() };
        assert!(matches!(log.begin(&KEY, "task_2", b"a", true).unwrap(), Begun::Running));
        ticket.done(&json!({ "sent": true })).unwrap();
        let Begun::Done(output) = log.begin(&KEY, "task_2", b"a", true).unwrap() else { panic!() };
        assert_eq!(output, json!({ "sent": true }));
        assert!(matches!(log.begin(&KEY, "task_3", b"b", false).unwrap(), Begun::Other(task) if task == "task_1"));
    }

    #[test]
    fn an_attempt_that_vanished_leaves_the_outcome_unknown_until_it_is_repeated_on_request() {
        let (_folder, log) = log();
        drop(log.begin(&KEY, "task_1", b"a", false).unwrap());
        assert!(matches!(log.begin(&KEY, "task_1", b"a", false).unwrap(), Begun::Unknown(task) if task == "task_1"));
        let Begun::Fresh(ticket) = log.begin(&KEY, "task_1", b"a", true).unwrap() else { panic!() };
        ticket.undone().unwrap();
        assert!(matches!(log.begin(&KEY, "task_1", b"c", false).unwrap(), Begun::Fresh(_)));
    }

    #[test]
    fn a_damaged_record_counts_as_unknown() {
        let (folder, log) = log();
        drop(log.begin(&KEY, "task_1", b"a", false).unwrap());
        let entry = fs::read_dir(folder.path().join("effects")).unwrap().next().unwrap().unwrap();
        fs::write(entry.path(), b"{\"task\":").unwrap();
        assert!(matches!(log.begin(&KEY, "task_1", b"a", false).unwrap(), Begun::Unknown(_)));
    }
}
