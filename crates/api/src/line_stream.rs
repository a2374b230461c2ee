//! Lines of JSON in an answer that does not end, and in the body of its request.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::mpsc;

use crate::client_error::ClientError;

/// The longest line of an answer, in bytes.
const LINE_MAX: usize = 64 << 20;
/// Lines that wait for the connection. A caller that awaits the answer to each line never has more than two.
const WAITING: usize = 8;

/// The reason why a stream was not opened.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct NotOpened {
    /// The status of the answer, also of one that is no problem of a server but of a proxy. `None` without an answer.
    pub status: Option<u16>,
    /// The refusal, or the reason why there was no answer.
    pub error: ClientError,
}

impl NotOpened {
    pub(crate) fn of(error: ClientError) -> NotOpened {
        NotOpened { status: None, error }
    }
}

/// The lines of an answer, as they come.
#[derive(Debug)]
pub struct LineStream {
    answer: reqwest::Response,
    address: String,
    lines: Lines,
}

impl LineStream {
    pub(crate) fn new(answer: reqwest::Response, address: &str) -> LineStream {
        LineStream { answer, address: address.to_owned(), lines: Lines::default() }
    }

    /// Returns the next line; `None` when the server has ended the stream. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When the connection breaks, or a line is too long or not as expected.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ClientError> {
        loop {
            let broken = |message: String| ClientError::Unreachable { address: self.address.clone(), message };
            if let Some(line) = self.lines.next() {
                let read = serde_json::from_slice(&line);
                return read.map(Some).map_err(|error| broken(format!("a line of the stream: {error}")));
            }
            if self.lines.buffer.len() > LINE_MAX {
                return Err(broken(format!("a line of the stream has more than {LINE_MAX} bytes")));
            }
            match self.answer.chunk().await.map_err(|error| broken(error.to_string()))? {
                Some(bytes) => self.lines.buffer.extend_from_slice(&bytes),
                None => return Ok(None),
            }
        }
    }
}

/// Bytes, taken line by line.
#[derive(Debug, Default)]
struct Lines {
    buffer: BytesMut,
    /// Bytes at the beginning of the buffer that have no end of a line.
    searched: usize,
}

impl Lines {
    /// Returns the next whole line.
    fn next(&mut self) -> Option<Bytes> {
        let Some(at) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') else {
            self.searched = self.buffer.len();
            return None;
        };
        let line = self.buffer.split_to(self.searched + at + 1).freeze();
        self.searched = 0;
        Some(line)
    }
}

/// Sends lines in the body of an open request. Dropped, it ends the body.
#[derive(Debug, Clone)]
pub struct LineSender(mpsc::Sender<Bytes>);

impl LineSender {
    /// Sends a line, without waiting.
    ///
    /// # Errors
    /// A sentence, when the value cannot be written, the connection is gone, or it takes nothing any more.
    pub fn send(&self, line: &impl Serialize) -> Result<(), String> {
        let line = serde_json::to_vec(line).map_err(|error| format!("the line cannot be written: {error}"))?;
        self.send_bytes(line)
    }

    /// Sends a line that is JSON already.
    ///
    /// # Errors
    /// As [`LineSender::send`].
    pub fn send_bytes(&self, mut line: Vec<u8>) -> Result<(), String> {
        line.push(b'\n');
        self.0.try_send(line.into()).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => "the connection takes nothing".to_owned(),
            mpsc::error::TrySendError::Closed(_) => "the connection is gone".to_owned(),
        })
    }
}

/// Makes the body of a request that stays open, and its sender.
pub(crate) fn body() -> (LineSender, reqwest::Body) {
    let (sender, lines) = mpsc::channel(WAITING);
    (LineSender(sender), reqwest::Body::wrap(LineBody(lines)))
}

/// A body of lines that come later.
struct LineBody(mpsc::Receiver<Bytes>);

impl Body for LineBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_as_they_become_whole() {
        let mut lines = Lines::default();
        lines.buffer.extend_from_slice(b"{\"a\":1}\n{}\n{\"b\"");
        assert_eq!(lines.next().as_deref(), Some(&b"{\"a\":1}\n"[..]));
        assert_eq!(lines.next().as_deref(), Some(&b"{}\n"[..]));
        assert_eq!(lines.next(), None);
        lines.buffer.extend_from_slice(b":2");
        assert_eq!(lines.next(), None);
        lines.buffer.extend_from_slice(b"}\n");
        assert_eq!(lines.next().as_deref(), Some(&b"{\"b\":2}\n"[..]));
        assert_eq!(lines.next(), None);
    }

    #[test]
    fn a_connection_that_takes_nothing_refuses_further_lines() {
        let (sender, body) = body();
        for n in 0..WAITING {
            sender.send(&n).unwrap();
        }
        assert_eq!(sender.send(&0), Err("the connection takes nothing".to_owned()));
        drop(body);
        assert_eq!(sender.send(&0), Err("the connection is gone".to_owned()));
    }
}
