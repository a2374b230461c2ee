//! The list of files of a backup. It is written last: a folder without it is no backup.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    path::{Component, Path},
};

use kapelle_store::{SCHEMA, private};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{error::Error, secrets::hex};

/// The name of the list in the folder of the backup.
pub const MANIFEST: &str = "manifest.json";
/// Version of the format. Another version is refused.
const FORMAT: u32 = 1;
/// The longest list that is read, in bytes: more than a million files.
const LONGEST: u64 = 256 << 20;
/// Bytes that are copied at a time.
const CHUNK: usize = 256 << 10;

/// The list of files of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format.
    pub format: u32,
    /// Version of the program that made the backup.
    pub kapelle: String,
    /// Schema of the database.
    pub schema: i64,
    /// Time of the copy of the database.
    pub made_at: String,
    /// Every file of the backup but this one.
    pub files: Vec<Listed>,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its path in the folder, with `/` between the parts.
    pub path: String,
    /// Length of the file, in bytes.
    pub bytes: u64,
    /// The hash of its bytes, in hex digits.
    pub sha256: String,
}

impl Manifest {
    pub(crate) fn new(made_at: String) -> Manifest {
        let kapelle = env!("CARGO_PKG_VERSION").to_owned();
        Manifest { format: FORMAT, kapelle, schema: SCHEMA, made_at, files: Vec::new() }
    }

    /// Reads the list of a backup.
    ///
    /// # Errors
    /// When the folder is no complete backup, or a newer program made it.
    pub fn read(folder: &Path) -> Result<Manifest, Error> {
        let path = folder.join(MANIFEST);
        let text = private::read_small(&path, LONGEST).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::Backup(format!(
                "{}: this is no complete backup, because {MANIFEST} is missing; expected a folder that `kapelle \
                 backup` finished",
                folder.display()
            )),
            _ => fault(&path, &error),
        })?;
        let manifest: Manifest = serde_json::from_str(&text)
            .map_err(|error| Error::Backup(format!("{}: the list of files is damaged: {error}", path.display())))?;
        if manifest.format != FORMAT || manifest.schema > SCHEMA {
            return Err(Error::Backup(format!(
                "{}: the backup was made by version {} (format {}, schema {}); this program knows format {FORMAT} and \
                 schema {SCHEMA}; install that version or a newer one",
                path.display(),
                manifest.kapelle,
                manifest.format,
                manifest.schema
            )));
        }
        if let Some(listed) = manifest.files.iter().find(|listed| !is_inside(&listed.path)) {
            return Err(Error::Backup(format!("{}: `{}` is no file of a backup", path.display(), listed.path)));
        }
        Ok(manifest)
    }

    /// Writes the list. The backup is complete from then on.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), Error> {
        let path = folder.join(MANIFEST);
        let text = serde_json::to_string_pretty(self).map_err(|error| Error::Backup(error.to_string()))?;
        private::at_own_place(&path, format!("{text}\n").as_bytes()).map_err(|error| fault(&path, &error))?;
        sync_folder(folder)
    }

    /// Says whether the backup holds the token of the folder.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.files.iter().any(|listed| listed.path == path)
    }

    /// Returns the total length of the files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|listed| listed.bytes).sum()
    }
}

/// Says whether a path stays in the folder that it is joined to.
fn is_inside(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

/// Copies a file to a place where none is, and syncs it. Returns its length and hash.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(u64, String), Error> {
    let mut source = private::options().read(true).open(from).map_err(|error| fault(from, &error))?;
    let mut target = private::options().write(true).create_new(true).open(to).map_err(|error| fault(to, &error))?;
    let (mut hash, mut bytes, mut chunk) = (Sha256::new(), 0, vec![0; CHUNK]);
    loop {
        let read = match source.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(fault(from, &error)),
        };
        hash.update(&chunk[..read]);
        bytes += read as u64;
        target.write_all(&chunk[..read]).map_err(|error| fault(to, &error))?;
    }
    target.sync_all().map_err(|error| fault(to, &error))?;
    Ok((bytes, hex(&hash.finalize())))
}

/// Returns the length and hash of a file.
pub(crate) fn hash(path: &Path) -> Result<(u64, String), Error> {
    let mut source = private::options().read(true).open(path).map_err(|error| fault(path, &error))?;
    let mut hash = Sha256::new();
    let bytes = io::copy(&mut source, &mut Hashing(&mut hash)).map_err(|error| fault(path, &error))?;
    Ok((bytes, hex(&hash.finalize())))
}

struct Hashing<'a>(&'a mut Sha256);

impl io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes the names of a folder as durable as its files.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), Error> {
    if cfg!(unix) {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| fault(folder, &error))?;
    }
    Ok(())
}

/// Returns the error of a file that cannot be read or written.
pub(crate) fn fault(path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::Store(kapelle_store::StoreError::Full(path.parent().unwrap_or(path).to_owned()))
        }
        _ => Error::Backup(format!("{}: {error}", path.display())),
    }
}
