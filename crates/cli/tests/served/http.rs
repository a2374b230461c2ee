//! A client that knows what it was answered, and when it does not know.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;

/// Time limit for a response.
const PATIENCE: Duration = Duration::from_secs(90);

/// A connection that stays open, and is reopened after it broke.
pub struct Http {
    address: SocketAddr,
    token: Arc<str>,
    stream: Option<BufReader<TcpStream>>,
}

/// A response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Answer {
    /// Returns the body; the status must be `status`.
    #[track_caller]
    pub fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Http {
    pub fn new(address: SocketAddr, token: Arc<str>) -> Http {
        Http { address, token, stream: None }
    }

    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.ask("GET", path, "", &Value::Null)
    }

    pub fn post(&mut self, path: &str, body: &Value) -> io::Result<Answer> {
        self.ask("POST", path, "", body)
    }

    /// Sends a request with further header lines. An error means that its effect is unknown.
    pub fn ask(&mut self, method: &str, path: &str, more: &str, body: &Value) -> io::Result<Answer> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             {more}content-length: {}\r\n\r\n{body}",
            self.address,
            self.token,
            body.len()
        );
        let answered = self.exchange(request.as_bytes());
        if answered.is_err() {
            self.stream = None;
        }
        answered
    }

    fn exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                self.stream.insert(BufReader::new(stream))
            }
        };
        stream.get_mut().write_all(request)?;
        let (status, length, closes) = head(stream)?;
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        if closes {
            self.stream = None;
        }
        Ok(Answer { status, body })
    }
}

/// Reads a head: status, length of the body, and whether the connection ends after it.
fn head(stream: &mut impl BufRead) -> io::Result<(u16, usize, bool)> {
    let broken = || io::Error::new(io::ErrorKind::UnexpectedEof, "the answer broke off");
    let (mut status, mut length, mut closes, mut line) = (None, 0, false, String::new());
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let Some(text) = line.strip_suffix("\r\n") else { return Err(broken()) };
        if text.is_empty() {
            return Ok((status.ok_or_else(broken)?, length, closes));
        }
        if let Some(rest) = text.strip_prefix("HTTP/1.1 ") {
            status = rest.get(..3).and_then(|digits| digits.parse().ok());
        }
        let text = text.to_ascii_lowercase();
        if let Some(rest) = text.strip_prefix("content-length: ") {
            length = rest.parse().map_err(|_| broken())?;
        }
        closes |= text == "connection: close";
    }
}
