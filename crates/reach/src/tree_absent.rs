//! The absent folder of systems other than Unix: every call says so.

use std::{
    fs::File,
    io::{self, Read as _},
    ops::ControlFlow,
    path::Path,
};

use crate::object_key::ObjectKey;

/// A root that cannot be opened.
pub(crate) struct Tree(std::convert::Infallible);

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

/// An entry that a walk met.
pub(crate) struct Met {
    pub(crate) path: Vec<u8>,
    pub(crate) file: Option<Marks>,
}

/// Marks of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) size: u64,
    pub(crate) modified_s: i64,
}

/// The end of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removed {
    Gone,
    Missing,
    Changed,
}

impl Tree {
    pub(crate) fn open(_root: &Path) -> io::Result<Tree> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "folders as storage need Linux or macOS"))
    }

    pub(crate) fn read(&self, _key: &ObjectKey) -> io::Result<Option<File>> {
        match self.0 {}
    }

    pub(crate) fn write(&self, _: &ObjectKey, _: (&str, u32), _: &mut dyn io::Read, _: bool) -> io::Result<Wrote> {
        match self.0 {}
    }

    pub(crate) fn delete(&self, _key: &ObjectKey) -> io::Result<bool> {
        match self.0 {}
    }

    pub(crate) fn remove(&self, _path: &[u8], _met: Marks) -> io::Result<Removed> {
        match self.0 {}
    }

    pub(crate) fn walk(&self, _prefix: &str, _visit: &mut dyn FnMut(Met) -> ControlFlow<()>) -> io::Result<u64> {
        match self.0 {}
    }

    pub(crate) fn list(&self, _prefix: &str, _most: usize) -> io::Result<(Vec<Listed>, bool)> {
        match self.0 {}
    }
}

/// Reads a file up to `most` bytes. `None` when it is longer.
pub(crate) fn whole(file: File, most: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= most).then_some(bytes))
}
