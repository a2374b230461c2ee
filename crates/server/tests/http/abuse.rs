//! Malicious clients.

use std::time::Duration;

use kapelle_server::Limits;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::place::Place;

/// Sends a text and reads until the other side closes.
async fn until_closed(place: &Place, text: &[u8]) -> String {
    let mut stream = TcpStream::connect(place.address()).await.unwrap();
    let _ = stream.write_all(text).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn impatient() -> Limits {
    let soon = Duration::from_millis(100);
    Limits { header_time: soon, body_idle: soon, write_stall: soon, ..Limits::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_request_is_not_waited_for() {
    let place = Place::with(impatient()).await;
    until_closed(&place, b"").await;
    until_closed(&place, b"GET /livez HTTP/1.1\r\nhost: loc").await;
    let stalled = format!(
        "POST /api/v1/tasks HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: 100\r\n\r\n{{",
        place.address(),
        place.token
    );
    assert!(until_closed(&place, stalled.as_bytes()).await.contains("408"));
    // A stranger is refused before a byte of the body is awaited.
    let stranger = format!("POST /api/v1/tasks HTTP/1.1\r\nhost: {}\r\ncontent-length: 100\r\n\r\n", place.address());
    assert!(until_closed(&place, stranger.as_bytes()).await.contains("401"));
    assert_eq!(place.get("/livez").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_heads_and_endless_bodies_are_cut() {
    let place = Place::new().await;
    let long = format!("GET /livez HTTP/1.1\r\nhost: {}\r\nx: {}\r\n\r\n", place.address(), "a".repeat(100_000));
    // The connection may be closed while data was still being sent, and the response lost with it.
    let answer = until_closed(&place, long.as_bytes()).await;
    assert!(answer.is_empty() || answer.contains("431"), "{answer}");
    let many = format!("GET /livez HTTP/1.1\r\nhost: {}\r\n{}\r\n", place.address(), "x: y\r\n".repeat(1_000));
    assert!(until_closed(&place, many.as_bytes()).await.contains("431"));
    let mut endless = format!(
        "POST /api/v1/tasks HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n",
        place.address(),
        place.token
    )
    .into_bytes();
    for _ in 0..40 {
        endless.extend_from_slice(b"10000\r\n");
        endless.extend(vec![b' '; 0x10000]);
        endless.extend_from_slice(b"\r\n");
    }
    let answer = until_closed(&place, &endless).await;
    assert!(answer.is_empty() || answer.contains("413"), "{answer}");
    // A false length, and one that is not a number.
    let lie = format!(
        "POST /api/v1/tasks HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-length: 1073741824\r\n\r\n",
        place.address(),
        place.token
    );
    assert!(until_closed(&place, lie.as_bytes()).await.contains("413"));
    assert!(until_closed(&place, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n").await.contains("400"));
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_json_is_refused_and_kills_nothing() {
    let place = Place::new().await;
    let bearer = format!("Bearer {}", place.token);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let say = async |body: &str| place.say("POST", "/api/v1/tasks", &headers, body.as_bytes()).await;
    let deep = format!("{{\"worker\":\"echo\",\"input\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    for body in [
        deep.as_str(),
        "{\"worker\":\"echo\",\"worker\":\"refuse\"}",
        "{\"worker\":\"echo\",\"input\":NaN}",
        "{\"worker\":\"echo\",\"input\":\"\\ud800\"}",
        "{\"worker\":\"echo\"",
        "{\"worker\":\"echo\"} {}",
        "\u{feff}{}",
        "[",
        "nul",
    ] {
        let answer = say(body).await;
        assert!([400, 422].contains(&answer.status), "{}: {}", &body[..body.len().min(60)], answer.text());
        answer.refused(answer.status, if answer.status == 400 { "invalid_request" } else { "invalid_input" }, &[]);
    }
    let bytes = place.say("POST", "/api/v1/tasks", &headers, b"{\"worker\":\"\xff\"}").await;
    bytes.refused(400, "invalid_request", &[]);
    assert_eq!(place.get("/api/v1/tasks").await.json(200)["tasks"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_no_more_connections_than_there_may_be() {
    let place = Place::with(Limits { connections: 8, ..Limits::default() }).await;
    let id = place.submit("gate", json!({})).await;
    let (key, _) = place.key("viewer", 1).await;
    let wait = |secret: &str| {
        let path = format!("/api/v1/tasks/{id}?wait_ms=60000");
        format!("GET {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {secret}\r\n\r\n", place.address())
    };
    // A key has a quarter of them, and is refused when it uses all of that at once.
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(place.address()).await.unwrap();
        stream.write_all(wait(&key).as_bytes()).await.unwrap();
        waiting.push(stream);
    }
    while place.get("/metrics").await.text().lines().all(|line| line != "kapelle_connections 3") {}
    let refused = place.ask_as(&key, "GET", "/api/v1/tasks", Value::Null).await;
    refused.refused(429, "too_many", &["connections", "share of 2"]);
    // A connection beyond the limit is refused, or at least closed: the system may drop the response with the
    // connection.
    loop {
        let mut stream = TcpStream::connect(place.address()).await.unwrap();
        let _ = stream.write_all(wait(&place.token).as_bytes()).await;
        waiting.push(stream);
        let ask = b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let answer = until_closed(&place, ask).await;
        if answer.is_empty() || answer.contains(" 503 ") {
            assert!(answer.is_empty() || answer.ends_with("little while\"}"), "{answer}");
            break;
        }
    }
    drop(waiting);
    // New ones are accepted as soon as those connections have ended.
    loop {
        let ask = format!("GET /livez HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", place.address());
        if until_closed(&place, ask.as_bytes()).await.contains("200") {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_connections_at_the_same_moment_are_all_answered() {
    let place = Place::new().await;
    let address = place.address();
    let ask = format!("GET /livez HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..1_000 {
        let ask = ask.clone();
        clients.spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(ask.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer.starts_with("HTTP/1.1 200")
        });
    }
    let answered = tokio::time::timeout(Duration::from_secs(60), clients.join_all()).await.unwrap();
    assert_eq!(answered.iter().filter(|answered| **answered).count(), 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_finishes_what_is_under_way_and_takes_nothing_new() {
    let mut place = Place::new().await;
    let id = place.submit("gate", json!({})).await;
    let bearer = format!("authorization: Bearer {}", place.token);
    let mut open = TcpStream::connect(place.address()).await.unwrap();
    let wait = format!("GET /api/v1/tasks/{id} HTTP/1.1\r\nhost: {}\r\n{bearer}\r\n\r\n", place.address());
    open.write_all(wait.as_bytes()).await.unwrap();
    open.read_u8().await.unwrap();
    let address = place.address();
    let gate = std::sync::Arc::clone(&place.gate);
    let kapelle = std::sync::Arc::clone(&place.kapelle);
    let ending = async {
        place.server.drain().await;
    };
    let letting_go = async move {
        // The server is not ready any more, while the task still runs; a new task is refused.
        loop {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let ask = format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
            stream.write_all(ask.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            if answer.contains(" 503 ") {
                break;
            }
        }
        gate.notify_one();
    };
    tokio::join!(ending, letting_go);
    let task = kapelle.engine().reader().task(kapelle::core::TenantId::DEFAULT, id.parse().unwrap()).unwrap().unwrap();
    assert_eq!(task.state.kind().as_str(), "succeeded");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_nothing_of_anybodys_data() {
    let place = Place::new().await;
    place.submit("gate", json!({ "secret": "canary" })).await;
    for path in ["/livez", "/readyz", "/health"] {
        let answer = place.say("GET", path, &[], b"").await;
        assert_eq!((answer.status, answer.text().contains("gate")), (200, false), "{path}");
    }
    let metrics = place.get("/metrics").await;
    assert!(
        metrics.text().contains("kapelle_tasks_open{tenant=\"1\",queue=\"default\",state=\"running\"} 1"),
        "{}",
        metrics.text()
    );
    assert!(metrics.text().contains("# TYPE kapelle_http_requests_total counter\n"));
    let _: Value = place.get("/workers/status").await.json(200);
}
