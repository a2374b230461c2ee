//! Files that only their owner can read.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
};

/// Returns options that give a new file mode 0600 and follow no link at the last part of the path. Opening a pipe does
/// not wait for its other end.
#[must_use]
pub fn options() -> OpenOptions {
    let mut options = File::options();
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        options.mode(0o600).custom_flags(i32::try_from(flags.bits()).unwrap_or(0));
    }
    options.read(false);
    options
}

/// Writes a file beside its place and moves it there, so that nobody reads half of it.
///
/// # Errors
/// When the file cannot be written or moved.
pub fn at_own_place(path: &Path, text: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    // A killed process may have left anything there, including a link.
    let _ = std::fs::remove_file(&fresh);
    let mut file = options().write(true).create_new(true).open(&fresh)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)
}

/// Reads a small file such as the token: a regular one, not behind a link, of at most `most` bytes.
///
/// # Errors
/// When the file is not there, is something else, or is longer.
pub fn read_small(path: &Path, most: u64) -> io::Result<String> {
    let file = options().read(true).open(path).map_err(|error| explain_link(path, error))?;
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file: remove it"));
    }
    let mut text = String::new();
    if file.take(most.saturating_add(1)).read_to_string(&mut text)? as u64 > most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("is longer than {most} bytes")));
    }
    Ok(text)
}

/// Explains the system's error "too many levels of symbolic links".
pub(crate) fn explain_link(path: &Path, error: io::Error) -> io::Error {
    if path.symlink_metadata().is_ok_and(|about| about.file_type().is_symlink()) {
        return io::Error::new(error.kind(), "is a link, which is not followed here: replace it by the file itself");
    }
    error
}
