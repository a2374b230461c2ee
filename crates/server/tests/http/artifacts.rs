//! Files: uploaded, downloaded, referred to, and private to their tenant.

use std::time::Duration;

use kapelle_server::Limits;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::place::{Answer, Place};

async fn give(place: &Place, token: &str, name: &str, bytes: &[u8]) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "text/plain")];
    place.say("POST", &format!("/api/v1/artifacts{name}"), &headers, bytes).await
}

async fn have(place: &Place, id: &str, more: &[(&str, &str)]) -> Answer {
    let bearer = format!("Bearer {}", place.token);
    let mut headers = vec![("authorization", bearer.as_str())];
    headers.extend(more);
    place.say("GET", &format!("/api/v1/artifacts/{id}"), &headers, b"").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_had_again_whole_or_in_part_and_survives_a_restart() {
    let place = Place::new().await;
    let made = give(&place, &place.token, "?name=a%20file.txt", b"0123456789").await;
    let file = made.json(201);
    let id = file["$file"].as_str().unwrap().to_owned();
    assert_eq!(id, "sha256:84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882");
    assert_eq!(made.headers["location"], format!("/api/v1/artifacts/{id}"));
    assert_eq!(
        (&file["name"], &file["media_type"], &file["size"]),
        (&json!("a file.txt"), &json!("text/plain"), &json!(10))
    );
    // Equal bytes are one file, under its first name.
    assert_eq!(give(&place, &place.token, "?name=other", b"0123456789").await.json(201)["name"], "a file.txt");

    let place = place.again().await;
    let whole = have(&place, &id, &[]).await;
    assert_eq!((whole.status, whole.body.as_slice()), (200, b"0123456789".as_slice()));
    assert_eq!(whole.headers["content-disposition"], "attachment; filename*=UTF-8''a%20file.txt");
    assert_eq!(whole.headers["content-type"], "text/plain");
    let tag = whole.headers["etag"].clone();
    let part = have(&place, &id, &[("range", "bytes=2-4")]).await;
    assert_eq!((part.status, part.text().as_str()), (206, "234"));
    assert_eq!(part.headers["content-range"], "bytes 2-4/10");
    assert_eq!(have(&place, &id, &[("range", "bytes=-3"), ("if-range", &tag)]).await.text(), "789");
    assert_eq!(have(&place, &id, &[("range", "bytes=-3"), ("if-range", "\"x\"")]).await.status, 200);
    let beyond = have(&place, &id, &[("range", "bytes=10-")]).await;
    assert_eq!((beyond.status, beyond.headers["content-range"].as_str()), (416, "bytes */10"));
    let known = have(&place, &id, &[("if-none-match", &tag)]).await;
    assert_eq!((known.status, known.body.len()), (304, 0));
    let listed = place.get("/api/v1/artifacts").await.json(200);
    assert_eq!(listed["artifacts"][0]["$file"], id.as_str());

    let empty = give(&place, &place.token, "", b"").await.json(201);
    assert_eq!(empty["size"], 0);
    let page = place.get("/api/v1/artifacts?limit=1").await.json(200);
    let next = page["next_cursor"].as_str().unwrap();
    let rest = place.get(&format!("/api/v1/artifacts?limit=1&cursor={next}")).await.json(200);
    assert_eq!(rest["artifacts"].as_array().unwrap().len(), 1);
    assert_ne!(rest["artifacts"][0], page["artifacts"][0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_tenant_does_not_exist_and_cannot_be_referred_to() {
    let place = Place::new().await;
    let (other, _) = place.key("admin", 2).await;
    let own = give(&place, &place.token, "", b"mine").await.json(201)["$file"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/artifacts/{own}");
    place.ask_as(&other, "GET", &path, Value::Null).await.refused(404, "not_found", &[]);
    let task = json!({ "worker": "echo", "input": { "list": [{ "$file": own }] } });
    let refused = place.ask_as(&other, "POST", "/api/v1/tasks", task.clone()).await;
    refused.refused(422, "invalid_input", &["there is no file"]);
    place.post("/api/v1/tasks", task.clone()).await.json(201);
    let source = "name: flow\ninputs: { type: object }\nsteps:\n  one: { worker: echo }\n";
    let run = json!({ "source": source, "inputs": { "document": { "$file": own } } });
    place.ask_as(&other, "POST", "/api/v1/runs", run.clone()).await.refused(
        422,
        "invalid_input",
        &["there is no file"],
    );
    place.post("/api/v1/runs", run).await.json(201);
    // A tenant that uploads the same bytes has the file as well.
    give(&place, &other, "", b"mine").await.json(201);
    place.ask_as(&other, "POST", "/api/v1/tasks", task).await.json(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_through_a_worker() {
    let place = Place::new().await;
    let file = give(&place, &place.token, "?name=a.txt", b"The reading room needs light.").await.json(201);
    let body = json!({ "worker": "extract_text", "input": { "document": file } });
    let done = place.post("/api/v1/tasks?wait_ms=20000", body).await.json(201);
    assert_eq!(done["state"], "succeeded", "{done}");
    assert!(done["output"].to_string().contains("reading room"), "{done}");
}

/// Starts a run and waits for its end.
async fn ended(place: &Place, token: &str, run: Value) -> Value {
    let begun = place.ask_as(token, "POST", "/api/v1/runs", run).await.json(201);
    let path = format!("/api/v1/runs/{}?wait_ms=20000", begun["id"].as_str().unwrap());
    place.ask_as(token, "GET", &path, Value::Null).await.json(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_in_a_definition_opens_no_file_of_another_tenant() {
    let place = Place::new().await;
    let (other, _) = place.key("admin", 2).await;
    let file = give(&place, &place.token, "?name=a.txt", b"A secret of the first tenant.").await.json(201);
    let id = file["$file"].as_str().unwrap();
    let source = format!(
        "name: flow\noutputs: {{ said: '${{{{ steps.one.output }}}}' }}\nsteps:\n  one:\n    worker: extract_text\n    with: {{ document: {{ $file: '{id}', name: a.txt, \
         media_type: text/plain, size: 29 }} }}\n"
    );
    let run = json!({ "source": source });
    let theirs = ended(&place, &other, run.clone()).await;
    assert_eq!(theirs["state"], "failed", "{theirs}");
    assert!(!theirs.to_string().contains("secret"), "{theirs}");
    let own = ended(&place, &place.token, run).await;
    assert_eq!(own["state"], "succeeded", "{own}");
    assert!(own.to_string().contains("secret"), "{own}");
    // A tenant that has uploaded the same bytes may read them.
    give(&place, &other, "?name=b.txt", b"A secret of the first tenant.").await.json(201);
    let run = json!({ "source": format!("{source}  two: {{ worker: echo }}\n") });
    let theirs = ended(&place, &other, run).await;
    assert_eq!(theirs["state"], "succeeded", "{theirs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_file_is_told_and_leaves_nothing() {
    let limits = Limits { body_idle: Duration::from_millis(300), ..Limits::default() };
    let place = Place::with(limits).await;
    for name in ["?name=", "?name=a%2Fb", "?name=a%00", "?name=%2e%2e%5Cx"] {
        give(&place, &place.token, name, b"x").await.refused(422, "invalid_input", &["name"]);
    }
    give(&place, &place.token, "?nam=x", b"x").await.refused(400, "invalid_request", &[]);
    for id in ["x", "sha256:", "sha256:../../token", "..%2ftoken", &"a".repeat(63), &"A".repeat(64)] {
        have(&place, id, &[]).await.refused(404, "not_found", &[]);
    }
    let wrong = place.post("/api/v1/tasks", json!({ "worker": "echo", "input": { "$file": "sha256:x" } })).await;
    wrong.refused(422, "invalid_input", &["there is no file `sha256:x`"]);

    // A body that stops, and one that exceeds the limit without announcing its length.
    let begin = |more: &str| {
        format!(
            "POST /api/v1/artifacts HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n{more}\r\n\r\n",
            place.address(),
            place.token
        )
    };
    let mut stream = TcpStream::connect(place.address()).await.unwrap();
    stream.write_all(begin("content-length: 10").as_bytes()).await.unwrap();
    stream.write_all(b"half").await.unwrap();
    let mut answer = [0; 15];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer[9..12], b"408");
    let mut stream = TcpStream::connect(place.address()).await.unwrap();
    stream.write_all(begin("transfer-encoding: chunked").as_bytes()).await.unwrap();
    let chunk = [b"100000\r\n".as_slice(), &vec![b'x'; 1 << 20], b"\r\n"].concat();
    for _ in 0..65 {
        if stream.write_all(&chunk).await.is_err() {
            break;
        }
    }
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer[9..12], b"413");
    let left: Vec<_> =
        std::fs::read_dir(place.path("blobs")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_64_mib_is_taken() {
    let place = Place::new().await;
    let mut stream = TcpStream::connect(place.address()).await.unwrap();
    let length = 64 << 20;
    let head = format!(
        "POST /api/v1/artifacts HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n",
        place.address(),
        place.token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let part = vec![7_u8; 1 << 20];
    for _ in 0..64 {
        stream.write_all(&part).await.unwrap();
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let file = Answer::parse(&answer).json(201);
    assert_eq!(file["size"], length);
    let back = have(&place, file["$file"].as_str().unwrap(), &[]).await;
    assert!(back.body.len() == length && back.body.iter().all(|byte| *byte == 7));
}
