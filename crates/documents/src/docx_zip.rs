//! The ZIP archive around a Word file, read with bounds on what it may unpack to.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use encoding_rs::{UTF_16BE, UTF_16LE};
use zip::{ZipArchive, result::ZipError};

use super::model::ExtractError;

/// The most parts. A Word file has a few dozen; one with illustrations a few hundred.
const PARTS_MAX: usize = 20_000;

/// The largest size that a part may unpack to, in bytes.
const PART_MAX: u64 = 128 << 20;

/// Size up to which any ratio is harmless, in bytes: XML packs well.
const FREE: u64 = 16 << 20;

/// The highest ratio of unpacked to packed size beyond [`FREE`]; more is a bomb. XML stays below 50.
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

    /// Says whether a part of this name exists; case does not matter.
    pub(super) fn has(&self, name: &str) -> bool {
        self.index(name).is_some()
    }

    /// Returns the index of a part. Names of parts differ in more than their case, and some programs write `\\` for
    /// `/`.
    fn index(&self, name: &str) -> Option<usize> {
        let alike = |found: &str| found.len() == name.len() && found.replace('\\', "/").eq_ignore_ascii_case(name);
        let others = || self.archive.file_names().position(|found| found.is_ok_and(|found| alike(&found)));
        self.archive.index_for_name(name).or_else(others)
    }

    /// Says whether the name of any part begins with `folder`.
    pub(super) fn any_under(&self, folder: &str) -> bool {
        self.archive.file_names().any(|name| name.is_ok_and(|name| name.starts_with(folder)))
    }

    /// Opens a part by its name. `None` when it does not exist.
    pub(super) fn part(&mut self, name: &str) -> Result<Option<Part<'_>>, ExtractError> {
        let Some(index) = self.index(name) else { return Ok(None) };
        let file = self.archive.by_index(index).map_err(|error| broken(&error))?;
        if file.encrypted() {
            return Err(ExtractError::Encrypted);
        }
        let limit = file.compressed_size().saturating_mul(RATIO_MAX).clamp(FREE, PART_MAX);
        if file.size() > limit {
            return Err(explodes(name, file.size()));
        }
        // The stated size may lie, so it is counted as well.
        utf8(BufReader::new(Bounded { inner: Box::new(file), left: limit })).map(Some)
    }
}

/// The part as UTF-8: the format allows UTF-16 as well, which the XML reader does not know.
fn utf8(mut part: Part<'_>) -> Result<Part<'_>, ExtractError> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::FileTooLarge => ExtractError::TooLarge(error.to_string()),
        _ => ExtractError::Damaged(format!("the archive cannot be read ({error})")),
    };
    let encoding = match part.fill_buf().map_err(unreadable)? {
        [0xff, 0xfe, ..] | [b'<', 0, ..] => UTF_16LE,
        [0xfe, 0xff, ..] | [0, b'<', ..] => UTF_16BE,
        _ => return Ok(part),
    };
    let mut bytes = Vec::new();
    part.read_to_end(&mut bytes).map_err(unreadable)?;
    let text = encoding.decode(&bytes).0.into_owned().into_bytes();
    let left = text.len() as u64;
    Ok(BufReader::new(Bounded { inner: Box::new(Cursor::new(text)), left }))
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

/// A reader that fails, rather than ends, when more than its share is read.
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
