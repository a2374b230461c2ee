//! One writer per folder.

use std::{
    fs::{File, TryLockError},
    io::{Read, Seek, Write},
    path::Path,
};

use crate::StoreError;

/// The right to write to a folder, given back when dropped. The system gives it back when the process dies.
#[derive(Debug)]
pub(super) struct FolderLock {
    _file: File,
}

/// Takes the lock, or tells who has it.
pub(super) fn take(folder: &Path) -> Result<FolderLock, StoreError> {
    let path = folder.join("lock");
    let io = |error: std::io::Error| StoreError::Io { path: path.clone(), message: error.to_string() };
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Some systems do not let a locked file be read: then the holder stays unknown.
            let _ = (&mut file).take(40).read_to_string(&mut holder);
            let holder = holder.trim();
            let holder = if holder.is_empty() { "unknown".to_owned() } else { holder.to_owned() };
            return Err(StoreError::InUse { folder: folder.to_owned(), holder });
        }
        Err(TryLockError::Error(error)) => return Err(io(error)),
    }
    file.set_len(0).map_err(io)?;
    file.rewind().map_err(io)?;
    writeln!(file, "{}", std::process::id()).map_err(io)?;
    Ok(FolderLock { _file: file })
}

/// Who writes to the folder now, when somebody does. Only asks: a folder without a lock is left without one.
#[must_use]
pub fn lock_holder(folder: &Path) -> Option<String> {
    let mut file = File::open(folder.join("lock")).ok()?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {}
        _ => return None,
    }
    let mut holder = String::new();
    let _ = (&mut file).take(40).read_to_string(&mut holder);
    let holder = holder.trim();
    Some(if holder.is_empty() { "unknown".to_owned() } else { holder.to_owned() })
}
