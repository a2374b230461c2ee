//! Files that inputs name. A regular file is read where it is. A stream that can be read only once (standard input, a
//! pipe, the output of a process) is copied to a temporary file the first time, and hashed meanwhile.

use std::{
    collections::BTreeMap,
    fs::{File, FileType},
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use crate::{failure::Failure, project::Project};

/// The most bytes that are read from a pipe.
const PIPE_MAX: u64 = 2 << 30;
/// The longest text that is passed by value, in bytes.
const TEXT_MAX: u64 = 64 << 20;

/// The content of a file, by its hash.
#[derive(Debug, Clone)]
pub struct Content {
    pub sha256: String,
    pub size: u64,
    /// Its name for display.
    pub name: String,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    At(PathBuf),
    Copied(Arc<NamedTempFile>),
}

impl Content {
    /// Returns a path where it can be read repeatedly.
    pub fn path(&self) -> &Path {
        match &self.place {
            Place::At(path) => path,
            Place::Copied(file) => file.path(),
        }
    }
}

/// Files that were copied because they can be read only once. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Pipes(Arc<Mutex<BTreeMap<PathBuf, Content>>>);

impl Pipes {
    /// Returns the content of a file, or of standard input for `-`.
    ///
    /// # Errors
    /// When it does not exist, cannot be read, or is not a file.
    pub fn content(&self, path: &Path) -> Result<Content, Failure> {
        let mut copied = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(content) = copied.get(path) {
            return Ok(content.clone());
        }
        if path == Path::new("-") {
            let content = copy(&mut std::io::stdin().lock(), path, "stdin".to_owned())?;
            copied.insert(path.to_owned(), content.clone());
            return Ok(content);
        }
        let kind = std::fs::metadata(path).map_err(|error| missing(path, &error))?.file_type();
        refuse(path, kind)?;
        let mut file = File::open(path).map_err(|error| missing(path, &error))?;
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        if !kind.is_file() {
            let content = copy(&mut file, path, name)?;
            copied.insert(path.to_owned(), content.clone());
            return Ok(content);
        }
        let mut hash = Hashing { hash: Sha256::new(), size: 0, out: std::io::sink() };
        std::io::copy(&mut file, &mut hash).map_err(|error| Failure::io(path, &error))?;
        Ok(hash.content(name, Place::At(path.to_owned())))
    }

    /// Returns the text of a file, or of standard input for `-`, without its byte order mark.
    ///
    /// # Errors
    /// When it cannot be read, is too long, or is not text.
    pub fn text(&self, path: &Path) -> Result<String, Failure> {
        let shown = shown(path);
        let too_long = || Failure::usage(format!("{shown}: longer than {} MiB", TEXT_MAX >> 20));
        if std::fs::metadata(path).is_ok_and(|about| about.is_file() && about.len() > TEXT_MAX) {
            return Err(too_long());
        }
        let content = self.content(path)?;
        if content.size > TEXT_MAX {
            return Err(too_long());
        }
        let bytes = std::fs::read(content.path()).map_err(|error| Failure::io(path, &error))?;
        decode(bytes).ok_or_else(|| {
            Failure::usage(format!("{shown}: not UTF-8 text"))
                .help("convert it, or use an input of `format: file`, which `extract_text` reads in any encoding")
        })
    }
}

/// Decodes text in UTF-8, or in UTF-16 with its mark, as Windows writes it.
fn decode(bytes: Vec<u8>) -> Option<String> {
    let units = |read: fn([u8; 2]) -> u16| {
        let pairs = bytes.get(2..)?.chunks_exact(2);
        pairs.remainder().is_empty().then_some(())?;
        String::from_utf16(&pairs.map(|pair| read([pair[0], pair[1]])).collect::<Vec<u16>>()).ok()
    };
    match bytes.as_slice() {
        [0xff, 0xfe, ..] => units(u16::from_le_bytes),
        [0xfe, 0xff, ..] => units(u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, text @ ..] => String::from_utf8(text.to_vec()).ok(),
        _ => String::from_utf8(bytes).ok(),
    }
}

fn copy(from: &mut dyn Read, path: &Path, name: String) -> Result<Content, Failure> {
    let cannot = |error: std::io::Error| Failure::io(path, &error);
    let file = NamedTempFile::with_prefix("kapelle-input-").map_err(cannot)?;
    let mut out = Hashing { hash: Sha256::new(), size: 0, out: file.as_file() };
    std::io::copy(&mut from.take(PIPE_MAX + 1), &mut out).map_err(cannot)?;
    if out.size > PIPE_MAX {
        return Err(Failure::usage(format!("{}: longer than {} GiB", shown(path), PIPE_MAX >> 30)));
    }
    let Hashing { hash, size, .. } = out;
    Ok(Hashing { hash, size, out: std::io::sink() }.content(name, Place::Copied(Arc::new(file))))
}

/// Refuses devices and other special files that never end or have no content.
fn refuse(path: &Path, kind: FileType) -> Result<(), Failure> {
    let shown = Project::shown(path);
    if kind.is_dir() {
        let failure = Failure::usage(format!("{shown} is a folder; expected a file"));
        return Err(failure.help("for a run over each file of a folder: kapelle run WORKFLOW --each NAME=FOLDER"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        // Standard input under its other name may be a terminal.
        let own = ["/dev/stdin", "/dev/fd/0", "/dev/null"].iter().any(|own| path == Path::new(own));
        if kind.is_socket() || kind.is_block_device() || kind.is_char_device() && !own {
            let what = if kind.is_socket() { "a socket" } else { "a device" };
            return Err(Failure::usage(format!("{shown} is {what}; expected a file")));
        }
    }
    Ok(())
}

/// Formats a path for messages.
pub fn shown(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { Project::shown(path) }
}

/// Makes the failure of a missing file.
fn missing(path: &Path, error: &std::io::Error) -> Failure {
    Failure::io(path, error).help("files are named from the current folder; `-` is standard input")
}

/// A writer that hashes and counts what passes through.
struct Hashing<W> {
    hash: Sha256,
    size: u64,
    out: W,
}

impl<W> Hashing<W> {
    fn content(self, name: String, place: Place) -> Content {
        let sha256 = self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Content { sha256, size: self.size, name, place }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_loses_its_mark() {
        let utf16 = |big: bool| {
            let units = "\u{feff}hé".encode_utf16();
            units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect::<Vec<u8>>()
        };
        for bytes in [b"\xef\xbb\xbfh\xc3\xa9".to_vec(), "hé".as_bytes().to_vec(), utf16(false), utf16(true)] {
            assert_eq!(decode(bytes).as_deref(), Some("hé"));
        }
        assert_eq!((decode(vec![0xff]), decode(vec![0xff, 0xfe, 0x41])), (None, None));
    }
}
