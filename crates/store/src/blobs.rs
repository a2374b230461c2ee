//! Files named by their hash: large payloads, and the documents that inputs refer to.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use kapelle_core::worker::FileSource;
use sha2::{Digest, Sha256};

use crate::{error::StoreError, private};

/// Counter that distinguishes the temporary files of one process.
static UNIQUE: AtomicU64 = AtomicU64::new(0);

/// The folder `blobs/`. A file in it has the SHA-256 of its bytes as its name, and is never changed.
#[derive(Debug, Clone)]
pub struct Blobs {
    folder: Arc<Path>,
}

/// Tells whether a text is 64 lower-case hex digits: no other text ever becomes part of a path.
pub(crate) fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl Blobs {
    /// Opens the files of a data folder; makes the folder for them, and removes the rest of an interrupted write.
    ///
    /// # Errors
    /// Errors of the system.
    pub fn open(data: &Path) -> Result<Blobs, StoreError> {
        let blobs = Blobs::in_folder(data);
        private::make_dir(&blobs.folder).map_err(|error| blobs.fault(&error))?;
        for entry in fs::read_dir(&blobs.folder).map_err(|error| blobs.fault(&error))?.flatten() {
            if entry.file_name().to_string_lossy().starts_with("new-") {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(blobs)
    }

    /// Makes access to the files of a data folder for reading only.
    #[must_use]
    pub fn in_folder(data: &Path) -> Blobs {
        Blobs { folder: Arc::from(data.join("blobs")) }
    }

    /// Stores bytes and returns their SHA-256. Synced when it returns.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Io`].
    pub fn put(&self, bytes: &[u8]) -> Result<String, StoreError> {
        self.put_from(&mut &*bytes).map(|(sha256, _)| sha256)
    }

    /// Stores the bytes of a reader and returns their SHA-256 and length. Holds at most one buffer in memory.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Io`]; a fault of the reader is [`StoreError::Io`], too.
    pub fn put_from(&self, source: &mut dyn Read) -> Result<(String, u64), StoreError> {
        let mut fresh = self.begin()?;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match source.read(&mut buffer) {
                Ok(0) => return fresh.finish(),
                Ok(read) => fresh.write(&buffer[..read])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.fault(&error)),
            }
        }
    }

    /// Begins a file whose bytes come part by part. It exists once it is finished; a file that is dropped earlier
    /// leaves no trace.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Io`].
    pub fn begin(&self) -> Result<NewBlob, StoreError> {
        let number = UNIQUE.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("new-{}-{number}", std::process::id()));
        let file = private::options().write(true).create_new(true).open(&path).map_err(|error| self.fault(&error))?;
        Ok(NewBlob { blobs: self.clone(), file, path, hash: Sha256::new(), length: 0, is_stored: false })
    }

    /// Returns the bytes of a file.
    ///
    /// # Errors
    /// [`StoreError::Io`] when it does not exist or cannot be read.
    pub fn read(&self, sha256: &str) -> Result<Vec<u8>, StoreError> {
        let missing = || StoreError::Io {
            path: self.folder.to_path_buf(),
            message: format!("there is no file {}", sha256.chars().take(64).collect::<String>()),
        };
        let path = self.path(sha256).ok_or_else(missing)?;
        fs::read(&path).map_err(|error| StoreError::Io { path, message: error.to_string() })
    }

    fn fault(&self, error: &io::Error) -> StoreError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full(self.folder.to_path_buf()),
            _ => StoreError::Io { path: self.folder.to_path_buf(), message: error.to_string() },
        }
    }
}

/// A file that is being written.
#[derive(Debug)]
pub struct NewBlob {
    blobs: Blobs,
    file: File,
    path: PathBuf,
    hash: Sha256,
    length: u64,
    is_stored: bool,
}

impl NewBlob {
    /// Writes the next part.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Io`].
    pub fn write(&mut self, part: &[u8]) -> Result<(), StoreError> {
        self.hash.update(part);
        self.length += part.len() as u64;
        self.file.write_all(part).map_err(|error| self.blobs.fault(&error))
    }

    /// Gives the file its final name, and returns its SHA-256 and length. Synced when it returns.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Io`].
    pub fn finish(mut self) -> Result<(String, u64), StoreError> {
        let sha256 = hex(&self.hash.finalize_reset());
        let place = self.blobs.folder.join(&sha256);
        let stored = self.file.sync_all().and_then(|()| fs::rename(&self.path, place));
        self.is_stored = stored.is_ok();
        // The name must be as durable as the bytes. Windows has no such call and syncs names itself.
        #[cfg(unix)]
        let stored = stored.and_then(|()| File::open(&self.blobs.folder)?.sync_all());
        stored.map_err(|error| self.blobs.fault(&error))?;
        Ok((sha256, self.length))
    }
}

impl Drop for NewBlob {
    fn drop(&mut self) {
        if !self.is_stored {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl FileSource for Blobs {
    fn path(&self, sha256: &str) -> Option<PathBuf> {
        let path = is_hash(sha256).then(|| self.folder.join(sha256))?;
        path.is_file().then_some(path)
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::Scratch;

    #[test]
    fn a_file_is_named_by_its_hash_and_reads_back() {
        let scratch = Scratch::new();
        let blobs = Blobs::open(scratch.path()).unwrap();
        let sha256 = blobs.put(b"abc").unwrap();
        assert_eq!(sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(blobs.read(&sha256).unwrap(), b"abc");
        assert_eq!(blobs.put_from(&mut &b"abc"[..]).unwrap(), (sha256, 3));
        assert_eq!(fs::read_dir(scratch.path().join("blobs")).unwrap().count(), 1);
    }

    #[test]
    fn nothing_but_a_hash_becomes_part_of_a_path() {
        let scratch = Scratch::new();
        let blobs = Blobs::open(scratch.path()).unwrap();
        fs::write(scratch.path().join("secret"), "s").unwrap();
        let upper = blobs.put(b"abc").unwrap().to_uppercase();
        let absolute = scratch.path().join("secret").display().to_string();
        for name in ["../secret", "", ".", &absolute, &upper, &"é".repeat(32), &"a".repeat(63)] {
            assert_eq!(blobs.path(name), None, "{name}");
            assert!(blobs.read(name).is_err(), "{name}");
        }
    }

    #[test]
    fn what_an_interrupted_write_left_is_removed_and_a_failing_source_leaves_nothing() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the client left"))
            }
        }
        let scratch = Scratch::new();
        let blobs = Blobs::open(scratch.path()).unwrap();
        fs::write(scratch.path().join("blobs/new-1-1"), "half").unwrap();
        let blobs = {
            drop(blobs);
            Blobs::open(scratch.path()).unwrap()
        };
        assert!(blobs.put_from(&mut Failing).is_err());
        assert_eq!(fs::read_dir(scratch.path().join("blobs")).unwrap().count(), 0);
    }
}
