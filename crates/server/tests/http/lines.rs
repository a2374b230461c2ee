//! A stream of lines of JSON, read as it comes.

use std::time::Duration;

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader, Lines},
    net::TcpStream,
    time::timeout,
};

use crate::place::Place;

/// Time limit of a line.
const PATIENCE: Duration = Duration::from_secs(20);

/// A stream of lines of JSON.
pub struct JsonLines(Lines<BufReader<Box<dyn AsyncRead + Send + Unpin>>>);

impl JsonLines {
    /// Reads the lines of an answer that was asked for by other means.
    pub fn of(connection: impl AsyncRead + Send + Unpin + 'static) -> JsonLines {
        let connection: Box<dyn AsyncRead + Send + Unpin> = Box::new(connection);
        JsonLines(BufReader::new(connection).lines())
    }

    /// Opens a stream. Returns it with its first line.
    pub async fn open(place: &Place, token: &str, path: &str, body: &Value) -> (JsonLines, Value) {
        let mut stream = TcpStream::connect(place.address()).await.unwrap();
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            place.address(),
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut stream = JsonLines::of(stream);
        let status = stream.0.next_line().await.unwrap().unwrap();
        assert!(status.contains(" 200 "), "{status}");
        let first = stream.next().await.unwrap();
        (stream, first)
    }

    /// Returns the next line; `None` when the stream has ended.
    pub async fn next(&mut self) -> Option<Value> {
        timeout(PATIENCE, async {
            // Lines between are those of the transfer encoding.
            while let Some(line) = self.0.next_line().await.ok()? {
                if line.starts_with('{') {
                    return Some(serde_json::from_str(&line).unwrap());
                }
                if line == "0" {
                    return None;
                }
            }
            None
        })
        .await
        .unwrap()
    }

    /// Returns the next line that is no sign of life.
    pub async fn told(&mut self) -> Option<Value> {
        loop {
            match self.next().await {
                Some(line) if line.as_object().unwrap().is_empty() => {}
                line => return line,
            }
        }
    }
}
