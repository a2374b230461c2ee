//! A client of one keep-alive connection, minimal because it takes time from the server.

use std::net::SocketAddr;

use anyhow::Context;
use kapelle::serde_json::{Value, from_slice};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Header lines of every request.
    head: String,
}

impl Client {
    pub async fn connect(address: SocketAddr, token: &str) -> anyhow::Result<Client> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let head = format!("host: {address}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n");
        Ok(Client { stream, buffer: Vec::with_capacity(4_096), head })
    }

    /// Posts a body and returns that of the answer, to be read before the next request.
    pub async fn post(&mut self, path: &str, body: &str) -> anyhow::Result<&[u8]> {
        let length = body.len();
        self.send(format!("POST {path} HTTP/1.1\r\n{}content-length: {length}\r\n\r\n{body}", self.head)).await
    }

    /// Reads a path and returns the body of the answer.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<&[u8]> {
        self.send(format!("GET {path} HTTP/1.1\r\n{}\r\n", self.head)).await
    }

    /// Opens a WebSocket.
    pub async fn upgrade(mut self, path: &str) -> anyhow::Result<Client> {
        let more = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let request = format!("GET {path} HTTP/1.1\r\n{}{more}\r\n", self.head);
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        while !self.buffer.windows(4).any(|window| window == b"\r\n\r\n") {
            self.more().await?;
        }
        anyhow::ensure!(self.buffer.starts_with(b"HTTP/1.1 101"), "refused: {}", String::from_utf8_lossy(&self.buffer));
        Ok(self)
    }

    /// Sends a text of less than 126 bytes over the WebSocket, with a mask of zeros.
    pub async fn say(&mut self, text: &str) -> anyhow::Result<()> {
        let length = u8::try_from(text.len()).ok().filter(|length| *length < 126).context("the text is too long")?;
        let mut frame = vec![0x81, 0x80 | length, 0, 0, 0, 0];
        frame.extend_from_slice(text.as_bytes());
        Ok(self.stream.write_all(&frame).await?)
    }

    /// Takes what has come, unread.
    pub async fn drain(&mut self) -> anyhow::Result<()> {
        self.buffer.clear();
        self.more().await
    }

    async fn send(&mut self, request: String) -> anyhow::Result<&[u8]> {
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        let (head, length) = loop {
            if let Some(found) = head(&self.buffer)? {
                break found;
            }
            self.more().await?;
        };
        while self.buffer.len() < head + length {
            self.more().await?;
        }
        let body = &self.buffer[head..head + length];
        anyhow::ensure!(self.buffer.starts_with(b"HTTP/1.1 2"), "refused: {}", String::from_utf8_lossy(body));
        Ok(body)
    }

    /// Posts a body and reads the answer.
    pub async fn ask(&mut self, path: &str, body: &str) -> anyhow::Result<Value> {
        Ok(from_slice(self.post(path, body).await?)?)
    }

    /// Opens the stream of all events. Returns the client once it is open.
    pub async fn listen(mut self) -> anyhow::Result<Client> {
        let request = format!("GET /api/v1/events HTTP/1.1\r\n{}\r\n", self.head);
        self.stream.write_all(request.as_bytes()).await?;
        while !self.buffer.windows(4).any(|window| window == b"\r\n\r\n") {
            self.more().await?;
        }
        anyhow::ensure!(self.buffer.starts_with(b"HTTP/1.1 200"), "refused: {}", String::from_utf8_lossy(&self.buffer));
        self.buffer.clear();
        Ok(self)
    }

    /// Reads until that many events have come. An event has one line `id:`; a missed one has no line.
    pub async fn events(&mut self, mut wanted: usize) -> anyhow::Result<()> {
        while wanted > 0 {
            let last = self.buffer.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            for line in self.buffer.drain(..last).collect::<Vec<u8>>().split(|byte| *byte == b'\n') {
                anyhow::ensure!(line != b"event: resync", "events were missed");
                wanted -= usize::from(line.starts_with(b"id: ")).min(wanted);
            }
            if wanted > 0 {
                self.more().await?;
            }
        }
        Ok(())
    }

    async fn more(&mut self) -> anyhow::Result<()> {
        anyhow::ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the server closed the connection");
        Ok(())
    }
}

/// Returns the lengths of an answer's head and body, when the head is complete.
fn head(buffer: &[u8]) -> anyhow::Result<Option<(usize, usize)>> {
    let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&buffer[..end])?.to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    Ok(Some((end + 4, length.context("an answer without content-length")?.trim().parse()?)))
}
