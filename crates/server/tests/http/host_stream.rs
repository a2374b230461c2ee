//! Streams of worker hosts.

use std::time::Duration;

use kapelle_server::Limits;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{lines::JsonLines, place::Place};

/// Registers a host that acknowledges. Returns the beginning of its paths.
pub async fn host(place: &Place) -> String {
    host_as(place, &place.token, "far").await
}

pub async fn host_as(place: &Place, token: &str, worker: &str) -> String {
    let body = json!({ "slots": 4, "workers": [worker], "ack": true });
    let made = place.ask_as(token, "POST", "/api/v1/hosts", body).await.json(201);
    format!("/api/v1/hosts/{}", made["id"].as_str().unwrap())
}

pub async fn open(place: &Place, host: &str, credit: u64) -> (JsonLines, String) {
    let (lines, first) =
        JsonLines::open(place, &place.token, &format!("{host}/stream"), &json!({ "credit": credit })).await;
    (lines, first["stream"].as_str().unwrap().to_owned())
}

pub async fn frame(place: &Place, host: &str, body: Value) -> Value {
    place.post(&format!("{host}/frame"), body).await.json(200)
}

pub fn done(task: &Value, output: i64) -> Value {
    json!({ "lease_token": task["lease_token"], "outcome": "succeed", "output": output })
}

pub async fn state(place: &Place, task: &str) -> Value {
    place.get(&format!("/api/v1/tasks/{task}")).await.json(200)["state"].clone()
}

/// The tasks of a line.
#[track_caller]
pub fn tasks(line: Option<Value>) -> Vec<Value> {
    let line = line.unwrap();
    line["tasks"].as_array().unwrap_or_else(|| panic!("no tasks: {line}")).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_pushed_as_far_as_the_credit_goes() {
    let place = Place::new().await;
    let host = host(&place).await;
    let (mut lines, stream) = open(&place, &host, 1).await;
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(place.submit("far", json!({ "n": n })).await);
    }
    let first = tasks(lines.told().await).remove(0);
    assert_eq!((&first["id"], &first["attempt"], &first["input"]), (&json!(ids[0]), &json!(1), &json!({ "n": 0 })));
    assert_eq!(state(&place, &ids[1]).await, "ready");
    // A report with a freed slot: one turn records it and gives the next task.
    let body = json!({ "stream": stream, "credit": 2, "reports": [done(&first, 7)] });
    for _ in 0..2 {
        let answer = frame(&place, &host, body.clone()).await;
        assert_eq!(answer["results"][0]["accepted"], true, "{answer}");
        assert!(answer.get("known").is_none(), "{answer}");
    }
    let second = tasks(lines.told().await).remove(0);
    assert_eq!(second["id"], json!(ids[1]));
    assert_eq!(state(&place, &ids[2]).await, "ready", "the repeated frame granted nothing");
    // Credit alone; one of another stream does not count.
    frame(&place, &host, json!({ "stream": "s_other", "credit": 9, "ack": [second["lease_token"]] })).await;
    assert_eq!(state(&place, &ids[2]).await, "ready");
    frame(&place, &host, json!({ "stream": stream, "credit": 4 })).await;
    let mut more = tasks(lines.told().await);
    if more.len() < 2 {
        more.extend(tasks(lines.told().await));
    }
    assert_eq!((&more[0]["id"], &more[1]["id"]), (&json!(ids[2]), &json!(ids[3])));
    let reports: Vec<Value> = more.iter().chain([&second]).map(|task| done(task, 1)).collect();
    let answer = frame(&place, &host, json!({ "reports": reports })).await;
    assert!(answer["results"].as_array().unwrap().iter().all(|result| result["accepted"] == true), "{answer}");
    let status = place.get("/workers/status").await.json(200);
    assert_eq!((&status["hosts"][0]["claimed"], &status["hosts"][0]["succeeded"]), (&json!(4), &json!(4)), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_acknowledged_goes_to_another_host_and_the_stream_ends() {
    let place = Place::with(Limits { ack: Duration::from_millis(100), ..Limits::default() }).await;
    let (deaf, other) = (host(&place).await, host(&place).await);
    let (mut silent, _) = open(&place, &deaf, 5).await;
    let id = place.submit("far", json!({})).await;
    assert_eq!(tasks(silent.told().await).len(), 1);
    assert_eq!(silent.told().await.unwrap(), json!({ "end": "unacknowledged" }));
    assert_eq!(silent.next().await, None);
    let (mut lines, _) = open(&place, &other, 5).await;
    let task = tasks(lines.told().await).remove(0);
    assert_eq!((&task["id"], &task["attempt"]), (&json!(id), &json!(2)));
    // An acknowledged task stays, and its stream with it: a second task comes on it after longer than the limit.
    frame(&place, &other, json!({ "ack": [task["lease_token"]] })).await;
    let waited = json!({ "max_tasks": 1, "wait_ms": 300 });
    let nothing = place.post(&format!("{deaf}/claim"), waited).await.json(200);
    assert_eq!(nothing["tasks"], json!([]));
    place.submit("far", json!({})).await;
    assert_eq!(tasks(lines.told().await).len(), 1);
    let answer = frame(&place, &other, json!({ "reports": [done(&task, 1)] })).await;
    assert_eq!(answer["results"][0]["accepted"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_loses_no_attempt_and_doubles_none() {
    let place = Place::with(Limits { ack: Duration::from_millis(100), ..Limits::default() }).await;
    let host = host(&place).await;
    let (mut lines, _) = open(&place, &host, 1).await;
    let kept = place.submit("far", json!({})).await;
    let attempt = tasks(lines.told().await).remove(0);
    frame(&place, &host, json!({ "tasks": [{ "lease_token": attempt["lease_token"], "progress": 0.5 }] })).await;
    drop(lines);
    // Pushed into a connection that is cut before anything is read: offered again, on the next stream.
    let (lines, _) = open(&place, &host, 5).await;
    let lost = place.submit("far", json!({})).await;
    drop(lines);
    let (mut lines, stream) = open(&place, &host, 5).await;
    let again = tasks(lines.told().await).remove(0);
    assert_eq!(again["id"], json!(lost));
    let both = json!({ "stream": stream, "credit": 7, "reports": [done(&attempt, 1), done(&again, 2)] });
    let answer = frame(&place, &host, both).await;
    assert!(answer["results"].as_array().unwrap().iter().all(|result| result["accepted"] == true), "{answer}");
    for id in [&kept, &lost] {
        assert_eq!(state(&place, id).await, "succeeded");
    }
    assert_eq!(place.get(&format!("/api/v1/tasks/{kept}")).await.json(200)["attempt"], 1, "the first one counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_says_why_it_ends() {
    let place = Place::with(Limits { lease: Duration::from_millis(1_000), ..Limits::default() }).await;
    let far = host(&place).await;
    let (mut first, _) = open(&place, &far, 1).await;
    let (mut second, _) = open(&place, &far, 1).await;
    assert_eq!(first.told().await.unwrap(), json!({ "end": "replaced" }));
    assert_eq!(second.told().await.unwrap(), json!({ "end": "silent" }), "no sign of life for a lease");
    let (mut third, _) = open(&place, &far, 1).await;
    place.ask("DELETE", &far, Value::Null).await.json(200);
    assert_eq!(third.told().await.unwrap(), json!({ "end": "left" }));

    let (worker, id) = place.key("worker", 1).await;
    let theirs = host_as(&place, &worker, "near").await;
    let (mut fourth, _) = JsonLines::open(&place, &worker, &format!("{theirs}/stream"), &json!({ "credit": 9 })).await;
    place.ask("DELETE", &format!("/api/v1/keys/{id}"), Value::Null).await.json(200);
    assert_eq!(fourth.told().await.unwrap(), json!({ "end": "revoked" }));
    assert_eq!(fourth.next().await, None);
    // A later task is not claimed for it.
    let task = place.submit("near", json!({})).await;
    assert_eq!(state(&place, &task).await, "ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_ends_its_streams_and_takes_reports_after_its_restart() {
    let place = Place::new().await;
    let before = host(&place).await;
    let (mut lines, _) = open(&place, &before, 4).await;
    let id = place.submit("far", json!({})).await;
    let task = tasks(lines.told().await).remove(0);
    frame(&place, &before, json!({ "ack": [task["lease_token"]] })).await;
    let place = place.again().await;
    let report = json!({ "stream": "s_1", "credit": 4, "reports": [done(&task, 3)] });
    let answer = frame(&place, &before, report).await;
    assert_eq!((&answer["results"][0]["accepted"], &answer["known"]), (&json!(true), &json!(false)), "{answer}");
    place.post(&format!("{before}/stream"), json!({ "credit": 1 })).await.refused(404, "not_found", &[]);
    assert_eq!(place.get(&format!("/api/v1/tasks/{id}")).await.json(200)["output"], 3);

    let mut place = place;
    let after = host(&place).await;
    let (mut lines, _) = open(&place, &after, 4).await;
    place.server.drain().await;
    assert_eq!(lines.told().await.unwrap(), json!({ "end": "stopping" }));
    assert_eq!(lines.next().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_reads_nothing_keeps_no_task_and_little_memory() {
    let place = Place::with(Limits { ack: Duration::from_millis(300), ..Limits::default() }).await;
    let (stuck, other) = (host(&place).await, host(&place).await);
    let mut connection = TcpStream::connect(place.address()).await.unwrap();
    let body = json!({ "credit": 1_000_000 }).to_string();
    let head = format!(
        "POST {stuck}/stream HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        place.address(),
        place.token,
        body.len()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let large = json!({ "text": "x".repeat(1 << 19) });
    for _ in 0..40 {
        place.submit("far", large.clone()).await;
    }
    // It holds its tasks no longer than the time to acknowledge, whatever its socket still takes.
    let mut taken = 0;
    while taken < 40 {
        let claim = json!({ "max_tasks": 10, "wait_ms": 20_000 });
        let claimed = place.post(&format!("{other}/claim"), claim).await.json(200);
        let claimed = claimed["tasks"].as_array().unwrap();
        assert!(!claimed.is_empty(), "{taken} of 40 were offered again");
        let acks: Vec<Value> = claimed.iter().map(|task| task["lease_token"].clone()).collect();
        place.post(&format!("{other}/ack"), json!({ "lease_tokens": acks })).await.json(200);
        taken += claimed.len();
    }
    drop(connection);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_stream_is_told() {
    let place = Place::new().await;
    let quiet = place.post("/api/v1/hosts", json!({ "workers": ["far"] })).await.json(201);
    let quiet = format!("/api/v1/hosts/{}", quiet["id"].as_str().unwrap());
    place.post(&format!("{quiet}/stream"), json!({ "credit": 1 })).await.refused(422, "invalid_input", &["ack"]);
    let host = host(&place).await;
    place.post(&format!("{host}/stream"), json!({ "credit": -1 })).await.refused(422, "invalid_input", &["-1"]);
    let many = vec!["1.1.1"; 1_001];
    place.post(&format!("{host}/frame"), json!({ "ack": many })).await.refused(422, "invalid_input", &["ack"]);
    let (other, _) = place.key("worker", 1).await;
    let theirs = place.ask_as(&other, "POST", &format!("{host}/stream"), json!({ "credit": 1 })).await;
    theirs.refused(404, "not_found", &[]);
    let wrong = json!({ "lease_token": "x", "outcome": "succeed" });
    let answer = frame(&place, &host, json!({ "reports": [wrong], "tasks": [{ "lease_token": "y" }] })).await;
    assert_eq!((&answer["results"][0]["code"], &answer["cancel"]), (&json!("lease_lost"), &json!(["y"])), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_its_share_of_streams_and_no_more() {
    let place = Place::with(Limits { streams: 16, ..Limits::default() }).await;
    let (key, _) = place.key("worker", 2).await;
    let mut open = Vec::new();
    for _ in 0..4 {
        let host = host_as(&place, &key, "far").await;
        open.push(JsonLines::open(&place, &key, &format!("{host}/stream"), &json!({ "credit": 1 })).await);
    }
    let host = host_as(&place, &key, "far").await;
    let more = place.ask_as(&key, "POST", &format!("{host}/stream"), json!({ "credit": 1 })).await;
    more.refused(429, "too_many", &["live streams"]);
    open.pop();
    // Released once the connection is closed, which the server notices by itself.
    while place.ask_as(&key, "POST", &format!("{host}/stream"), json!({ "credit": -1 })).await.status == 429 {}
}

/// Frames go up in the body of the request whose answer brings the tasks.
#[tokio::test(flavor = "multi_thread")]
async fn frames_may_come_up_the_connection_on_which_tasks_come_down() {
    let place = Place::new().await;
    let host = host(&place).await;
    let connection = TcpStream::connect(place.address()).await.unwrap();
    let (reader, mut writer) = connection.into_split();
    let head = format!(
        "POST {host}/duplex HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
         content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n",
        place.address(),
        place.token
    );
    writer.write_all(head.as_bytes()).await.unwrap();
    let chunk = |text: String| format!("{:x}\r\n{text}\r\n", text.len());
    writer.write_all(chunk("{\"credit\":1}\n".to_owned()).as_bytes()).await.unwrap();
    let mut lines = JsonLines::of(reader);
    assert!(lines.told().await.unwrap()["stream"].as_str().unwrap().starts_with("s_"));
    let (one, two) = (place.submit("far", json!({})).await, place.submit("far", json!({})).await);
    let first = tasks(lines.told().await).remove(0);
    assert_eq!(first["id"], json!(one));
    // A line cut in two, then two lines in one chunk.
    let frame = format!("{}\n", json!({ "n": 1, "credit": 2, "reports": [done(&first, 1)] }));
    let (left, right) = frame.split_at(9);
    for part in [left, right] {
        writer.write_all(chunk(part.to_owned()).as_bytes()).await.unwrap();
    }
    let mut both = [lines.told().await.unwrap(), lines.told().await.unwrap()];
    both.sort_by_key(|line| line["n"].is_null());
    assert_eq!(both[0]["answer"]["results"][0]["accepted"], true, "{both:?}");
    let second = both[1]["tasks"][0].clone();
    assert_eq!(second["id"], json!(two));
    let wrong = format!("{}\n{{\"n\":3,\"nonsense\":1}}\n", json!({ "n": 2, "reports": [done(&second, 2)] }));
    writer.write_all(chunk(wrong).as_bytes()).await.unwrap();
    let mut both = [lines.told().await.unwrap(), lines.told().await.unwrap()];
    both.sort_by_key(|line| line["error"].is_object());
    assert_eq!((&both[0]["n"], &both[0]["answer"]["results"][0]["accepted"]), (&json!(2), &json!(true)), "{both:?}");
    assert_eq!(both[1]["error"]["code"], "invalid_input", "{both:?}");
    assert_eq!(state(&place, &two).await, "succeeded");
    // The end of the body is the end of the stream.
    writer.write_all(b"0\r\n\r\n").await.unwrap();
    assert_eq!(lines.told().await, None);
}
