//! Secrets: their creation, storage and comparison.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use kapelle_store::private;
use sha2::{Digest, Sha256};

/// The file with the token, in the folder of the state.
pub const TOKEN_FILE: &str = "token";
/// Prefix of secrets, so that scanners for leaked ones find them.
const PREFIX: &str = "kap_";
/// Random bytes of a secret.
const BYTES: usize = 32;

/// Makes a secret.
///
/// # Errors
/// When the system has no random numbers.
pub fn fresh() -> io::Result<String> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(format!("{PREFIX}{}", hex(&bytes)))
}

/// Makes a random word of 16 letters, for an id that cannot be guessed. It lacks the prefix of a secret.
///
/// # Errors
/// When the system has no random numbers.
pub fn mark() -> io::Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(hex(&bytes))
}

/// Returns the stored hash of a secret. Every presented credential is hashed first, and only hashes are compared: the
/// time of a lookup reveals nothing about a secret.
#[must_use]
pub fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Formats lower-case hex digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|n| char::from_digit(n.into(), 16).unwrap_or('0'))
        .collect()
}

/// Returns the token of a folder, and whether it was made just now. Only the owner can read its file; changed
/// permissions are restored.
///
/// # Errors
/// When the file cannot be read or written, or holds no token.
pub fn token(folder: &Path) -> io::Result<(String, bool)> {
    let path = folder.join(TOKEN_FILE);
    match private::read_small(&path, 1_024) {
        Ok(text) => {
            close_to_others(&private::options().read(true).open(&path)?)?;
            let token = text.trim();
            if token.len() < 20 || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                let message = "it does not contain a token; remove it to get a new one at the next start";
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
            Ok((token.to_owned(), false))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let token = fresh()?;
            let mut file = private::options().write(true).create_new(true).open(&path)?;
            writeln!(file, "{token}")?;
            file.sync_all()?;
            Ok((token, true))
        }
        Err(error) => Err(error),
    }
}

/// Replaces the token of a folder. Returns the new one.
///
/// # Errors
/// When the file cannot be written, or the system has no random numbers.
pub(crate) fn replace_token(folder: &Path) -> io::Result<String> {
    let token = fresh()?;
    private::at_own_place(&folder.join(TOKEN_FILE), format!("{token}\n").as_bytes())?;
    Ok(token)
}

#[cfg(unix)]
fn close_to_others(file: &fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        tracing::warn!("the token was readable by others; its permissions are restored now: consider replacing it");
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn close_to_others(_file: &fs::File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_and_only_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let (token_text, made) = token(folder.path()).unwrap();
        assert!(made && token_text.len() == 68 && token_text.starts_with("kap_"));
        let path = folder.path().join(TOKEN_FILE);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        }
        assert_eq!(token(folder.path()).unwrap(), (token_text, false));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let replaced = replace_token(folder.path()).unwrap();
        assert_eq!(token(folder.path()).unwrap(), (replaced, false));
        fs::write(&path, "short").unwrap();
        assert!(token(folder.path()).is_err());
    }
}
