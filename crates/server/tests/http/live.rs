//! Live events.

use std::time::Duration;

use kapelle_server::Limits;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpStream,
};

use crate::place::Place;

const FLOW: &str = "name: flow\nsteps:\n  one: { worker: gate }\n  two: { needs: [one], worker: echo }\n";

/// A stream of events that is read as it comes.
pub struct Stream(Lines<BufReader<TcpStream>>);

impl Stream {
    pub async fn open(place: &Place, token: &str, path: &str, more: &str) -> Stream {
        let mut stream = TcpStream::connect(place.address()).await.unwrap();
        let head =
            format!("GET {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n{more}\r\n", place.address());
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut lines = BufReader::new(stream).lines();
        assert!(lines.next_line().await.unwrap().unwrap().contains("200"));
        Stream(lines)
    }

    /// Returns the next event's id and body; `None` when the stream has ended.
    pub async fn next(&mut self) -> Option<(String, Value)> {
        let mut id = String::new();
        while let Some(line) = self.0.next_line().await.ok()? {
            if let Some(text) = line.strip_prefix("id: ") {
                id = text.to_owned();
            }
            if let Some(text) = line.strip_prefix("data: ") {
                return Some((id, serde_json::from_str(text).unwrap()));
            }
        }
        None
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_followed_without_gaps_also_after_an_interruption() {
    let place = Place::new().await;
    place.post("/api/v1/runs", json!({ "source": FLOW })).await.json(201);
    let mut first = Stream::open(&place, &place.token, "/api/v1/runs/run_1/events", "").await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        seen.push(first.next().await.unwrap());
    }
    drop(first);
    let last = format!("last-event-id: {}\r\n", seen.last().unwrap().0);
    let mut second = Stream::open(&place, &place.token, "/api/v1/runs/run_1/events", &last).await;
    place.gate.notify_one();
    while let Some(event) = second.next().await {
        seen.push(event);
    }
    let numbers: Vec<u64> = seen.iter().map(|(id, _)| id.parse().unwrap()).collect();
    let run = place.get("/api/v1/runs/run_1").await.json(200);
    assert_eq!(numbers, (0..run["seq"].as_u64().unwrap()).collect::<Vec<_>>());
    assert_eq!(seen.last().unwrap().1["event"], "succeeded");
    assert_eq!(seen[1].1["task"], "task_1");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_told_to_its_own_tenant_and_a_gap_says_so() {
    let place = Place::new().await;
    let (other, _) = place.key("viewer", 2).await;
    let mut theirs = Stream::open(&place, &other, "/api/v1/events?cursor=1-1", "").await;
    assert_eq!(theirs.next().await.unwrap().1["event"], "resync", "a cursor from elsewhere");
    let mut ours = Stream::open(&place, &place.token, "/api/v1/events", "").await;
    let id = place.submit("echo", json!({})).await;
    let (cursor, ended) = ours.next().await.unwrap();
    assert_eq!(
        (&ended["event"], &ended["task"], &ended["state"]),
        (&json!("task_ended"), &json!(id), &json!("succeeded"))
    );
    place.post("/api/v1/tasks?wait_ms=20000", json!({ "worker": "echo" })).await.json(201);
    let path = format!("/api/v1/events?cursor={cursor}");
    let mut again = Stream::open(&place, &place.token, &path, "").await;
    assert_eq!(again.next().await.unwrap().1["task"], "task_2");
    // The other tenant receives only its own events.
    let (admin, _) = place.key("admin", 2).await;
    place.ask_as(&admin, "POST", "/api/v1/tasks", json!({ "worker": "echo" })).await.json(201);
    assert_eq!(theirs.next().await.unwrap().1["task"], "task_3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_its_key_is_taken_back() {
    let limits = Limits { recheck: Duration::from_millis(50), ..Limits::default() };
    let place = Place::with(limits).await;
    place.post("/api/v1/runs", json!({ "source": FLOW })).await.json(201);
    let (key, id) = place.key("viewer", 1).await;
    let mut all = Stream::open(&place, &key, "/api/v1/events", "").await;
    let mut run = Stream::open(&place, &key, "/api/v1/runs/run_1/events", "").await;
    place.ask("DELETE", &format!("/api/v1/keys/{id}"), Value::Null).await.json(200);
    assert_eq!(all.next().await, None);
    while run.next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_bounded_and_end_with_the_server() {
    let mut place = Place::with(Limits { streams: 2, ..Limits::default() }).await;
    let mut one = Stream::open(&place, &place.token, "/api/v1/events", "").await;
    let two = Stream::open(&place, &place.token, "/api/v1/events", "").await;
    place.get("/api/v1/events").await.refused(503, "too_many", &[]);
    drop(two);
    place.server.drain().await;
    assert_eq!(one.next().await, None);
}

/// Opens a WebSocket. Returns the status and the connection.
pub async fn socket(place: &Place, path: &str, more: &str) -> (u16, TcpStream) {
    let mut stream = TcpStream::connect(place.address()).await.unwrap();
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n",
        place.address()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), stream)
}

/// Returns the opcode and content of the next frame.
pub async fn frame(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let opcode = stream.read_u8().await.unwrap() & 15;
    let length = match stream.read_u8().await.unwrap() {
        126 => usize::from(stream.read_u16().await.unwrap()),
        short => usize::from(short),
    };
    let mut content = vec![0; length];
    stream.read_exact(&mut content).await.unwrap();
    (opcode, content)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_tells_the_same_and_its_pass_is_good_for_one_time() {
    let limits = Limits { recheck: Duration::from_millis(50), ..Limits::default() };
    let place = Place::with(limits).await;
    let (key, id) = place.key("viewer", 1).await;
    let ticket = place.ask_as(&key, "POST", "/api/v1/tickets", Value::Null).await.json(201);
    let path = format!("/api/v1/ws?ticket={}", ticket["ticket"].as_str().unwrap());
    let (status, mut stream) = socket(&place, &path, "").await;
    assert_eq!(status, 101);
    assert_eq!(socket(&place, &path, "").await.0, 401);
    assert_eq!(socket(&place, "/api/v1/ws", "").await.0, 401);
    let foreign = format!("authorization: Bearer {key}\r\norigin: https://evil.example\r\n");
    assert_eq!(socket(&place, "/api/v1/ws", &foreign).await.0, 403);
    place.submit("echo", json!({})).await;
    let (opcode, content) = frame(&mut stream).await;
    let event: Value = serde_json::from_slice(&content).unwrap();
    assert_eq!((opcode, &event["event"]), (1, &json!("task_ended")));
    assert!(event["cursor"].is_string());
    place.ask("DELETE", &format!("/api/v1/keys/{id}"), Value::Null).await.json(200);
    let (opcode, _) = frame(&mut stream).await;
    assert_eq!(opcode, 8, "closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_ends_the_socket() {
    let place = Place::new().await;
    let bearer = format!("authorization: Bearer {}\r\n", place.token);
    let (status, mut stream) = socket(&place, "/api/v1/ws", &bearer).await;
    assert_eq!(status, 101);
    // A masked text frame that claims to have 64 MiB.
    let mut head = vec![0x81, 0x80 | 127];
    head.extend((64u64 << 20).to_be_bytes());
    head.extend([0; 4]);
    stream.write_all(&head).await.unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert_eq!(place.get("/livez").await.status, 200);
}
