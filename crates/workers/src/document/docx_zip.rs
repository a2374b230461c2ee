//! The ZIP archive around a Word file, read with bounds on what it may unpack to.

use std::io::{self, BufReader, Cursor, Read};

use zip::{ZipArchive, result::ZipError};

use super::model::ExtractError;

/// A Word file has a few dozen parts; one with illustrations a few hundred.
const PARTS_MAX: usize = 20_000;

/// A part never unpacks to more than this.
const PART_MAX: u64 = 128 << 20;

/// XML packs well, and up to this size any ratio is harmless.
const FREE: u64 = 16 << 20;

/// Beyond [`FREE`], a part that unpacks to more than this many times its packed size is a bomb: XML stays below 50.
const RATIO_MAX: u64 = 100;

/// The parts of a Word file.
pub(super) struct Parts<'a> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
}

/// A part, unpacked while it is read.
pub(super) type Part<'p> = BufReader<Bounded<Box<dyn Read + 'p>>>;

impl<'a> Parts<'a> {
    /// Opens the archive.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Parts<'a>, ExtractError> {
        let archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| broken(&error))?;
        if archive.len() > PARTS_MAX {
            return Err(ExtractError::TooLarge(format!("the archive has {} parts", archive.len())));
        }
        Ok(Parts { archive })
    }

    /// Whether there is a part of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.archive.index_for_name(name).is_some()
    }

    /// Whether the name of a part begins so.
    pub(super) fn any_under(&self, folder: &str) -> bool {
        self.archive.file_names().any(|name| name.is_ok_and(|name| name.starts_with(folder)))
    }

    /// A part by its name, or `None` when there is none.
    pub(super) fn part(&mut self, name: &str) -> Result<Option<Part<'_>>, ExtractError> {
        let file = match self.archive.by_name(name) {
            Ok(file) => file,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(error) => return Err(broken(&error)),
        };
        if file.encrypted() {
            return Err(ExtractError::Encrypted);
        }
        let limit = file.compressed_size().saturating_mul(RATIO_MAX).clamp(FREE, PART_MAX);
        if file.size() > limit {
            return Err(explodes(name, file.size()));
        }
        // The stated size may lie, so it is counted as well.
        Ok(Some(BufReader::new(Bounded { inner: Box::new(file), left: limit })))
    }
}

fn broken(error: &ZipError) -> ExtractError {
    match error {
        ZipError::UnsupportedArchive(why) if why.to_lowercase().contains("password") => ExtractError::Encrypted,
        _ => ExtractError::Damaged(format!("the archive cannot be opened ({error})")),
    }
}

fn explodes(part: &str, size: u64) -> ExtractError {
    ExtractError::TooLarge(format!("its part `{part}` unpacks to {} MiB, far more than a document needs", size >> 20))
}

/// Fails, rather than ends, when more than its share is read.
pub(super) struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            io::Error::new(io::ErrorKind::FileTooLarge, "it unpacks to far more than a document needs")
        })?;
        Ok(read)
    }
}
