//! Readiness over HTTP, of addresses of this machine alone.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::process::OutputReader;

/// Interval between two requests.
const EVERY: Duration = Duration::from_millis(200);
/// Time limit of one request.
const PATIENCE: Duration = Duration::from_secs(2);

/// Says whether an address is one of this machine, with a port: `http://127.0.0.1:8080/health`.
pub(crate) fn is_local_url(url: &str) -> bool {
    parts(url).is_some_and(|(host, _)| {
        let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
        matches!(name, "127.0.0.1" | "localhost" | "[::1]") && port.parse::<u16>().is_ok()
    })
}

fn parts(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("http://")?;
    let at = rest.find('/').unwrap_or(rest.len());
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    plain(rest).then(|| (&rest[..at], if at == rest.len() { "/" } else { &rest[at..] }))
}

/// Polls until the address answers with 2xx, then reports the process as ready.
pub(super) async fn until_ready(url: String, output: Arc<OutputReader>) {
    let Some((host, path)) = parts(&url) else { return };
    loop {
        if matches!(tokio::time::timeout(PATIENCE, ask(host, path)).await, Ok(Ok(true))) {
            output.ready();
            return;
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn ask(host: &str, path: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(host).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").as_bytes()).await?;
    let mut start = [0; 12];
    stream.read_exact(&mut start).await?;
    Ok(start.starts_with(b"HTTP/1.") && start[9] == b'2')
}
