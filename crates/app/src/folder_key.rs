//! Keys of the folder: 32 random bytes as hex digits, each in a file that only its owner reads.

use std::{
    io::{self, Write},
    path::Path,
};

use kapelle_store::private;

use crate::secrets::hex;

/// Reads a key of the folder. Returns `None` when there is no such file.
///
/// # Errors
/// When the file cannot be read or holds no key.
pub(crate) fn read(folder: &Path, file: &str) -> io::Result<Option<[u8; 32]>> {
    let text = match private::read_small(&folder.join(file), 1_024) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let text = text.trim();
    let digits = (0..32).map(|at| text.get(at * 2..at * 2 + 2).and_then(|two| u8::from_str_radix(two, 16).ok()));
    let bytes: Option<Vec<u8>> = digits.collect();
    match bytes.and_then(|bytes| bytes.try_into().ok()).filter(|_| text.len() == 64) {
        Some(bytes) => Ok(Some(bytes)),
        None => {
            let message =
                "does not contain a key of 64 hex digits: restore it from a backup, or move it away for a new one";
            Err(io::Error::new(io::ErrorKind::InvalidData, message))
        }
    }
}

/// Reads a key of the folder, or makes one.
///
/// # Errors
/// When the file cannot be read or written, or the system has no random numbers.
pub(crate) fn of(folder: &Path, file: &str) -> io::Result<[u8; 32]> {
    if let Some(key) = read(folder, file)? {
        return Ok(key);
    }
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    let mut opened = private::options().write(true).create_new(true).open(folder.join(file))?;
    writeln!(opened, "{}", hex(&bytes))?;
    opened.sync_all()?;
    Ok(bytes)
}
