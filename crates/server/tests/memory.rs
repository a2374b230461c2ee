//! Memory of a server, which does not grow with the calls through its model gateway.
//!
//! This is a process of its own with one test in it, and its callers and its provider keep nothing, so that the
//! resident memory is the server's. `KAPELLE_GATEWAY_CALLS` is the number of calls.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

use kapelle::{
    Config, Kapelle,
    core::{Name, TenantId, task::Report},
    engine::{ClaimFilter, NewPayload, SubmitTask, command},
    gateway::{Scope, replay::TaskKey},
};
use kapelle_server::{Options, Server};

/// Default number of calls.
const CALLS: usize = 10_000;
/// Calls before the first look at memory: the caches of the store and of the allocator have grown by then.
const WARM: usize = 6_000;
/// Calls between two looks, and between two heartbeats of the attempt, whose lease is 15 s.
const ROUND: usize = 1_000;
const CONNECTIONS: usize = 8;
/// Allowed growth in KiB, however many calls there are: what an allocator keeps here and there. Of 50,000 calls it is
/// 160 bytes each, of 10,000 it is 800; a request that is kept takes more than a thousand, and so does a response.
const MOST_KB: u64 = 8 * 1_024;
/// Time limit for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

const WHOLE: &str = "{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\
    \"message\":{\"role\":\"assistant\",\"content\":\"a short answer of a few words\"},\"finish_reason\":\"stop\"}],\
    \"usage\":{\"prompt_tokens\":20,\"completion_tokens\":9,\"total_tokens\":29}}";
const EVENT: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":\
    [{\"index\":0,\"delta\":{\"content\":\"word \"},\"finish_reason\":null}],\"usage\":null}\n\n";
const LAST: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
    data: {\"choices\":[],\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":20,\"total_tokens\":40}}\n\ndata: [DONE]\n\n";

/// Answers every request and keeps none.
fn provider() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let events = EVENT.repeat(20) + LAST;
    let head = "HTTP/1.1 200 OK\r\ncontent-type:";
    let whole = format!("{head} application/json\r\ncontent-length: {}\r\n\r\n{WHOLE}", WHOLE.len());
    let events = format!("{head} text/event-stream\r\ncontent-length: {}\r\n\r\n{events}", events.len());
    let answers = Arc::new((whole, events));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answers) = (stream.unwrap(), Arc::clone(&answers));
            thread::spawn(move || {
                stream.set_nodelay(true).unwrap();
                let mut seen = Vec::new();
                // Ends when the other side has closed.
                while let Some(streamed) = request(&mut stream, &mut seen) {
                    let answer = if streamed { &answers.1 } else { &answers.0 };
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// Reads one request. Returns whether it asks for a stream.
fn request(stream: &mut TcpStream, seen: &mut Vec<u8>) -> Option<bool> {
    seen.clear();
    loop {
        more(stream, seen)?;
        if let Some(head) = find(seen, b"\r\n\r\n").map(|at| at + 4)
            && seen.len() >= head + length(&seen[..head]).unwrap_or(0)
        {
            return Some(find(&seen[head..], b"\"stream\":true").is_some());
        }
    }
}

fn more(stream: &mut TcpStream, seen: &mut Vec<u8>) -> Option<()> {
    let mut piece = [0; 8_192];
    let read = stream.read(&mut piece).ok().filter(|read| *read > 0)?;
    seen.extend_from_slice(&piece[..read]);
    Some(())
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

fn length(head: &[u8]) -> Option<usize> {
    let head = String::from_utf8_lossy(head).to_lowercase();
    head.lines().find_map(|line| line.strip_prefix("content-length:"))?.trim().parse().ok()
}

/// Makes that many calls on one connection; every second one is streamed.
fn ask(address: SocketAddr, token: &str, first: usize, calls: usize) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let text = "Summarise this text in two sentences. ".repeat(30);
    let mut seen = Vec::new();
    for number in first..first + calls {
        let streamed = number % 2 == 1;
        let body = format!(
            "{{\"model\":\"fast\",\"stream\":{streamed},\"messages\":[{{\"role\":\"user\",\"content\":\"{number} {text}\"}}]}}"
        );
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).unwrap();
        seen.clear();
        loop {
            more(&mut stream, &mut seen).unwrap();
            let Some(head) = find(&seen, b"\r\n\r\n").map(|at| at + 4) else { continue };
            match length(&seen[..head]) {
                Some(length) if seen.len() < head + length => {}
                None if !seen.ends_with(b"0\r\n\r\n") => {}
                _ => break,
            }
        }
        let whole = if streamed { find(&seen, b"[DONE]") } else { find(&seen, b"a short answer of a few words") };
        assert!(seen.starts_with(b"HTTP/1.1 200") && whole.is_some(), "{}", String::from_utf8_lossy(&seen));
    }
}

/// Returns the resident memory of this process.
fn resident_kb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().split(' ').next().unwrap().parse().unwrap()
}

/// A server whose one task is in progress.
struct Stage {
    server: Server,
    kapelle: Arc<Kapelle>,
    attempt: Report,
    token: String,
}

impl Stage {
    async fn new(folder: &std::path::Path, provider: SocketAddr) -> Stage {
        let text = format!(
            "providers: {{ p: {{ kind: compatible, base_url: 'http://{provider}/v1' }} }}\nmodels: {{ fast: {{ chain: \
             [p/m], max_output_tokens: 100 }} }}\nprices: {{ 'p/m': {{ input: $1, output: $1 }} }}\n"
        );
        let config = Config::parse(&text, "kapelle.yaml").unwrap();
        let builder = Kapelle::builder(folder).config(config).environment(|_| None);
        let kapelle = Arc::new(builder.open().await.unwrap());
        let options = Options { listen: "127.0.0.1:0".to_owned(), ..Options::default() };
        let server = Server::start(Arc::clone(kapelle.app()), options).await.unwrap();
        let tenant = TenantId::DEFAULT;
        let task = SubmitTask::new(Name::new("far"), NewPayload::None);
        let id = kapelle.engine().submit(tenant, vec![task], None).await.unwrap();
        let workers = Arc::from([Name::new("far")]);
        let wanted = ClaimFilter::new(tenant, workers);
        let claimed = kapelle.engine().claim(1, wanted, 1, PATIENCE, Arc::default()).await.unwrap();
        let lease = claimed.first().unwrap().lease;
        let attempt = Report { task: id, epoch: lease.epoch, nonce: lease.nonce };
        let key = TaskKey { tenant, task: id, replay_epoch: 0 };
        let token = kapelle.app().token_issuer().issue_task_token(key, lease.epoch, Scope::default()).unwrap().token;
        Stage { server, kapelle, attempt, token }
    }

    async fn beat(&self) {
        self.kapelle
            .engine()
            .ask(command::Heartbeat { tenant: TenantId::DEFAULT, reports: Arc::from([self.attempt]) })
            .await
            .unwrap();
    }
}

#[test]
fn memory_stays_where_it_is_over_many_calls() {
    let said = std::env::var("KAPELLE_GATEWAY_CALLS").ok().map(|text| text.parse().unwrap());
    let calls: usize = said.unwrap_or(CALLS);
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut stage = runtime.block_on(Stage::new(folder.path(), provider()));
    let address = stage.server.address();
    let mut made = 0;
    let mut round = |stage: &Stage| {
        thread::scope(|scope| {
            for _ in 0..CONNECTIONS {
                let first = made;
                scope.spawn(move || ask(address, &stage.token, first, ROUND / CONNECTIONS));
                made += ROUND / CONNECTIONS;
            }
        });
        runtime.block_on(stage.beat());
        resident_kb()
    };
    for _ in 0..WARM / ROUND {
        round(&stage);
    }
    let before = resident_kb();
    let most = (0..calls / ROUND).map(|_| round(&stage)).max().unwrap_or(before);
    let added = most.saturating_sub(before);
    println!("{before} KB after {WARM} calls, at most {added} KB more during {calls} others");
    assert!(added <= MOST_KB, "{calls} calls added {added} KB to {before} KB");
    runtime.block_on(stage.server.stop());
}
