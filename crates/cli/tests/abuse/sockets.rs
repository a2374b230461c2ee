//! Live streams under clients that flood them, do not read, reconnect all the time, or have lost their key.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    crowd::{alone, busy, healthy, intrude, memory, place},
    place::{Place, now},
};

/// Sockets that never read.
const DEAF: usize = 300;
/// Sockets that come and go.
const STORM: usize = 2_000;

/// Opens a WebSocket.
async fn socket(place: &Place, token: &str) -> TcpStream {
    let mut stream = intrude(place.address).await.unwrap();
    let head = format!(
        "GET /api/v1/ws HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        place.address
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    stream
}

/// Reads until the other side closes.
async fn closed(stream: &mut TcpStream) {
    let mut buffer = vec![0; 1 << 16];
    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}

#[test]
fn sockets_that_flood_sleep_or_storm_hurt_nobody() {
    let _alone = alone();
    let place = place();
    let token = place.token();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut http = place.http();
    healthy(&mut http, 300);
    let before = healthy(&mut http, 500);
    let (rss, _) = memory(&place);
    runtime.block_on(async {
        // A frame that claims to have 64 MiB, and as much of it as can be sent.
        for _ in 0..20 {
            let mut stream = socket(&place, &token).await;
            let mut frame = vec![0x82, 0xff];
            frame.extend_from_slice(&(64_u64 << 20).to_be_bytes());
            frame.extend_from_slice(&[1, 2, 3, 4]);
            let block = vec![0; 1 << 20];
            let _ = stream.write_all(&frame).await;
            for _ in 0..64 {
                if stream.write_all(&block).await.is_err() {
                    break;
                }
            }
            tokio::time::timeout(Duration::from_secs(20), closed(&mut stream)).await.unwrap();
        }
    });
    let (_, flooded) = memory(&place);
    assert!(flooded - rss < 32, "{} MiB for frames that are too large", flooded - rss);
    let deaf = runtime.block_on(async {
        let mut deaf = Vec::new();
        for _ in 0..DEAF {
            deaf.push(socket(&place, &token).await);
        }
        deaf
    });
    // Each has an event for every task now, and reads none.
    let body = json!({ "tasks": vec![json!({ "worker": "log", "input": { "message": "x".repeat(400) } }); 1_000] });
    for _ in 0..20 {
        http.post("/api/v1/tasks/batch", &body).unwrap().json(201);
    }
    let during = healthy(&mut http, 500);
    let (_, peak) = memory(&place);
    assert!(peak - rss < 200, "{} MiB for those who do not read", peak - rss);
    drop(deaf);
    let (storm, begun) = (busy(&place), now());
    runtime.block_on(async {
        for _ in 0..STORM {
            drop(socket(&place, &token).await);
        }
    });
    let each = (busy(&place) - storm) / u32::try_from(STORM).unwrap();
    println!(
        "p99 {:?}, with {DEAF} sockets that do not read {:?}; memory {rss}, {flooded} after frames of 64 MiB, at most {peak} \
         MiB; {STORM} sockets came and went in {:.1} s for {each:?} of a processor each",
        before.1,
        during.1,
        begun.elapsed().as_secs_f64()
    );
    assert!(each < Duration::from_millis(5), "a socket costs {each:?}");
    assert!(
        during.1 <= (before.1 * 3).max(Duration::from_millis(50)),
        "a good client suffers: {before:?} to {during:?}"
    );
}

#[test]
fn a_socket_ends_soon_after_its_key_was_taken_back() {
    let _alone = alone();
    let place = place();
    let mut http = place.http();
    let made = http.post("/api/v1/keys", &json!({ "name": "soon gone", "role": "viewer" })).unwrap().json(201);
    let (secret, key) = (made["secret"].as_str().unwrap(), made["id"].as_str().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut stream = runtime.block_on(socket(&place, secret));
    http.ask("DELETE", &format!("/api/v1/keys/{key}"), "", &serde_json::Value::Null).unwrap().json(200);
    let begun = now();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), closed(&mut stream)).await.unwrap() });
    let took = begun.elapsed();
    println!("the socket ended {:.1} s after its key had been taken back", took.as_secs_f64());
    assert!(took <= Duration::from_secs(5), "it took {took:?}");
}
