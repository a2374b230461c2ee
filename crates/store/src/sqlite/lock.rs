//! One writer per folder.

use std::{
    fs::{File, TryLockError},
    io::{Read, Seek, Write},
    path::Path,
};

use crate::{StoreError, private};

/// The right to write to a folder, released when dropped. The system releases it when the process dies.
#[derive(Debug)]
pub(super) struct FolderLock {
    _file: File,
}

/// The process that writes to a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The number that the last writer of this folder wrote into the lock: its own, in its namespace.
    pub written: String,
    /// The process that holds the lock now, if the system reports it.
    pub process: Option<u32>,
    /// The user of that process, when it is neither this one nor root.
    pub stranger: Option<u32>,
}

impl Holder {
    /// Names the process for people, with the next step. A number is named only when a process of that number holds the
    /// lock.
    #[must_use]
    pub fn in_words(&self) -> String {
        match (self.process, self.stranger) {
            (Some(process), Some(user)) => format!(
                "process {process} of another user (uid {user}), which holds its lock: end that process, then see \
                 `kapelle doctor` for the permissions of the folder"
            ),
            (Some(process), None) => format!("process {process}: stop it, or give another folder with --data"),
            (None, _) => "a process that cannot be seen from here, such as one in a container or on another machine: \
                          `fuser -v` on the file `lock` finds it where it runs; stop it, or give another folder with \
                          --data"
                .to_owned(),
        }
    }
}

/// Takes the lock, or returns its holder.
pub(super) fn take(folder: &Path) -> Result<FolderLock, StoreError> {
    let path = folder.join("lock");
    let io = |error: std::io::Error| {
        let error = private::explain_link(&path, error);
        StoreError::Io { path: path.clone(), message: error.to_string() }
    };
    let mut file = private::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StoreError::InUse { folder: folder.to_owned(), holder: holder(&mut file).in_words() });
        }
        Err(TryLockError::Error(error)) => return Err(io(error)),
    }
    file.set_len(0).map_err(io)?;
    file.rewind().map_err(io)?;
    writeln!(file, "{}", std::process::id()).map_err(io)?;
    Ok(FolderLock { _file: file })
}

/// Returns the process that writes to the folder now. Returns `None` when there is no such process. A folder without a
/// lock is left without one.
#[must_use]
pub fn lock_holder(folder: &Path) -> Option<Holder> {
    let mut file = private::options().read(true).open(folder.join("lock")).ok()?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Some(holder(&mut file)),
        _ => None,
    }
}

fn holder(file: &mut File) -> Holder {
    let mut written = String::new();
    // Some systems do not let a locked file be read: then the holder stays unknown.
    let _ = file.take(40).read_to_string(&mut written);
    let written = written.trim().to_owned();
    let process = process(file, &written);
    Holder { written, process, stranger: process.and_then(|process| stranger(process, file)) }
}

/// Returns the process that has locked the file, as the kernel lists it.
#[cfg(target_os = "linux")]
fn process(file: &File, _written: &str) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let about = file.metadata().ok()?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let listed = locked_by(&locks, about.ino());
    // The process that took the lock may be gone, while a process that inherited the open file holds it.
    let lives = |process: &u32| std::path::Path::new(&format!("/proc/{process}")).exists();
    listed.filter(lives).or_else(|| opened_by((about.dev(), about.ino())))
}

/// Finds a process other than this one that has a file open, as far as this user may see it.
#[cfg(target_os = "linux")]
fn opened_by(wanted: (u64, u64)) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers.find(|process| {
        let files = std::fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
        let is_it =
            |path: std::path::PathBuf| std::fs::metadata(path).is_ok_and(|about| (about.dev(), about.ino()) == wanted);
        *process != std::process::id() && files.map(|file| file.path()).any(is_it)
    })
}

/// Finds the process that holds the lock of an inode in the text of `/proc/locks`. The device is not compared: some
/// file systems list another one there than their files report. A process of another namespace is listed as 0.
#[cfg(any(test, target_os = "linux"))]
fn locked_by(locks: &str, inode: u64) -> Option<u32> {
    let of = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|word| *word == "FLOCK")?;
        // `->` marks a process that waits.
        let holds = !words.get(..at)?.contains(&"->");
        let place: u64 = words.get(at + 4)?.rsplit(':').next()?.parse().ok()?;
        let process: u32 = words.get(at + 3)?.parse().ok()?;
        (holds && place == inode && process > 0).then_some(process)
    };
    locks.lines().find_map(of)
}

/// Returns the process whose number stands in the file, if a process has that number.
#[cfg(not(target_os = "linux"))]
fn process(_file: &File, written: &str) -> Option<u32> {
    let number: u32 = written.parse().ok()?;
    #[cfg(unix)]
    {
        let process = rustix::process::Pid::from_raw(i32::try_from(number).ok()?)?;
        let gone = rustix::process::test_kill_process(process) == Err(rustix::io::Errno::SRCH);
        return (!gone).then_some(number);
    }
    #[cfg(not(unix))]
    Some(number)
}

/// Returns the user of a process, unless that is this one, root, or (for root) the owner of the lock.
#[cfg(target_os = "linux")]
fn stranger(process: u32, lock: &File) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    // The effective user id is the second.
    let user: u32 = ids.split_whitespace().nth(1)?.parse().ok()?;
    let me = rustix::process::geteuid().as_raw();
    let owner = lock.metadata().ok()?.uid();
    (user != 0 && user != me && !(me == 0 && user == owner)).then_some(user)
}

#[cfg(not(target_os = "linux"))]
fn stranger(_process: u32, _lock: &File) -> Option<u32> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_holds_the_lock_is_named() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 00:2e:77 0 EOF\n2: FLOCK  ADVISORY  WRITE 28 00:2e:77 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 29 00:2e:78 0 EOF\n3: FLOCK  ADVISORY  WRITE 0 00:2e:79 0 EOF\n";
        assert_eq!([77, 78, 79, 80].map(|inode| locked_by(locks, inode)), [Some(28), None, None, None]);
    }

    #[test]
    fn a_number_that_is_gone_is_not_named() {
        let gone = Holder { written: "28326".to_owned(), process: None, stranger: None };
        assert!(!gone.in_words().contains("28326"));
        let stranger = Holder { process: Some(7), stranger: Some(65534), ..gone };
        assert!(stranger.in_words().contains("process 7 of another user (uid 65534)"));
    }
}
