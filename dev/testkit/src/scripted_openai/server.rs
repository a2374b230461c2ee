//! The server: a task for each connection, a record of each call.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use super::{
    http::{self, Request},
    messages, reply,
    script::{Rule, Script},
    stream,
};

/// A recorded call.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Call {
    /// Number of the call, from 1.
    pub number: u64,
    /// Number of the connection, from 1.
    pub connection: u64,
    /// Path such as `/v1/chat/completions`.
    pub path: String,
    /// Headers with names in lower case; the key is among them.
    pub headers: Map<String, Value>,
    pub body: Value,
    /// Index of the rule that answered.
    pub rule: Option<usize>,
}

struct State {
    script: Script,
    inner: Mutex<Inner>,
    count: watch::Sender<u64>,
    left: watch::Sender<u64>,
}

#[derive(Default)]
struct Inner {
    calls: Vec<Call>,
    used: Vec<u64>,
    connections: u64,
}

/// A running double. Dropping it closes every connection.
pub struct ScriptedOpenai {
    address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl ScriptedOpenai {
    /// Starts on a free port of this machine.
    ///
    /// # Errors
    /// When no port can be opened.
    pub async fn start(script: Script) -> io::Result<ScriptedOpenai> {
        ScriptedOpenai::start_at(script, 0).await
    }

    /// Starts on that port; 0 takes a free one.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start_at(script: Script, port: u16) -> io::Result<ScriptedOpenai> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let address = listener.local_addr()?;
        let inner = Inner { used: vec![0; script.rules.len()], ..Inner::default() };
        let state = Arc::new(State {
            script,
            inner: Mutex::new(inner),
            count: watch::Sender::new(0),
            left: watch::Sender::new(0),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&state)));
        Ok(ScriptedOpenai { address, state, task })
    }

    /// Returns the address on which it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address for `OPENAI_BASE_URL`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Returns the calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.state.lock().calls.clone()
    }

    /// Counts the opened connections.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.state.lock().connections
    }

    /// Waits until that many calls have arrived.
    pub async fn called(&self, calls: u64) {
        let mut count = self.state.count.subscribe();
        // The sender lives as long as this server, so that waiting cannot fail.
        let _ = count.wait_for(|&seen| seen >= calls).await;
    }

    /// Waits until that many callers have left in the middle of a stream that hangs.
    pub async fn left(&self, callers: u64) {
        let mut left = self.state.left.subscribe();
        let _ = left.wait_for(|&seen| seen >= callers).await;
    }

    /// Runs until the process ends.
    pub async fn serve(mut self) {
        let _ = (&mut self.task).await;
    }
}

impl Drop for ScriptedOpenai {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whether that path answers model calls.
    fn serves(&self, path: &str) -> bool {
        let endpoint = ["/chat/completions", "/responses", "/embeddings", "/messages"]
            .iter()
            .find_map(|end| path.strip_suffix(end));
        endpoint.is_some_and(|base| self.script.base.as_deref().is_none_or(|own| own == base))
    }

    /// Returns the caller's key if it is wrong.
    fn wrong_key(&self, request: &Request) -> Option<String> {
        let key = self.script.key.as_ref()?;
        let given = match &self.script.key_header {
            Some(name) => request.header(name).unwrap_or("").to_owned(),
            None => request.header("authorization").and_then(|v| v.strip_prefix("Bearer ")).unwrap_or("").to_owned(),
        };
        (given != *key).then_some(given)
    }

    /// Records the call and finds the rule that answers it.
    fn record(&self, connection: u64, request: &Request, body: &Value) -> (u64, Option<Rule>) {
        let model = body["model"].as_str().unwrap_or("");
        let prompt = reply::prompt_of(body);
        let mut inner = self.lock();
        let free = |at: usize, rule: &Rule| rule.times.is_none_or(|times| inner.used[at] < times);
        let rules = || self.script.rules.iter().enumerate();
        let rule = rules().find(|&(at, rule)| rule.fits(model, &prompt) && free(at, rule)).map(|(at, _)| at);
        if let Some(at) = rule {
            inner.used[at] += 1;
        }
        let number = inner.calls.len() as u64 + 1;
        let headers = request.headers.iter().map(|(k, v)| (k.clone(), Value::from(v.as_str()))).collect();
        inner.calls.push(Call { number, connection, path: request.path.clone(), headers, body: body.clone(), rule });
        self.count.send_replace(number);
        (number, rule.map(|at| self.script.rules[at].clone()))
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    // Connections live in the set, so that ending this task ends them too.
    let mut open = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        let number = {
            let mut inner = state.lock();
            inner.connections += 1;
            inner.connections
        };
        open.spawn(async move {
            // A caller that hangs up is part of the test.
            let _ = connection(stream, number, &state).await;
        });
        while open.try_join_next().is_some() {}
    }
}

async fn connection(mut stream: TcpStream, number: u64, state: &State) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    while let Some(request) = http::read(&mut stream, &mut buffer).await? {
        let keep = match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/_calls") => {
                let calls = json!(state.lock().calls);
                send(&mut stream, 200, &[], calls.to_string().as_bytes()).await?
            }
            ("GET", "/v1/models") => {
                let list = json!({ "object": "list", "data": [{ "id": "gpt-4o-mini", "object": "model" }] });
                send(&mut stream, 200, &[], list.to_string().as_bytes()).await?
            }
            ("POST", path) if state.serves(path) => chat(&mut stream, number, &request, state).await?,
            (method, path) => {
                let body = reply::error(&format!("Invalid URL ({method} {path})"), "unknown_url");
                send(&mut stream, 404, &[], body.as_bytes()).await?
            }
        };
        if !keep {
            return Ok(());
        }
    }
    Ok(())
}

/// Answers one chat request. Returns whether the connection stays open.
async fn chat(stream: &mut TcpStream, connection: u64, request: &Request, state: &State) -> io::Result<bool> {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let (number, rule) = state.record(connection, request, &body);
    let path = request.path.as_str();
    let messages = path.ends_with("/messages");
    if let Some(given) = state.wrong_key(request) {
        // The provider repeats the key it was given, which callers must not log.
        let body = match messages {
            true => messages::wrong_key(&given),
            false => reply::error(&format!("Incorrect API key provided: {given}."), "invalid_api_key"),
        };
        return send(stream, 401, &[], body.as_bytes()).await;
    }
    let header = |name: &str| request.header(name).map(str::to_owned);
    if let Some(fault) = messages.then(|| messages::fault(&body, &header)).flatten() {
        return send(stream, 400, &[], fault.as_bytes()).await;
    }
    let completion = || whole(path, &body, rule.as_ref(), number).to_string();
    let streams = body["stream"] == Value::Bool(true);
    let events = || stream::dressed(state.script.flavour, stream::events(path, &body, rule.as_ref(), number));
    if streams && rule.is_none() {
        stream::send(stream, &[], events(), None).await?;
        return Ok(true);
    }
    let Some(rule) = &rule else {
        return send(stream, 200, &[], completion().as_bytes()).await;
    };
    if rule.drip.is_none() {
        tokio::time::sleep(Duration::from_millis(rule.delay_ms)).await;
    }
    if rule.hang {
        std::future::pending::<()>().await;
    }
    if rule.reset {
        stream.set_zero_linger()?;
        return Ok(false);
    }
    let headers: Vec<_> = rule.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    if let Some(bytes) = rule.body_bytes {
        return flood(stream, &headers, bytes).await;
    }
    let status = rule.status.unwrap_or(200);
    if streams && status == 200 && rule.body.is_none() {
        let ended = stream::send(stream, &headers, events(), Some(rule)).await?;
        if ended == stream::Ended::CallerLeft {
            state.left.send_modify(|left| *left += 1);
        }
        return Ok(ended == stream::Ended::Whole);
    }
    let text = match &rule.body {
        Some(body) => body.clone(),
        None if status != 200 => reply::status_error(state.script.flavour, status),
        None => completion(),
    };
    let text = if rule.malformed { text[..text.len() / 2].to_owned() } else { text };
    match rule.drip {
        Some(size) => drip(stream, &headers, text.as_bytes(), (size.max(1), rule.delay_ms)).await,
        None if rule.cut => {
            let head = http::head(status, &headers, Some(text.len()));
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&text.as_bytes()[..text.len() / 2]).await?;
            Ok(false)
        }
        None => send(stream, status, &headers, text.as_bytes()).await,
    }
}

fn whole(path: &str, body: &Value, rule: Option<&Rule>, number: u64) -> Value {
    match path.rsplit('/').next() {
        Some("messages") => messages::message(body, rule, number),
        Some("responses") => reply::response(body, rule, number),
        Some("embeddings") => reply::embeddings(body, rule),
        _ => reply::completion(body, rule, number),
    }
}

async fn send(stream: &mut TcpStream, status: u16, headers: &[(String, String)], body: &[u8]) -> io::Result<bool> {
    let mut all = headers.to_vec();
    if !all.iter().any(|(name, _)| name == "content-type") {
        all.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    let mut bytes = http::head(status, &all, Some(body.len())).into_bytes();
    bytes.extend_from_slice(body);
    stream.write_all(&bytes).await?;
    Ok(true)
}

async fn drip(
    stream: &mut TcpStream,
    headers: &[(String, String)],
    body: &[u8],
    (size, delay_ms): (usize, u64),
) -> io::Result<bool> {
    stream.write_all(http::head(200, headers, Some(body.len())).as_bytes()).await?;
    for piece in body.chunks(size) {
        stream.write_all(piece).await?;
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
    }
    Ok(true)
}

async fn flood(stream: &mut TcpStream, headers: &[(String, String)], bytes: u64) -> io::Result<bool> {
    stream.write_all(http::head(200, headers, None).as_bytes()).await?;
    let piece = [b' '; 1 << 16];
    let mut left = bytes;
    while left > 0 {
        let size = left.min(piece.len() as u64);
        stream.write_all(format!("{size:x}\r\n").as_bytes()).await?;
        stream.write_all(&piece[..usize::try_from(size).unwrap_or(piece.len())]).await?;
        stream.write_all(b"\r\n").await?;
        left -= size;
    }
    stream.write_all(b"0\r\n\r\n").await?;
    Ok(true)
}
