//! Bounded reading of a child's output.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

const CHUNK: usize = 64 * 1024;

/// Bytes of the standard error that are kept: its last words explain a failure.
pub(crate) const STDERR_TAIL: usize = 8 * 1024;

/// Reads all bytes up to `limit`. Returns `None` when there are more.
pub(crate) async fn whole(mut from: impl AsyncRead + Unpin, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut kept = Vec::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = from.read(&mut chunk).await?;
        if read == 0 {
            return Ok(Some(kept));
        }
        if kept.len() + read > limit {
            return Ok(None);
        }
        kept.extend_from_slice(&chunk[..read]);
    }
}

/// Appends everything to `tail` and keeps only the last [`STDERR_TAIL`] bytes.
pub(crate) async fn tail(mut from: impl AsyncRead + Unpin, tail: &mut Vec<u8>) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = from.read(&mut chunk).await?;
        if read == 0 {
            return Ok(());
        }
        tail.extend_from_slice(&chunk[..read]);
        let beyond = tail.len().saturating_sub(STDERR_TAIL);
        tail.drain(..beyond);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keeps_all_at_the_limit_and_nothing_above() {
        assert_eq!(whole(&b"abc"[..], 3).await.unwrap(), Some(b"abc".to_vec()));
        assert_eq!(whole(&b"abcd"[..], 3).await.unwrap(), None);
    }

    #[tokio::test]
    async fn keeps_the_end_of_a_long_tail() {
        let mut kept = Vec::new();
        let mut long = vec![b'x'; 1 << 20];
        long.extend_from_slice(b"the end");
        tail(&long[..], &mut kept).await.unwrap();
        assert_eq!(kept.len(), STDERR_TAIL);
        assert!(kept.ends_with(b"the end"));
    }
}
