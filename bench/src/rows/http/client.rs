//! A client of one keep-alive connection: as little as possible, since it takes time from the server.

use std::net::SocketAddr;

use anyhow::Context;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Client> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Client { stream, buffer: Vec::with_capacity(4_096) })
    }

    /// Posts a body and gives that of the answer.
    pub async fn post(&mut self, path: &str, body: &str) -> anyhow::Result<String> {
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        let (head, length) = loop {
            if let Some(found) = head(&self.buffer)? {
                break found;
            }
            anyhow::ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the server closed the connection");
        };
        while self.buffer.len() < head + length {
            anyhow::ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the server closed the connection");
        }
        let body = String::from_utf8(self.buffer[head..head + length].to_vec())?;
        anyhow::ensure!(self.buffer.starts_with(b"HTTP/1.1 2"), "refused: {body}");
        Ok(body)
    }
}

/// The lengths of an answer's head and body, when the head is complete.
fn head(buffer: &[u8]) -> anyhow::Result<Option<(usize, usize)>> {
    let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&buffer[..end])?.to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    Ok(Some((end + 4, length.context("an answer without content-length")?.trim().parse()?)))
}
