//! A provider that answers at once and keeps nothing, and a minimal HTTP client.

use std::{net::SocketAddr, sync::LazyLock};

use anyhow::Context;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Handle,
};

use crate::stopwatch::Stopwatch;

const WHOLE: &str = "{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\
    \"message\":{\"role\":\"assistant\",\"content\":\"a short answer of a few words\"},\"finish_reason\":\"stop\"}],\
    \"usage\":{\"prompt_tokens\":20,\"completion_tokens\":9,\"total_tokens\":29}}";

/// Events of a stream.
const EVENTS: usize = 20;

/// Text of a request.
static TEXT: LazyLock<String> = LazyLock::new(|| "Summarise this text in two sentences. ".repeat(20));

/// Builds the body of a request. Each is different, so that none is answered from the cache.
pub fn body(stream: bool, connection: usize, round: usize) -> String {
    let count = if stream { "\"stream_options\":{\"include_usage\":true}," } else { "" };
    format!(
        "{{\"model\":\"fast\",\"stream\":{stream},{count}\"messages\":[{{\"role\":\"user\",\"content\":\"{connection} \
         {round} {}\"}}]}}",
        *TEXT
    )
}

/// Listens on a free port, and answers every request.
pub async fn start(threads: &Handle) -> anyhow::Result<SocketAddr> {
    let listener = threads.spawn(TcpListener::bind("127.0.0.1:0")).await??;
    let address = listener.local_addr()?;
    threads.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    Ok(address)
}

async fn serve(mut stream: TcpStream) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let (whole, events) = answers();
    let mut seen = Vec::new();
    loop {
        let head = loop {
            if let Some(at) = find(&seen, b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut seen).await? == 0 {
                return Ok(());
            }
        };
        let length = length(&seen[..head]).unwrap_or(0);
        while seen.len() < head + length {
            anyhow::ensure!(stream.read_buf(&mut seen).await? > 0, "the request was cut");
        }
        let streamed = find(&seen[head..head + length], b"\"stream\":true").is_some();
        seen.drain(..head + length);
        stream.write_all(if streamed { &events } else { &whole }).await?;
    }
}

fn answers() -> (Vec<u8>, Vec<u8>) {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", WHOLE.len());
    let mut events = String::new();
    for number in 0..EVENTS {
        let finish = if number + 1 == EVENTS { "\"stop\"" } else { "null" };
        events += &format!(
            "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\
             \"delta\":{{\"content\":\"word \"}},\"finish_reason\":{finish}}}],\"usage\":null}}\n\n"
        );
    }
    events += "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[],\
               \"usage\":{\"prompt_tokens\":20,\"completion_tokens\":20,\"total_tokens\":40}}\n\ndata: [DONE]\n\n";
    let stream = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{events}\r\n0\r\n\r\n",
        events.len()
    );
    ((head + WHOLE).into_bytes(), stream.into_bytes())
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

fn length(head: &[u8]) -> Option<usize> {
    let head = String::from_utf8_lossy(head).to_lowercase();
    head.lines().find_map(|line| line.strip_prefix("content-length:"))?.trim().parse().ok()
}

/// Milliseconds to the first byte of an answer's body, and to its last.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub first: f64,
    pub last: f64,
}

/// A client with one kept connection.
pub struct Caller {
    stream: TcpStream,
    address: SocketAddr,
    token: String,
    seen: Vec<u8>,
}

impl Caller {
    /// Connects to the address.
    pub async fn new(address: SocketAddr, token: &str, threads: &Handle) -> anyhow::Result<Caller> {
        let stream = threads.spawn(TcpStream::connect(address)).await??;
        stream.set_nodelay(true)?;
        Ok(Caller { stream, address, token: token.to_owned(), seen: Vec::new() })
    }

    /// Sends a request, and reads the answer to its end.
    pub async fn ask(&mut self, body: &str) -> anyhow::Result<Times> {
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: \
             application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            self.token,
            body.len()
        );
        let watch = Stopwatch::start();
        self.stream.write_all(request.as_bytes()).await?;
        self.seen.clear();
        let mut first = None;
        loop {
            anyhow::ensure!(self.stream.read_buf(&mut self.seen).await? > 0, "the answer was cut");
            let Some(head) = find(&self.seen, b"\r\n\r\n").map(|at| at + 4) else { continue };
            if self.seen.len() > head {
                first.get_or_insert_with(|| watch.ms());
            }
            let done = match length(&self.seen[..head]) {
                Some(length) => self.seen.len() >= head + length,
                None => self.seen.ends_with(b"0\r\n\r\n"),
            };
            if done {
                let status = self.seen.get(9..12).context("there is no status")?;
                anyhow::ensure!(status == b"200", "{}", String::from_utf8_lossy(&self.seen));
                let last = watch.ms();
                return Ok(Times { first: first.unwrap_or(last), last });
            }
        }
    }
}
