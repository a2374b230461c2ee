//! A folder whose files are reached part by part from an open handle, without following links: no name leads out of it.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, linkat, mkdirat, openat, renameat, statat, unlinkat},
    io::Errno,
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

impl Tree {
    /// Opens a root. The owner may name it through links.
    pub(crate) fn open(root: &Path) -> io::Result<Tree> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        Ok(Tree(openat(CWD, root, flags, Mode::empty())?))
    }

    /// Opens the folder of an object. `None` when it does not exist; `make` creates it.
    fn folder(&self, parts: &[&str], make: bool) -> io::Result<Option<OwnedFd>> {
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
                Err(Errno::LOOP | Errno::MLINK | Errno::NOTDIR) => return Err(not_followed(part)),
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
        for depth in (1..=parts.len()).rev() {
            let (above, last) = parts.split_at(depth - 1);
            let Some(above) = self.folder(above, false)? else { break };
            // A folder that another task just filled stays.
            if last.first().is_none_or(|name| unlinkat(&above, *name, AtFlags::REMOVEDIR).is_err()) {
                break;
            }
        }
        Ok(true)
    }

    /// Lists objects whose names begin with a prefix, in no order, at most `most` and whether there are more.
    pub(crate) fn list(&self, prefix: &str, most: usize) -> io::Result<(Vec<Listed>, bool)> {
        let mut found = Vec::new();
        let mut folders = vec![(self.0.try_clone()?, String::new())];
        while let Some((folder, above)) = folders.pop() {
            for entry in Dir::read_from(&folder)? {
                let entry = entry?;
                let Ok(name) = entry.file_name().to_str() else { continue };
                if name == "." || name == ".." || name.starts_with(OWN) {
                    continue;
                }
                let key = format!("{above}{name}");
                let Ok(about) = statat(folder.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
                let below = format!("{key}/");
                let leads = below.starts_with(prefix) || prefix.starts_with(&below);
                if is(about.st_mode, FileType::Directory) && leads && below.matches('/').count() <= DEPTH_MAX {
                    if let Ok(next) = openat(&folder, name, FOLDER, Mode::empty()) {
                        folders.push((next, below));
                    }
                } else if is(about.st_mode, FileType::RegularFile) && key.starts_with(prefix) {
                    if found.len() == most {
                        return Ok((found, true));
                    }
                    let size = u64::try_from(about.st_size).unwrap_or(0);
                    found.push(Listed { key, size, modified_s: about.st_mtime });
                }
            }
        }
        Ok((found, false))
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
