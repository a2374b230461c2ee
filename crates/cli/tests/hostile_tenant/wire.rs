//! The requests of the hostile tenant. Every response is searched for data of the other.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Time limit for a response.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of a response that are read.
const MOST: u64 = 64 << 20;

/// One request.
pub struct Request<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub secret: &'a str,
    pub body: &'a [u8],
}

/// The wire between the hostile tenant and the server.
pub struct Wire {
    pub address: SocketAddr,
    canary: String,
    /// Statuses by attack; 0 stands for no response.
    seen: Mutex<BTreeMap<&'static str, BTreeMap<u16, u64>>>,
    leaks: Mutex<Vec<String>>,
}

impl Wire {
    pub fn new(address: SocketAddr, canary: String) -> Wire {
        Wire { address, canary, seen: Mutex::default(), leaks: Mutex::default() }
    }

    /// Returns the beginning of a request.
    pub fn head(&self, request: &Request<'_>, more: &str) -> Vec<u8> {
        let Request { method, path, secret, .. } = request;
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n", self.address);
        if !secret.is_empty() {
            head += &format!("authorization: Bearer {secret}\r\n");
        }
        head += &format!("{more}\r\n");
        head.into_bytes()
    }

    /// Sends a request. Returns the status and the body; `None` without a response.
    pub async fn ask(&self, tried: &'static str, request: Request<'_>) -> Option<(u16, Vec<u8>)> {
        let answer = timeout(PATIENCE, self.exchange(&request)).await.ok().flatten();
        let status = answer.as_ref().map_or(0, |(status, _)| *status);
        self.note(tried, status);
        if let Some((_, bytes)) = &answer {
            self.search(tried, request.path, bytes);
        }
        answer
    }

    async fn exchange(&self, request: &Request<'_>) -> Option<(u16, Vec<u8>)> {
        let mut stream = TcpStream::connect(self.address).await.ok()?;
        let more = format!("connection: close\r\ncontent-length: {}\r\n", request.body.len());
        stream.write_all(&self.head(request, &more)).await.ok()?;
        let (reader, mut writer) = stream.split();
        let mut answer = Vec::new();
        // The server may respond, and close, before it has read everything.
        let mut reader = reader.take(MOST);
        let (_, read) = tokio::join!(writer.write_all(request.body), reader.read_to_end(&mut answer));
        let status = std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()?;
        drop(read);
        Some((status, answer))
    }

    pub fn note(&self, tried: &'static str, status: u16) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen.entry(tried).or_default().entry(status).or_default() += 1;
    }

    /// Searches for data of the other tenant.
    pub fn search(&self, tried: &str, path: &str, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        // Text of its own request may come back in a refusal.
        if text.replace(path, "").contains(&self.canary) {
            let beginning: String = text.chars().take(2_000).collect();
            self.leaks.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{tried}: {path}: {beginning}"));
        }
    }

    pub fn report(&self) {
        for (tried, statuses) in &*self.seen.lock().unwrap_or_else(PoisonError::into_inner) {
            println!("  {tried}: {statuses:?}");
        }
    }

    /// Checks that nothing of the other tenant leaked, and that every attack ran.
    pub fn has_no_leak(&self) {
        let leaks = self.leaks.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(
            leaks.is_empty(),
            "the hostile tenant saw {} times what is not its own:\n{}",
            leaks.len(),
            leaks.join("\n")
        );
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(seen.len() >= 12, "only this was tried: {:?}", seen.keys());
    }
}
