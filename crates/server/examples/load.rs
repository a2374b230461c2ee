//! How fast a running server is: `load URL TOKEN CLIENTS SECONDS`. Each client submits a task for the worker `log` and
//! waits for its answer, again and again, on a connection of its own.

use std::{error::Error, sync::Arc, time::Duration};

use kapelle::engine::{Clock, SystemClock};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// One request on a connection that stays open; gives its status.
async fn ask(stream: &mut BufReader<TcpStream>, request: &[u8]) -> Fallible<u16> {
    stream.get_mut().write_all(request).await?;
    let (mut line, mut status, mut length) = (String::new(), 0, 0);
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        let text = line.trim_end();
        if let Some(rest) = text.strip_prefix("HTTP/1.1 ") {
            status = rest[..3].parse()?;
        }
        if let Some(rest) = text.strip_prefix("content-length: ") {
            length = rest.parse()?;
        }
        if text.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(status)
}

async fn client(address: String, request: Arc<[u8]>, until: Duration) -> Fallible<Vec<u32>> {
    let mut stream = BufReader::new(TcpStream::connect(&address).await?);
    stream.get_ref().set_nodelay(true)?;
    let (begun, mut times) = (tokio::time::Instant::now(), Vec::new());
    while begun.elapsed() < until {
        let sent = tokio::time::Instant::now();
        let status = ask(&mut stream, &request).await?;
        if status != 201 {
            return Err(format!("answered {status}").into());
        }
        times.push(u32::try_from(sent.elapsed().as_micros())?);
    }
    Ok(times)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, token, clients, seconds, rest @ ..] = arguments.as_slice() else {
        return Err("usage: load ADDRESS TOKEN CLIENTS SECONDS [PATH]".into());
    };
    let path = rest.first().map_or("/api/v1/tasks?wait_ms=20000", String::as_str);
    let body = r#"{"worker":"log","input":{"message":"x"}}"#;
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let request: Arc<[u8]> = Arc::from(request.into_bytes());
    let until = Duration::from_secs(seconds.parse()?);
    let clock = SystemClock::default();
    let begun = clock.steady_ms();
    let count: usize = clients.parse()?;
    let clients: Vec<_> =
        (0..count).map(|_| tokio::spawn(client(address.clone(), Arc::clone(&request), until))).collect();
    let mut times = Vec::new();
    for client in clients {
        times.extend(client.await??);
    }
    let took = clock.steady_ms() - begun;
    times.sort_unstable();
    let at = |share: f64| f64::from(times[((times.len() - 1) as f64 * share) as usize]) / 1_000.0;
    let rate = times.len() as f64 / (took as f64 / 1_000.0);
    println!("{count} clients: {rate:.0} tasks/s, p50 {:.2} ms, p99 {:.2} ms", at(0.5), at(0.99));
    Ok(())
}
