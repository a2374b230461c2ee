//! A folder whose files are reached part by part from an open handle, without following links: no name leads out of it.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    ops::ControlFlow,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, linkat, mkdirat, openat, renameat, statat, unlinkat},
    io::Errno,
    path::Arg,
};

use crate::object_key::{OWN, ObjectKey};

const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::RDONLY);

/// Deepest folder that is listed.
const DEPTH_MAX: usize = 64;
/// Attempts whose leftovers are looked for.
const LEFT_MAX: usize = 50;

/// An open root.
pub(crate) struct Tree(OwnedFd);

/// The end of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrote {
    /// The object is there with the new content.
    Written,
    /// An object of the name was there, and was not to be replaced.
    Exists,
}

/// One listed object.
pub(crate) struct Listed {
    pub(crate) key: String,
    pub(crate) size: u64,
    pub(crate) modified_s: i64,
}

/// An entry that a walk met. Folders are walked into.
pub(crate) struct Met {
    /// The path below the root, with `/` between its parts, as the bytes of the file system.
    pub(crate) path: Vec<u8>,
    /// `None` for a link, a pipe and the like.
    pub(crate) file: Option<Marks>,
}

/// Marks of a file: when they differ, the file is another or has other content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) size: u64,
    pub(crate) modified_s: i64,
    modified_ns: i64,
    inode: u64,
}

impl Marks {
    #[allow(clippy::unnecessary_cast, clippy::useless_conversion, reason = "the types differ between systems")]
    fn of(about: &Stat) -> Option<Marks> {
        is(about.st_mode, FileType::RegularFile).then(|| Marks {
            size: u64::try_from(about.st_size).unwrap_or(0),
            modified_s: about.st_mtime as i64,
            modified_ns: about.st_mtime_nsec as i64,
            inode: about.st_ino as u64,
        })
    }
}

/// The end of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removed {
    Gone,
    /// It was deleted by somebody else before.
    Missing,
    /// It changed since it was looked at, so it stays.
    Changed,
}

impl Tree {
    /// Opens a root. The owner may name it through links.
    pub(crate) fn open(root: &Path) -> io::Result<Tree> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        Ok(Tree(openat(CWD, root, flags, Mode::empty())?))
    }

    /// Opens the folder of an object. `None` when it does not exist; `make` creates it.
    fn folder<P: Arg + Copy>(&self, parts: &[P], make: bool) -> io::Result<Option<OwnedFd>> {
        let mut at = self.0.try_clone()?;
        for part in parts {
            if make {
                match mkdirat(&at, *part, Mode::from_raw_mode(0o750)) {
                    Ok(()) => rustix::fs::fsync(&at)?,
                    Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            at = match openat(&at, *part, FOLDER, Mode::empty()) {
                Ok(next) => next,
                Err(Errno::NOENT) => return Ok(None),
                Err(Errno::LOOP | Errno::MLINK | Errno::NOTDIR) => return Err(not_followed(&part.to_string_lossy())),
                Err(error) => return Err(error.into()),
            };
        }
        Ok(Some(at))
    }

    /// Opens an object for reading. `None` when the object is missing.
    pub(crate) fn read(&self, key: &ObjectKey) -> io::Result<Option<File>> {
        let (parts, name) = key.split();
        let Some(folder) = self.folder(&parts, false)? else { return Ok(None) };
        // Opening a pipe must not wait for its other end.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match openat(&folder, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::MLINK) => return Err(not_followed(name)),
            Err(error) => return Err(error.into()),
        };
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{}` is not a file", key.as_str())));
        }
        Ok(Some(file))
    }

    /// Writes an object: beside its place, then moved there, so that a reader and a crash find the old or the new
    /// content. The second value is the task and its attempt: what earlier attempts left is removed.
    pub(crate) fn write(
        &self,
        key: &ObjectKey,
        (task, attempt): (&str, u32),
        content: &mut dyn io::Read,
        replace: bool,
    ) -> io::Result<Wrote> {
        let (parts, name) = key.split();
        let Some(folder) = self.folder(&parts, true)? else { return Err(io::ErrorKind::NotFound.into()) };
        if statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|about| is(about.st_mode, FileType::Directory)) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{}` is a folder", key.as_str())));
        }
        for left in (1..=attempt).rev().take(LEFT_MAX) {
            match unlinkat(&folder, format!("{OWN}{task}-{left}"), AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let beside = format!("{OWN}{task}-{attempt}");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&folder, beside.as_str(), flags, Mode::from_raw_mode(0o640))?);
        let filled = fill(&mut file, content);
        let placed = filled.and_then(|()| place(&folder, &beside, name, replace));
        if !matches!(placed, Ok(Wrote::Written)) {
            // Nothing half done is left; the first error is the one that counts.
            let _ = unlinkat(&folder, beside.as_str(), AtFlags::empty());
        }
        rustix::fs::fsync(&folder)?;
        placed
    }

    /// Deletes an object, and the folders that are empty then. Returns false when the object was missing.
    pub(crate) fn delete(&self, key: &ObjectKey) -> io::Result<bool> {
        let (parts, name) = key.split();
        let Some(folder) = self.folder(&parts, false)? else { return Ok(false) };
        match unlinkat(&folder, name, AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(false),
            Err(Errno::ISDIR | Errno::PERM) => {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{}` is a folder", key.as_str())));
            }
            Err(error) => return Err(error.into()),
        }
        rustix::fs::fsync(&folder)?;
        self.prune(&parts)?;
        Ok(true)
    }

    /// Removes a folder if it is empty, then those above it.
    fn prune<P: Arg + Copy>(&self, parts: &[P]) -> io::Result<()> {
        for depth in (1..=parts.len()).rev() {
            let (above, last) = parts.split_at(depth - 1);
            let Some(above) = self.folder(above, false)? else { break };
            // A folder that another task just filled stays.
            if last.first().is_none_or(|name| unlinkat(&above, *name, AtFlags::REMOVEDIR).is_err()) {
                break;
            }
        }
        Ok(())
    }

    /// Deletes a file that a walk met, unless it changed since, and the folders that are empty then.
    pub(crate) fn remove(&self, path: &[u8], met: Marks) -> io::Result<Removed> {
        let mut parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        let Some(name) = parts.pop() else { return Ok(Removed::Missing) };
        let Some(folder) = self.folder(&parts, false)? else { return Ok(Removed::Missing) };
        match statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(about) if Marks::of(&about) == Some(met) => {}
            Ok(_) => return Ok(Removed::Changed),
            Err(Errno::NOENT) => return Ok(Removed::Missing),
            Err(error) => return Err(error.into()),
        }
        match unlinkat(&folder, name, AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(Removed::Missing),
            Err(error) => return Err(error.into()),
        }
        self.prune(&parts)?;
        Ok(Removed::Gone)
    }

    /// Lists objects whose names begin with a prefix, in no order, at most `most` and whether there are more.
    pub(crate) fn list(&self, prefix: &str, most: usize) -> io::Result<(Vec<Listed>, bool)> {
        let mut found = Vec::new();
        let mut more = false;
        self.walk(prefix, &mut |met| {
            let (Ok(key), Some(file)) = (String::from_utf8(met.path), met.file) else {
                return ControlFlow::Continue(());
            };
            if !key.starts_with(prefix) || key.split('/').any(|part| part.starts_with(OWN)) {
                return ControlFlow::Continue(());
            }
            if found.len() == most {
                more = true;
                return ControlFlow::Break(());
            }
            found.push(Listed { key, size: file.size, modified_s: file.modified_s });
            ControlFlow::Continue(())
        })?;
        Ok((found, more))
    }

    /// Walks through all folders that can hold names with the prefix, without following links. A folder that vanishes
    /// or cannot be read is passed over; the answer is the number of those that cannot be read.
    pub(crate) fn walk(&self, prefix: &str, visit: &mut dyn FnMut(Met) -> ControlFlow<()>) -> io::Result<u64> {
        // Paths and not handles, of which a wide tree would need too many.
        let mut folders = vec![Vec::new()];
        let mut unread = 0;
        while let Some(above) = folders.pop() {
            let parts: Vec<&[u8]> = above.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
            let folder = match self.folder(&parts, false) {
                Ok(Some(folder)) => folder,
                Ok(None) => continue,
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => continue,
                Err(error) if parts.is_empty() => return Err(error),
                Err(_) => {
                    unread += 1;
                    continue;
                }
            };
            for entry in Dir::read_from(&folder)? {
                let entry = entry?;
                let name = entry.file_name().to_bytes();
                if name == b"." || name == b".." {
                    continue;
                }
                let Ok(about) = statat(folder.as_fd(), entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) else { continue };
                let path = [above.as_slice(), name].concat();
                if !is(about.st_mode, FileType::Directory) {
                    let met = Met { path, file: Marks::of(&about) };
                    if visit(met).is_break() {
                        return Ok(unread);
                    }
                    continue;
                }
                let below = [path.as_slice(), b"/"].concat();
                let leads = below.starts_with(prefix.as_bytes()) || prefix.as_bytes().starts_with(&below);
                if leads && parts.len() < DEPTH_MAX {
                    folders.push(below);
                }
            }
        }
        Ok(unread)
    }
}

fn is(mode: rustix::fs::RawMode, kind: FileType) -> bool {
    FileType::from_raw_mode(mode) == kind
}

fn not_followed(part: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("`{part}` is a link or a file, which does not lead on"))
}

fn fill(file: &mut File, content: &mut dyn io::Read) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = content.read(&mut buffer)?;
        if read == 0 {
            return file.sync_all();
        }
        file.write_all(&buffer[..read])?;
    }
}

fn place(folder: &OwnedFd, beside: &str, name: &str, replace: bool) -> io::Result<Wrote> {
    if replace {
        renameat(folder, beside, folder, name)?;
        return Ok(Wrote::Written);
    }
    // A link is made only where nothing is.
    match linkat(folder, beside, folder, name, AtFlags::empty()) {
        Ok(()) => {
            unlinkat(folder, beside, AtFlags::empty())?;
            Ok(Wrote::Written)
        }
        Err(Errno::EXIST) => Ok(Wrote::Exists),
        Err(error) => Err(error.into()),
    }
}

/// Reads a file up to `most` bytes. `None` when it is longer.
pub(crate) fn whole(file: File, most: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= most).then_some(bytes))
}
