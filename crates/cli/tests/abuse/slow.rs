//! Clients that are as slow as possible.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    crowd::{alone, healthy, intrude, memory, place},
    place::{Place, now, number},
};

/// Allowed 99th percentile for a good client on a busy machine, whatever it was before.
const ENOUGH: Duration = Duration::from_millis(50);

/// The beginnings of bad requests; after them comes nothing, or a byte a second.
fn beginnings(place: &Place) -> [Vec<u8>; 4] {
    let (address, token) = (place.address, place.token());
    let head = format!("host: {address}\r\nauthorization: Bearer {token}\r\n");
    [
        Vec::new(),
        format!("GET /livez HTTP/1.1\r\nhost: {address}\r\nx-").into_bytes(),
        format!(
            "POST /api/v1/tasks HTTP/1.1\r\n{head}content-type: application/json\r\ncontent-length: 100000\r\n\r\n"
        )
        .into_bytes(),
        format!("GET /openapi.json HTTP/1.1\r\n{head}\r\n").repeat(40).into_bytes(),
    ]
}

/// Opens a slow connection; `None` when it was refused.
async fn open(place: &Place, beginning: &[u8]) -> Option<TcpStream> {
    let mut stream = intrude(place.address).await.ok()?;
    stream.write_all(beginning).await.ok()?;
    Some(stream)
}

/// Sends a byte a second on each, for ever.
async fn trickle(mut streams: Vec<TcpStream>) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tick.tick().await;
        for stream in &mut streams {
            let _ = stream.try_write(b" ");
        }
    }
}

#[test]
fn slow_connections_by_the_thousand_leave_a_good_client_alone_and_are_let_go() {
    let _alone = alone();
    let place = place();
    let many = usize::try_from(number("KAPELLE_ABUSE_CONNECTIONS", 10_000)).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut http = place.http();
    healthy(&mut http, 300);
    let before = healthy(&mut http, 500);
    let (rss, _) = memory(&place);
    let begun = now();
    let beginnings = beginnings(&place);
    let streams = runtime.block_on(async {
        let mut streams = Vec::new();
        for at in 0..many {
            streams.extend(open(&place, &beginnings[at % beginnings.len()]).await);
        }
        streams
    });
    let opened = begun.elapsed();
    let (idle, trickling): (Vec<_>, Vec<_>) =
        streams.into_iter().enumerate().partition(|(at, _)| at % beginnings.len() != 2);
    let trickling = runtime.spawn(trickle(trickling.into_iter().map(|(_, stream)| stream).collect()));
    let during = healthy(&mut http, 500);
    // A new connection is accepted too.
    let fresh = healthy(&mut place.http(), 1).0;
    let (_, peak) = memory(&place);
    println!(
        "{many} slow connections within {:.1} s: p50 {:?} to {:?}, p99 {:?} to {:?}; a new client {fresh:?}; memory {rss} to \
         {peak} MiB",
        opened.as_secs_f64(),
        before.0,
        during.0,
        before.1,
        during.1
    );
    assert!(during.1 <= (before.1 * 3).max(ENOUGH), "a good client suffers: {before:?} to {during:?}");
    assert!(peak - rss < 160, "{} MiB for slow connections", peak - rss);
    // Connections that never sent anything, or not enough, are closed after ten seconds.
    let mut longest = Duration::ZERO;
    runtime.block_on(async {
        for (_, mut stream) in idle.into_iter().filter(|(at, _)| at % beginnings.len() < 2).take(200) {
            let mut rest = Vec::new();
            let ended = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
            assert!(ended.is_ok(), "a connection that says nothing is kept");
            longest = longest.max(begun.elapsed());
        }
    });
    println!("the last of them was let go {:.1} s after the first had come", longest.as_secs_f64());
    trickling.abort();
}
