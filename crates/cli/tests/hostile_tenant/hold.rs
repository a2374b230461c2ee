//! Connections that the hostile tenant opens and holds.

use std::{sync::Arc, time::Duration};

use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::wire::{Request, Wire};

/// Interval between two checks of the held connections.
const TICK: Duration = Duration::from_millis(500);

/// Held connections of one kind.
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Held {
    pub tried: &'static str,
    pub count: usize,
    /// The beginnings of their requests, taken in turn.
    pub beginnings: Vec<Vec<u8>>,
    /// The most that are opened between two checks.
    pub at_once: usize,
    /// Whether a byte is sent into each now and then.
    pub trickles: bool,
    /// Whether responses are read.
    pub reads: bool,
}

/// Returns the beginning of a request with a body that is announced and does not come.
pub fn beginning(wire: &Wire, method: &str, path: &str, secret: &str, more: &str) -> Vec<u8> {
    wire.head(&Request { method, path, secret, body: b"" }, more)
}

/// Opens `count` connections, and reopens closed ones.
pub async fn hold(wire: Arc<Wire>, held: Held) {
    let mut open: Vec<TcpStream> = Vec::new();
    let mut tick = tokio::time::interval(TICK);
    let mut next = 0;
    loop {
        tick.tick().await;
        let mut kept = Vec::new();
        for stream in open.drain(..) {
            if is_open(&wire, &held, &stream) {
                kept.push(stream);
            }
        }
        open = kept;
        let missing = held.count.saturating_sub(open.len()).min(held.at_once);
        for _ in 0..missing {
            next += 1;
            let Ok(mut stream) = TcpStream::connect(wire.address).await else { continue };
            if stream.write_all(&held.beginnings[next % held.beginnings.len()]).await.is_ok() {
                open.push(stream);
            }
        }
    }
}

/// Says whether the other side still has it open, and searches its response.
fn is_open(wire: &Wire, held: &Held, stream: &TcpStream) -> bool {
    let mut buffer = [0; 16 * 1024];
    // Connections that do not read take a few bytes, so that a refusal and an end are noticed.
    let most = if held.reads { buffer.len() } else { 12 };
    match stream.try_read(&mut buffer[..most]) {
        Ok(0) => {
            wire.note(held.tried, 0);
            return false;
        }
        Ok(read) => {
            let text = String::from_utf8_lossy(&buffer[..read]);
            if let Some(status) = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok()) {
                wire.note(held.tried, status);
            }
            wire.search(held.tried, "", &buffer[..read]);
        }
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
        Err(_) => {
            wire.note(held.tried, 0);
            return false;
        }
    }
    if held.trickles {
        return stream.try_write(b" ").is_ok();
    }
    true
}
