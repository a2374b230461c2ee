//! Backups of a folder, made while a server may work on it.
//!
//! The database is copied as of one moment. The files that its rows refer to are written before these rows and never
//! changed, so the files that are there after the copy are complete for it. The history for charts is copied beside it.
//! Logs, caches and the session log are left out: a restored folder begins new ones.

use std::{
    fs,
    path::{Path, PathBuf},
};

use kapelle_core::Timestamp;
use kapelle_store::{SqliteReader, StoreError, history::History, private};

use crate::{
    backup_manifest::{Listed, Manifest, copy, fault, hash, sync_folder},
    error::Error,
    host_ids, secrets,
    subscriptions::WEBHOOKS_KEY_FILE,
    to_api, trail,
};

/// The database in a folder, and in its backup.
pub(crate) const DATABASE: &str = "kapelle.db";
/// The folder of files, in a folder and in its backup.
pub(crate) const BLOBS: &str = "blobs";

/// Makes a backup of a data folder in a folder that is new or empty. The token is copied only when `with_token` is set.
/// The list of files is written last, so an interrupted backup is not accepted by a restore.
///
/// # Errors
/// When the target holds files already, a file cannot be copied, or a stored file differs from its hash.
pub fn back_up(data: &Path, target: &Path, with_token: bool, now: Timestamp) -> Result<Manifest, Error> {
    let reader = SqliteReader::open_read_only(data)?;
    prepare(data, target)?;
    let mut manifest = Manifest::new(to_api::time(now));
    let database = target.join(DATABASE);
    reader.copy_to(&database)?;
    let (bytes, sha256) = hash(&database)?;
    manifest.files.push(Listed { path: DATABASE.to_owned(), bytes, sha256 });
    copy_history(data, target, &mut manifest)?;
    copy_blobs(data, target, &mut manifest)?;
    let mut small = vec![host_ids::FILE, trail::KEY_FILE, WEBHOOKS_KEY_FILE];
    small.extend(with_token.then_some(secrets::TOKEN_FILE));
    for name in small.into_iter().filter(|name| data.join(name).is_file()) {
        let (bytes, sha256) = copy(&data.join(name), &target.join(name))?;
        manifest.files.push(Listed { path: name.to_owned(), bytes, sha256 });
    }
    sync_folder(&target.join(BLOBS))?;
    manifest.write(target)?;
    Ok(manifest)
}

/// Copies the history for charts. One that cannot be read is left out: a server would replace it by an empty one, too.
fn copy_history(data: &Path, target: &Path, manifest: &mut Manifest) -> Result<(), Error> {
    let copy = target.join(History::FILE);
    match History::copy(data, &copy) {
        Ok(false) => Ok(()),
        Ok(true) => {
            let (bytes, sha256) = hash(&copy)?;
            manifest.files.push(Listed { path: History::FILE.to_owned(), bytes, sha256 });
            Ok(())
        }
        Err(full @ StoreError::Full(_)) => Err(full.into()),
        Err(error) => {
            tracing::warn!(%error, "the history for charts is not in the backup, because it cannot be read");
            fs::remove_file(&copy).map_err(|error| fault(&copy, &error))
        }
    }
}

/// Makes the target, and refuses one that holds files or lies in the data folder.
fn prepare(data: &Path, target: &Path) -> Result<(), Error> {
    private::make_dir(&target.join(BLOBS)).map_err(|error| fault(target, &error))?;
    let real = |path: &Path| path.canonicalize().map_err(|error| fault(path, &error));
    let refuse = |what: &str| Err(Error::Backup(format!("{}: {what}; name a new or empty folder", target.display())));
    if real(target)?.starts_with(real(data)?) {
        let _ = fs::remove_dir(target.join(BLOBS));
        return refuse("the folder lies in the data folder itself");
    }
    let entries = fs::read_dir(target).map_err(|error| fault(target, &error))?.flatten();
    let inner = fs::read_dir(target.join(BLOBS)).map_err(|error| fault(target, &error))?.flatten();
    match entries.filter(|entry| entry.file_name() != BLOBS).chain(inner).next() {
        None => Ok(()),
        Some(entry) => refuse(&format!("the folder holds files already, such as {}", entry.path().display())),
    }
}

fn copy_blobs(data: &Path, target: &Path, manifest: &mut Manifest) -> Result<(), Error> {
    let folder = data.join(BLOBS);
    let mut names: Vec<String> = match fs::read_dir(&folder) {
        Ok(entries) => entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(fault(&folder, &error)),
    };
    // Files of another name are still being written.
    names.retain(|name| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()));
    names.sort_unstable();
    for name in names {
        let source: PathBuf = folder.join(&name);
        let (bytes, sha256) = copy(&source, &target.join(BLOBS).join(&name))?;
        if sha256 != name {
            let what = "its bytes differ from the hash that is its name; restore it from an earlier backup";
            return Err(Error::Backup(format!("{}: {what}", source.display())));
        }
        manifest.files.push(Listed { path: format!("{BLOBS}/{name}"), bytes, sha256 });
    }
    Ok(())
}
