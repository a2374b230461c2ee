//! Bodies that are too much, in one way or another.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use crate::{
    crowd::{alone, healthy, memory, place},
    place::{Place, now},
};

/// The most that a body with many items may have, in MiB.
const BODY_MANY: u64 = 32;

fn head(place: &Place, path: &str, more: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n{more}\r\n\r\n",
        place.address,
        place.token()
    )
}

/// Sends until it is refused or closed. Returns the status, when one could be read, and how many MiB went out.
fn pour(place: &Place, head: &str, part: &[u8], parts: usize) -> (Option<u16>, usize) {
    let mut stream = TcpStream::connect(place.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    let mut sent = 0;
    for _ in 0..parts {
        if stream.write_all(part).is_err() {
            break;
        }
        sent += part.len();
    }
    let mut answer = [0; 12];
    // A connection that is closed while data was still being sent may lose the response.
    let status = stream.read_exact(&mut answer).ok().map(|()| String::from_utf8_lossy(&answer[9..]).parse().unwrap());
    (status, sent >> 20)
}

#[test]
fn bodies_without_end_are_cut_at_their_limit_and_cost_no_memory() {
    let _alone = alone();
    let place = place();
    let mut http = place.http();
    let before = healthy(&mut http, 300);
    let (rss, _) = memory(&place);
    let block = vec![b' '; 1 << 20];
    for path in ["/api/v1/tasks", "/api/v1/tasks/batch"] {
        let (status, sent) = pour(&place, &head(&place, path, "content-length: 1073741824"), &block, 1_024);
        assert!(status.is_none_or(|status| status == 413) && sent < 64, "{path}: {status:?} after {sent} MiB");
        let mut chunk = format!("{:x}\r\n", block.len()).into_bytes();
        chunk.extend_from_slice(&block);
        chunk.extend_from_slice(b"\r\n");
        let (status, sent) = pour(&place, &head(&place, path, "transfer-encoding: chunked"), &chunk, 1_024);
        assert!(status.is_none_or(|status| status == 413) && sent < 128, "{path}: {status:?} after {sent} MiB");
    }
    // Bytes beyond the announced length are the next request, which is invalid.
    let (status, _) = pour(&place, &head(&place, "/api/v1/tasks", "content-length: 2"), b"{}garbage\r\n\r\n", 1);
    assert_eq!(status, Some(422));
    let (_, peak) = memory(&place);
    let after = healthy(&mut http, 300);
    println!("endless bodies: memory {rss} to at most {peak} MiB; p99 {:?} to {:?}", before.1, after.1);
    assert!(peak - rss < 2 * BODY_MANY, "{} MiB for a body of at most {BODY_MANY}", peak - rss);
}

#[test]
fn json_that_is_made_to_hurt_is_answered_at_once() {
    let _alone = alone();
    let place = place();
    let mut http = place.http();
    healthy(&mut http, 50);
    let million: Vec<String> = (0..1_000_000).map(|n| format!("\"k{n}\":0")).collect();
    let million = format!("{{{}}}", million.join(","));
    let cases = [
        (
            "nested 100,000 deep",
            format!("{{\"worker\":\"log\",\"input\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000)),
        ),
        ("a million keys", million.clone()),
        ("a key twice", "{\"worker\":\"log\",\"worker\":\"log\"}".to_owned()),
        ("not a number", "{\"worker\":\"log\",\"input\":NaN}".to_owned()),
        ("half a character", "{\"worker\":\"log\",\"input\":\"\\ud800\"}".to_owned()),
        ("a number of a million digits", format!("{{\"worker\":\"log\",\"input\":{}}}", "9".repeat(1_000_000))),
        ("a huge priority", "{\"worker\":\"log\",\"priority\":99999999999999999999999}".to_owned()),
        ("a million colons", ":".repeat(1_000_000)),
    ];
    let pour = |path: &str, body: &str| {
        let begun = now();
        let (status, _) =
            pour(&place, &head(&place, path, &format!("content-length: {}", body.len())), body.as_bytes(), 1);
        (status, begun.elapsed())
    };
    for (name, body) in cases {
        // The best of three: another program may have had the processor.
        let tries: Vec<_> = (0..3).map(|_| pour("/api/v1/tasks", &body)).collect();
        let quickest = tries.iter().map(|(_, took)| *took).min().unwrap();
        for (status, _) in &tries {
            let told = status.is_none_or(|status| [400, 413, 422].contains(&status));
            assert!(told, "{name}: {status:?}");
        }
        println!("{name}: {:?} in {quickest:?}", tries[0].0);
        assert!(quickest < Duration::from_millis(50), "{name} took {quickest:?}");
    }
    // Where that much may be sent it is read, and refused as invalid.
    let (status, took) =
        pour("/api/v1/tasks/batch", &format!("{{\"tasks\":[{{\"worker\":\"log\",\"input\":{million},\"x\":1}}]}}"));
    println!("a million keys among many: {status:?} in {took:?}");
    assert_eq!(status, Some(422));
    let tasks = place.http().get("/api/v1/tasks?limit=1000").unwrap().json(200);
    assert_eq!(tasks["tasks"].as_array().unwrap().len(), 50, "something of that was taken");
}

/// Many small values make a large document out of few bytes. Its memory returns to the system when it was answered,
/// whichever thread had read it.
#[test]
fn memory_of_large_documents_returns_to_the_system() {
    let _alone = alone();
    let place = place();
    healthy(&mut place.http(), 50);
    let (before, _) = memory(&place);
    let many = format!("{{\"worker\":\"log\",\"input\":[{}0]}}", "0,".repeat(900_000));
    let head = head(&place, "/api/v1/tasks", &format!("content-length: {}", many.len()));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..3 {
                    let (status, _) = pour(&place, &head, many.as_bytes(), 1);
                    assert!(status.is_none_or(|status| [422, 429, 503].contains(&status)), "{status:?}");
                }
            });
        }
    });
    healthy(&mut place.http(), 50);
    let (after, peak) = memory(&place);
    println!("large documents: memory {before} to {after} MiB, at most {peak}");
    assert!(after < before + 32, "{after} MiB after large documents, {before} before");
    assert!(peak < 512, "{peak} MiB at most");
}

/// This server speaks HTTP/1.1 alone: floods of HTTP/2 frames do not begin here.
#[test]
fn another_protocol_is_closed_at_once() {
    let _alone = alone();
    let place = place();
    let begun = now();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(place.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let _ = stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 4") || text.starts_with("HTTP/1.1 505"), "{text}");
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    healthy(&mut place.http(), 10);
}
