//! Restores: a backup becomes a data folder, whole or not at all.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use kapelle_engine::Recovered;
use kapelle_store::private;
use kapelle_workers::inside::folder_of;

use crate::{
    backup::BLOBS,
    backup_manifest::{Manifest, copy, fault, sync_folder},
    error::Error,
    host_ids,
    open::{Parts, open},
    secrets,
};

/// 2026-01-01, in milliseconds: the moment at which the ids of restored folders would begin.
const BEGINNING_MS: i64 = 1_767_225_600_000;
/// Ids for each second since then. Folders that are restored from one backup one after the other have no id in common,
/// unless more were drawn than that.
const IDS_A_SECOND: i64 = 10_000;

/// Suffix of the folder in which a restore is prepared.
const PART: &str = ".restoring";

/// The result of a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Restored {
    /// Time of the backup.
    pub made_at: String,
    pub files: usize,
    pub bytes: u64,
    /// Tasks that have not ended.
    pub open_tasks: u64,
    /// Runs that have not ended.
    pub open_runs: u64,
    /// Attempts that were in progress. They are void, and their tasks begin again.
    pub voided: u64,
    /// Whether the backup held the token. Otherwise the next server makes a new one.
    pub token: bool,
}

/// Restores a backup as the folder of `parts`, which must be absent or empty. Every file is compared with its hash. The
/// attempts that were in progress are voided, also those of worker hosts: their reports count no more. Ids go on far
/// beyond those of the backup, because the ids made since it are unknown. Must be called within a tokio runtime.
///
/// # Errors
/// When the backup is incomplete or damaged, or the folder holds files.
pub async fn restore(backup: &Path, mut parts: Parts) -> Result<Restored, Error> {
    let manifest = Manifest::read(backup)?;
    let target = std::mem::take(&mut parts.folder);
    is_free(&target)?;
    let part = part_of(&target)?;
    parts.folder.clone_from(&part);
    let (open_tasks, recovered) = match fill(backup, &manifest, parts).await {
        Ok(found) => found,
        Err(error) => {
            let _ = fs::remove_dir_all(&part);
            return Err(error);
        }
    };
    // An empty folder is replaced by the rename.
    fs::rename(&part, &target).map_err(|error| fault(&target, &error))?;
    sync_folder(folder_of(&target))?;
    Ok(Restored {
        token: manifest.has(secrets::TOKEN_FILE),
        files: manifest.files.len(),
        bytes: manifest.bytes(),
        made_at: manifest.made_at,
        open_tasks,
        open_runs: recovered.runs,
        voided: recovered.voided,
    })
}

/// Copies the files to the folder of `parts`, and opens it once. Returns the number of open tasks, and what the start
/// found.
async fn fill(backup: &Path, manifest: &Manifest, mut parts: Parts) -> Result<(u64, Recovered), Error> {
    copy_all(backup, &parts.folder, manifest)?;
    let seconds = (parts.clock.now().0 - BEGINNING_MS).max(0) / 1_000;
    host_ids::skip(&parts.folder, u32::try_from(seconds).unwrap_or(u32::MAX / 2))
        .map_err(|error| fault(&parts.folder, &error))?;
    (parts.idle, parts.session, parts.restored) = (true, false, Some(seconds.saturating_mul(IDS_A_SECOND)));
    let app = open(parts).await?;
    let work = app.open_work();
    let recovered = app.engine().recovered();
    app.drain().await;
    let (work, _) = work.map_err(|error| Error::Backup(error.to_string()))?;
    Ok((work.iter().map(|lane| lane.tasks).sum(), recovered))
}

fn is_free(target: &Path) -> Result<(), Error> {
    let found = match fs::read_dir(target) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(fault(target, &error)),
    };
    if found {
        let what = "the folder holds files; a restore needs an absent or empty one";
        return Err(Error::Backup(format!(
            "{}: {what}; move it away, or name another folder with --data",
            target.display()
        )));
    }
    Ok(())
}

/// Makes the folder beside the target in which everything is prepared.
fn part_of(target: &Path) -> Result<PathBuf, Error> {
    let mut name = target.file_name().map_or_else(|| OsString::from("kapelle"), OsString::from);
    name.push(PART);
    let part = folder_of(target).join(name);
    if part.exists() {
        let what = "an earlier restore was interrupted and left this folder; remove it, then restore again";
        return Err(Error::Backup(format!("{}: {what}", part.display())));
    }
    private::make_dir(&part.join(BLOBS)).map_err(|error| fault(&part, &error))?;
    Ok(part)
}

fn copy_all(backup: &Path, part: &Path, manifest: &Manifest) -> Result<(), Error> {
    for listed in &manifest.files {
        let source = backup.join(&listed.path);
        let (bytes, sha256) = copy(&source, &part.join(&listed.path))?;
        if (bytes, &sha256) != (listed.bytes, &listed.sha256) {
            let what = "the file differs from the list of the backup; use another backup";
            return Err(Error::Backup(format!("{}: {what}", source.display())));
        }
    }
    Ok(())
}
