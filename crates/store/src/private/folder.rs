//! The data folder: made, inspected and closed to others.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::error::StoreError;

/// State of a folder, as `kapelle doctor` reports it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// Permission bits of the folder. `None` where the system has no such bits.
    pub mode: Option<u32>,
    /// Files and folders in it that others may read or write.
    pub open: Vec<PathBuf>,
    /// Further notes, each with the next step.
    pub notes: Vec<String>,
}

impl Look {
    /// Tells whether only the owner can enter the folder.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.mode.is_none_or(|mode| mode & 0o077 == 0)
    }
}

/// Makes the folder if it does not exist, and closes it and its files to everybody but their owner. Returns notes on
/// what could not be closed.
///
/// # Errors
/// [`StoreError::Exposed`] when others could replace its contents, [`StoreError::Io`] when it cannot be made.
pub fn prepare(folder: &Path) -> Result<Vec<String>, StoreError> {
    make(folder)?;
    #[cfg(unix)]
    return unix::Visit::of(folder, true).map(|visit| visit.look.notes);
    #[cfg(not(unix))]
    Ok(Vec::new())
}

/// Inspects a folder without changing it.
///
/// # Errors
/// [`StoreError::Exposed`] and [`StoreError::Io`], as of [`prepare`].
pub fn look(folder: &Path) -> Result<Look, StoreError> {
    #[cfg(unix)]
    return unix::Visit::of(folder, false).map(|visit| visit.look);
    #[cfg(not(unix))]
    {
        let _ = folder;
        Ok(Look::default())
    }
}

fn fault(path: &Path) -> impl Fn(io::Error) -> StoreError {
    let path = path.to_owned();
    move |error| StoreError::Io { path: path.clone(), message: error.to_string() }
}

/// Makes a folder and its parents that only their owner can enter; an existing one is not changed.
///
/// # Errors
/// Errors of the system.
pub fn make_dir(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn make(folder: &Path) -> Result<(), StoreError> {
    if folder.is_dir() {
        return Ok(());
    }
    let fresh: Vec<&Path> = folder.ancestors().take_while(|path| !path.exists()).collect();
    make_dir(folder).map_err(|error| {
        let message = match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                format!("the folder cannot be made ({error}): name another one with --data, or make it for this user")
            }
            _ => error.to_string(),
        };
        StoreError::Io { path: folder.to_owned(), message }
    })?;
    #[cfg(unix)]
    for made in fresh {
        // A folder whose name is not synced can be lost with everything in it.
        let parent = made.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(fault(folder))?;
    }
    #[cfg(not(unix))]
    drop(fresh);
    Ok(())
}

#[cfg(unix)]
mod unix {
    use std::{
        fs::{self, Metadata},
        os::unix::fs::{MetadataExt, PermissionsExt},
        path::{Path, PathBuf},
    };

    use super::{Look, fault};
    use crate::error::StoreError;

    /// Depth to which folders below the data folder are inspected.
    const DEPTH: usize = 8;
    /// Names of Kapelle's files, up to the first dot.
    const OWN: [&str; 12] = [
        "lock",
        "token",
        "address",
        "session",
        "blobs",
        "logs",
        "host-files",
        "host-numbers",
        "calls",
        "audit",
        "history",
        "webhooks",
    ];
    /// Names of files that any folder may hold.
    const PLAIN: [&str; 5] = ["lost+found", ".gitkeep", ".gitignore", ".keep", ".DS_Store"];
    /// Limit of paths named in a note.
    const NAMED: usize = 3;

    /// One inspection of a folder.
    pub(super) struct Visit {
        pub(super) look: Look,
        closes: bool,
        me: u32,
        owner: u32,
        /// Whether another user could put files into the folder until now.
        was_writable: bool,
        kept_open: Vec<PathBuf>,
    }

    impl Visit {
        pub(super) fn of(folder: &Path, closes: bool) -> Result<Visit, StoreError> {
            let about = fs::metadata(folder).map_err(fault(folder))?;
            let me = rustix::process::geteuid().as_raw();
            let mode = about.mode() & 0o7777;
            let look = Look { mode: Some(mode & 0o777), ..Look::default() };
            let was_writable = mode & 0o022 != 0;
            let mut visit = Visit { look, closes, me, owner: about.uid(), was_writable, kept_open: Vec::new() };
            visit.link(folder)?;
            visit.top(folder, mode)?;
            visit.below(folder, 0)?;
            if !visit.kept_open.is_empty() {
                let count = visit.kept_open.len();
                let named: Vec<String> =
                    visit.kept_open.iter().take(NAMED).map(|path| path.display().to_string()).collect();
                visit.look.notes.push(format!(
                    "{count} files of the data folder stay readable by others, as this user may not change them: {}; \
                     `chmod -R go-rwx {}` as their owner closes them",
                    named.join(", "),
                    folder.display()
                ));
            }
            Ok(visit)
        }

        /// Checks a link in place of the folder: it is followed if only the owner can point it elsewhere.
        fn link(&self, folder: &Path) -> Result<(), StoreError> {
            let about = fs::symlink_metadata(folder).map_err(fault(folder))?;
            if about.file_type().is_symlink() && !self.trusts(about.uid()) {
                let message = format!("is a link of another user (uid {}): name the folder itself", about.uid());
                return Err(exposed(folder, message));
            }
            Ok(())
        }

        fn trusts(&self, uid: u32) -> bool {
            uid == self.me || uid == 0 || uid == self.owner
        }

        fn top(&mut self, folder: &Path, mode: u32) -> Result<(), StoreError> {
            let shown = folder.display();
            if mode & 0o1002 == 0o1002 {
                let message = "everybody may make files in it; name a folder of its own with --data".to_owned();
                return Err(exposed(folder, message));
            }
            let mine = self.owner == self.me || self.me == 0;
            if !mine && mode & 0o002 != 0 {
                let message = format!(
                    "it belongs to uid {} and everybody may write to it; `chown` it to this user and `chmod 700` it, \
                     or name another folder with --data",
                    self.owner
                );
                return Err(exposed(folder, message));
            }
            if self.owner != self.me && self.owner != 0 {
                let owner = self.owner;
                self.look.notes.push(format!("{shown} belongs to uid {owner}, who may read and replace what is in it"));
            }
            if mode & 0o077 == 0 {
                return Ok(());
            }
            if !mine {
                self.look.notes.push(format!(
                    "{shown} can be entered by others (mode {mode:04o}) and belongs to uid {}: its files are closed to \
                     them; `chmod 700 {shown}` as its owner closes the folder",
                    self.owner
                ));
                return Ok(());
            }
            if let Some(stranger) = strange(folder)? {
                let message = format!(
                    "it holds other files such as {stranger}, so its mode {mode:04o} is left as it is; move the data \
                     to a folder of its own with --data"
                );
                if mode & 0o002 != 0 {
                    return Err(exposed(folder, format!("everybody may write to it. {message}")));
                }
                self.look.notes.push(format!("{shown}: others may enter it. {message}"));
                return Ok(());
            }
            if self.closes && !close(folder, 0o700) {
                self.look.notes.push(format!(
                    "{shown} can be entered by others (mode {mode:04o}) and the system does not let that be changed; \
                     put the data on a file system with permissions"
                ));
            }
            Ok(())
        }

        fn below(&mut self, folder: &Path, depth: usize) -> Result<(), StoreError> {
            for entry in fs::read_dir(folder).map_err(fault(folder))?.flatten() {
                let path = entry.path();
                // A file that another process has just removed needs no closing.
                let Ok(about) = fs::symlink_metadata(&path) else { continue };
                let kind = about.file_type();
                if depth == 0 && !is_own(&entry.file_name().to_string_lossy()) {
                    continue;
                }
                if depth == 0 {
                    self.planted(&path, &about)?;
                }
                if kind.is_symlink() {
                    // A link to another disk for files or logs: the folder behind it is closed, too.
                    if depth == 0 && path.is_dir() {
                        self.entry(&path, &fs::metadata(&path).map_err(fault(&path))?);
                        self.below(&path, depth + 1)?;
                    }
                    continue;
                }
                if kind.is_dir() && depth < DEPTH {
                    self.entry(&path, &about);
                    self.below(&path, depth + 1)?;
                } else if kind.is_file() {
                    self.entry(&path, &about);
                }
            }
            Ok(())
        }

        /// Refuses a file that another user may have planted in place of ours.
        fn planted(&self, path: &Path, about: &Metadata) -> Result<(), StoreError> {
            let kind = about.file_type();
            if kind.is_symlink() && !(path.is_dir() && self.trusts(about.uid())) {
                return Err(exposed(
                    path,
                    "is a link, which is not followed here: replace it by the file itself".to_owned(),
                ));
            }
            if !(kind.is_symlink() || kind.is_file() || kind.is_dir()) {
                return Err(exposed(path, "is neither a file nor a folder: remove it".to_owned()));
            }
            if !self.trusts(about.uid()) {
                let message = format!("belongs to another user (uid {}): remove it, or `chown` it", about.uid());
                return Err(exposed(path, message));
            }
            if self.was_writable && kind.is_file() && about.nlink() > 1 {
                let message = "has a second name (a hard link), and others could write to the folder: copy it, and put \
                               the copy in its place";
                return Err(exposed(path, message.to_owned()));
            }
            Ok(())
        }

        fn entry(&mut self, path: &Path, about: &Metadata) {
            if about.mode() & 0o077 == 0 {
                return;
            }
            self.look.open.push(path.to_owned());
            let could_enter = self.look.mode.is_some_and(|mode| mode & 0o011 != 0);
            if could_enter && about.mode() & 0o044 != 0 && path.file_name().is_some_and(|name| name == "token") {
                self.look.notes.push(format!(
                    "the token in {} could be read by others: to replace it, remove the file and restart the server",
                    path.display()
                ));
            }
            if self.closes && !close(path, if about.is_dir() { 0o700 } else { 0o600 }) {
                self.kept_open.push(path.to_owned());
            }
        }
    }

    fn exposed(path: &Path, message: String) -> StoreError {
        StoreError::Exposed { path: path.to_owned(), message }
    }

    /// Sets the mode. Returns false when it had no effect.
    fn close(path: &Path, mode: u32) -> bool {
        let set = fs::set_permissions(path, fs::Permissions::from_mode(mode));
        set.is_ok() && fs::metadata(path).is_ok_and(|about| about.mode() & 0o077 == 0)
    }

    fn is_own(name: &str) -> bool {
        let stem = name.split('.').next().unwrap_or(name);
        name.starts_with("kapelle.db") || OWN.contains(&stem)
    }

    /// Returns the name of a foreign file in the folder.
    fn strange(folder: &Path) -> Result<Option<String>, StoreError> {
        let entries = fs::read_dir(folder).map_err(fault(folder))?.flatten();
        let mut names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        Ok(names.find(|name| !(is_own(name) || PLAIN.contains(&name.as_str()))))
    }
}
