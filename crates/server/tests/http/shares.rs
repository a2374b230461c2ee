//! One client, key or tenant that takes all it can get, and the others beside it.

use std::time::Duration;

use kapelle_server::Limits;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::place::Place;

/// Time limit for everything here.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends a request whose body does not come, or not all of it.
pub async fn half(place: &Place, secret: &str, path: &str, more: &str, part: &[u8]) -> TcpStream {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {secret}\r\ncontent-type: application/json\r\n{more}\r\n",
        place.address()
    );
    let mut stream = TcpStream::connect(place.address()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let _ = stream.write_all(part).await;
    stream
}

/// Returns the first bytes that come.
pub async fn beginning(stream: &mut TcpStream) -> String {
    let mut bytes = [0; 1_024];
    let read = timeout(PATIENCE, stream.read(&mut bytes)).await.unwrap().unwrap_or(0);
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}

/// Waits long enough for an earlier request to be refused.
async fn quiet(place: &Place) {
    for _ in 0..20 {
        place.get("/livez").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn half_bodies_of_one_tenant_leave_memory_to_the_others_and_deadlock_nothing() {
    let wait = Duration::from_millis(1);
    let place = Place::with(Limits { body_bytes: 4 << 20, body_wait: wait, ..Limits::default() }).await;
    let (greedy, _) = place.key("developer", 2).await;
    let (other, _) = place.key("developer", 3).await;
    let part = vec![b' '; 600 * 1024];
    let announced = format!("content-length: {}\r\n", 1 << 20);
    let mut held = Vec::new();
    let refused = loop {
        let mut stream = half(&place, &greedy, "/api/v1/tasks", &announced, &part).await;
        let mut first = [0; 512];
        tokio::select! {
            read = stream.read(&mut first) => break String::from_utf8_lossy(&first[..read.unwrap()]).into_owned(),
            _ = quiet(&place) => {}
        }
        held.push(stream);
        assert!(held.len() < 8, "{} MiB of half bodies are held", held.len());
    };
    assert!(refused.contains(" 429 ") && refused.contains("retry-after: "), "{refused}");
    let large = json!({ "worker": "echo", "input": "x".repeat(400 * 1024) });
    place.ask_as(&other, "POST", "/api/v1/tasks", large.clone()).await.json(201);
    place.post("/api/v1/tasks", large.clone()).await.json(201);
    // A small body needs no share, and released shares are free for the next.
    place.ask_as(&greedy, "POST", "/api/v1/tasks", json!({ "worker": "echo" })).await.json(201);
    drop(held);
    let again = async {
        while place.ask_as(&greedy, "POST", "/api/v1/tasks", large.clone()).await.status != 201 {
            place.get("/livez").await;
        }
    };
    timeout(PATIENCE, again).await.expect("the memory is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_waits_for_the_memory_of_those_that_end_soon() {
    let place = Place::with(Limits { body_bytes: 2 << 20, ..Limits::default() }).await;
    let (key, _) = place.key("developer", 2).await;
    let large = json!({ "worker": "echo", "input": "x".repeat(700 * 1024) });
    let mut calls = Vec::new();
    for _ in 0..8 {
        calls.push(place.ask_as(&key, "POST", "/api/v1/tasks", large.clone()));
    }
    let mut calls: Vec<_> = calls.into_iter().map(Box::pin).collect();
    let mut answered = 0;
    std::future::poll_fn(|cx| {
        calls.retain_mut(|call| match call.as_mut().poll(cx) {
            std::task::Poll::Ready(answer) => {
                answer.json(201);
                answered += 1;
                false
            }
            std::task::Poll::Pending => true,
        });
        if calls.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    assert_eq!(answered, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn few_bytes_with_many_values_are_counted_as_what_they_take() {
    let place = Place::with(Limits { body_bytes: 8 << 20, ..Limits::default() }).await;
    let (key, _) = place.key("developer", 2).await;
    let many = json!({ "worker": "echo", "input": vec![0; 200_000] });
    place.ask_as(&key, "POST", "/api/v1/tasks", many).await.refused(413, "too_large", &["values"]);
    let text = json!({ "worker": "echo", "input": ",".repeat(400_000) });
    place.ask_as(&key, "POST", "/api/v1/tasks", text).await.json(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_trickles_is_cut() {
    let limits = Limits { body_idle: Duration::from_millis(500), body_rate: 1 << 20, ..Limits::default() };
    let place = Place::with(limits).await;
    for path in ["/api/v1/tasks", "/api/v1/artifacts", "/v1/embeddings"] {
        let mut stream = half(&place, &place.token, path, "content-length: 100000\r\n", b"{").await;
        let (mut reader, mut writer) = stream.split();
        let mut answer = [0; 12];
        let trickle = async {
            let mut tick = tokio::time::interval(Duration::from_millis(50));
            loop {
                tick.tick().await;
                let _ = writer.write_all(b" ").await;
            }
        };
        tokio::select! {
            read = timeout(PATIENCE, reader.read_exact(&mut answer)) => drop(read.expect("it is never cut").unwrap()),
            () = trickle => {}
        }
        assert_eq!(&answer, b"HTTP/1.1 408", "{path}");
    }
}

#[test]
fn slow_files_keep_no_thread_from_lists() {
    // Fewer threads than slow clients, as with 512 threads and 560 clients.
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).max_blocking_threads(12).enable_all().build().unwrap();
    runtime.block_on(async {
        let place = Place::new().await;
        let (key, _) = place.key("developer", 2).await;
        let bearer = format!("Bearer {key}");
        let large = vec![b'x'; 4 << 20];
        let mut stream = half(&place, &key, "/api/v1/artifacts", "content-length: 4194304\r\n", &large).await;
        let made = beginning(&mut stream).await;
        assert!(made.contains(" 201 "), "{made}");
        let files = place.ask_as(&key, "GET", "/api/v1/artifacts", Value::Null).await.json(200);
        let file = files["artifacts"][0]["$file"].as_str().unwrap().to_owned();
        let mut held = Vec::new();
        for _ in 0..20 {
            held.push(half(&place, &key, "/api/v1/artifacts", "content-length: 100000\r\n", &[0; 40_000]).await);
            let mut reader = TcpStream::connect(place.address()).await.unwrap();
            let ask = format!(
                "GET /api/v1/artifacts/{file} HTTP/1.1\r\nhost: {}\r\nauthorization: {bearer}\r\n\r\n",
                place.address()
            );
            reader.write_all(ask.as_bytes()).await.unwrap();
            reader.read_u8().await.unwrap();
            held.push(reader);
        }
        let lists = async {
            for path in ["/readyz", "/api/v1/tasks", "/api/v1/runs", "/api/v1/keys", "/api/v1/artifacts"] {
                assert_eq!(place.get(path).await.status, 200, "{path}");
            }
            place.post("/api/v1/keys", json!({ "name": "k", "role": "viewer" })).await.json(201);
        };
        timeout(PATIENCE, lists).await.expect("lists wait for slow files");
        // A file is uploaded and downloaded completely beside them.
        let whole = place.say("POST", "/api/v1/artifacts", &[("authorization", &bearer)], b"small").await.json(201);
        let path = format!("/api/v1/artifacts/{}", whole["$file"].as_str().unwrap());
        assert_eq!(place.ask_as(&key, "GET", &path, Value::Null).await.text(), "small");
        drop(held);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_and_streams_are_shared_by_key_and_tenant_with_a_reserve_for_admins() {
    let place = Place::with(Limits { streams: 32, transfers: 32, ..Limits::default() }).await;
    let file = |secret: String| half_file(&place, secret);
    let stream = |secret: String| open_stream(&place, secret);
    let keys = [place.key("developer", 2).await.0, place.key("developer", 2).await.0, place.key("admin", 2).await.0];
    let (other, _) = place.key("developer", 3).await;
    let mut open = Vec::new();
    for kind in ["file", "stream"] {
        let ask = async |secret: &str| match kind {
            "file" => file(secret.to_owned()).await,
            _ => stream(secret.to_owned()).await,
        };
        // A quarter for a key, a half for a tenant, of which an eighth is reserved for its admins.
        for (secret, may) in [(&keys[0], 8), (&keys[1], 6), (&keys[2], 2), (&other, 8), (&place.token, 1)] {
            for _ in 0..may {
                let (answer, connection) = ask(secret).await;
                assert!(answer.contains(" 200 ") || answer.contains(" 100 "), "{kind}: {answer}");
                open.push(connection);
            }
            if *secret != place.token {
                let (answer, _) = ask(secret).await;
                assert!(answer.contains(" 429 ") && answer.contains("retry-after: "), "{kind}: {answer}");
                assert!(answer.contains("share of "), "{kind}: {answer}");
            }
        }
    }
}

/// Begins an upload: `100 Continue` says that it was admitted.
async fn half_file(place: &Place, secret: String) -> (String, TcpStream) {
    let more = "content-length: 9\r\nexpect: 100-continue\r\n";
    let mut stream = half(place, &secret, "/api/v1/artifacts", more, b"").await;
    (beginning(&mut stream).await, stream)
}

async fn open_stream(place: &Place, secret: String) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(place.address()).await.unwrap();
    let head =
        format!("GET /api/v1/events HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {secret}\r\n\r\n", place.address());
    stream.write_all(head.as_bytes()).await.unwrap();
    (beginning(&mut stream).await, stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_makes_passes_without_end_loses_its_own_oldest() {
    let place = Place::new().await;
    let (viewer, _) = place.key("viewer", 2).await;
    let pass = async |secret: &str| {
        let made = place.ask_as(secret, "POST", "/api/v1/tickets", Value::Null).await.json(201);
        made["ticket"].as_str().unwrap().to_owned()
    };
    let own = pass(&place.token).await;
    let first = pass(&viewer).await;
    let mut last = String::new();
    for _ in 0..1_010 {
        last = pass(&viewer).await;
    }
    // Others get theirs, and the earlier ones are valid.
    let later = pass(&place.token).await;
    let opened = async |ticket: &str| {
        let mut stream = TcpStream::connect(place.address()).await.unwrap();
        let ask = format!("GET /api/v1/events?ticket={ticket} HTTP/1.1\r\nhost: {}\r\n\r\n", place.address());
        stream.write_all(ask.as_bytes()).await.unwrap();
        beginning(&mut stream).await
    };
    for (ticket, status) in [(&own, " 200 "), (&first, " 401 "), (&last, " 200 "), (&later, " 200 ")] {
        let answer = opened(ticket).await;
        assert!(answer.contains(status), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_strangers_give_way_to_newcomers_and_known_keys_keep_their_places() {
    let place = Place::with(Limits { connections: 24, connections_per_peer: 12, ..Limits::default() }).await;
    let ask = |who: &str| format!("GET /api/v1/tasks HTTP/1.1\r\nhost: {}\r\n{who}\r\n", place.address());
    let bearer = format!("authorization: Bearer {}\r\n", place.token);
    let mut known = TcpStream::connect(place.address()).await.unwrap();
    known.write_all(ask(&bearer).as_bytes()).await.unwrap();
    assert!(beginning(&mut known).await.contains(" 200 "));
    let mut idle = Vec::new();
    for round in 0..60 {
        idle.push(TcpStream::connect(place.address()).await.unwrap());
        if round % 20 == 0 {
            // Half a request is no reason to be kept.
            idle.last_mut().unwrap().write_all(b"GET /livez HTTP/1.1\r\nhost: loc").await.unwrap();
        }
    }
    for _ in 0..30 {
        assert_eq!(place.say("GET", "/livez", &[], b"").await.status, 200);
        assert_eq!(place.say("GET", "/readyz", &[], b"").await.status, 200);
        assert_eq!(place.get("/api/v1/tasks").await.status, 200);
    }
    let mut first = [0; 64];
    assert_eq!(timeout(PATIENCE, idle[0].read(&mut first)).await.expect("it is kept").unwrap_or(0), 0);
    known.write_all(ask(&bearer).as_bytes()).await.unwrap();
    assert!(beginning(&mut known).await.contains(" 200 "), "a known one was closed for strangers");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_secret_is_counted_and_a_right_one_always_passes() {
    let ticket = |secret: &str| (format!("/api/v1/events?ticket={secret}"), String::new());
    let bearer = |path: &str, secret: &str| (path.to_owned(), format!("Bearer {secret}"));
    let wrong_token = format!("kapelle_{}", "0".repeat(80));
    let kinds = [
        ("GET", bearer("/api/v1/tasks", "kap_wrong")),
        ("GET", bearer("/v1/models", &wrong_token)),
        ("POST", bearer("/v1/chat/completions", &wrong_token)),
        ("GET", bearer("/api/v1/tasks", &wrong_token)),
        ("GET", ticket("kap_wrong")),
        ("GET", ("/approve/1.2.3.00".to_owned(), String::new())),
        ("POST", ("/approve/1.2.3.00".to_owned(), String::new())),
        ("GET", bearer("/nothing", "kap_wrong")),
    ];
    for (method, (path, secret)) in kinds {
        let place = Place::new().await;
        let headers: &[(&str, &str)] = &[("authorization", &secret)];
        let headers = if secret.is_empty() { &[] } else { headers };
        let mut statuses = Vec::new();
        for _ in 0..25 {
            statuses.push(place.say(method, &path, headers, b"").await.status);
        }
        let refused = if path.starts_with("/approve") { 404 } else { 401 };
        assert_eq!(statuses[..20], [refused; 20], "{method} {path}");
        assert_eq!(statuses[20..], [429; 5], "{method} {path}");
        let told = place.say(method, &path, headers, b"").await;
        assert!(told.headers["retry-after"].parse::<u32>().unwrap() <= 60, "{method} {path}");
        // Behind a proxy, all callers share the address.
        assert_eq!(place.get("/api/v1/tasks").await.status, 200);
        assert_eq!(place.say("GET", "/livez", &[], b"").await.status, 200);
        let made = place.post("/api/v1/tickets", Value::Null).await.json(201);
        let (path, _) = ticket(made["ticket"].as_str().unwrap());
        let mut stream = TcpStream::connect(place.address()).await.unwrap();
        let ask = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", place.address());
        stream.write_all(ask.as_bytes()).await.unwrap();
        assert!(beginning(&mut stream).await.contains(" 200 "));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_claims_end_where_their_bytes_do() {
    let place = Place::with(Limits { page_bytes: 100_000, ..Limits::default() }).await;
    let source = "name: wide\ninputs: { type: object }\nsteps:\n  all: { for_each: '${{ range(5) }}', worker: echo, \
                  with: { text: '${{ inputs.text }}' } }\n  ask: { wait: { approval: '${{ inputs.text }}' } }\n  \
                  also: { wait: { approval: '${{ inputs.text }}' } }\n  last: { wait: { approval: '${{ inputs.text }}' } }\n";
    let run = json!({ "source": source, "inputs": { "text": "x".repeat(60_000) } });
    let run = place.post("/api/v1/runs", run).await.json(201)["id"].as_str().unwrap().to_owned();
    let steps = async {
        loop {
            let (mut found, mut cursor) = (Vec::new(), String::new());
            loop {
                let page = place.get(&format!("/api/v1/runs/{run}/steps?limit=100{cursor}")).await;
                assert!(page.body.len() < 450_000, "{}", page.body.len());
                let page = page.json(200);
                found.extend(page["steps"].as_array().unwrap().iter().map(|step| step["state"].clone()));
                let Some(next) = page["next_cursor"].as_str() else { break };
                cursor = format!("&cursor={next}");
            }
            if found.iter().filter(|state| *state == "succeeded").count() >= 5
                && found.iter().filter(|state| *state == "waiting").count() >= 3
            {
                return;
            }
        }
    };
    timeout(PATIENCE, steps).await.expect("all steps are listed");
    let approvals = place.get("/api/v1/approvals").await.json(200);
    assert_eq!(approvals["approvals"].as_array().unwrap().len(), 1);

    let host = json!({ "workers": ["far"], "slots": 10 });
    let host = place.post("/api/v1/hosts", host).await.json(201)["id"].as_str().unwrap().to_owned();
    for _ in 0..5 {
        place.submit("far", json!({ "text": "x".repeat(60_000) })).await;
    }
    let claims = async {
        let mut sizes = Vec::new();
        while sizes.iter().sum::<usize>() < 5 {
            let claim = json!({ "max_tasks": 10, "wait_ms": 10_000 });
            let claimed = place.post(&format!("/api/v1/hosts/{host}/claim"), claim).await.json(200);
            sizes.push(claimed["tasks"].as_array().unwrap().len());
        }
        sizes
    };
    let sizes = timeout(PATIENCE, claims).await.expect("what did not fit is claimed again");
    assert!(sizes.iter().all(|size| *size <= 2), "{sizes:?}");
}
