//! The accept loop: the number of connections, their slowness, and their end.

use std::{convert::Infallible, io::Write, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::body::Body;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::{auth::network, connections::Connection, gatekeeper::Gatekeeper, site::Site, write_timeout::Guarded};

/// Wait when the system accepts no more connections.
const PAUSE: Duration = Duration::from_millis(50);
/// Header lines of one request.
const HEADERS_MAX: usize = 100;

/// Phase of a shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The server is serving.
    Up,
    /// No more connections are accepted; open ones end after their response.
    Ending,
    /// Every connection is cut.
    Cut,
}

/// Accepts connections until the phase changes. Returns when the last has ended.
pub async fn listen(listener: TcpListener, site: Arc<Site>, front: Gatekeeper, mut phase: watch::Receiver<Phase>) {
    // Dropped with the last connection: then nothing is sent to it any more.
    let (alive, mut last) = tokio::sync::mpsc::channel::<Infallible>(1);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            changed = phase.wait_for(|phase| *phase > Phase::Up) => { drop(changed); break }
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // The process is most likely out of file descriptors: connections that end release some.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Some(counted) = site.connections.admit(network(peer.ip())) else {
            site.metrics.refused_connection();
            turn_away(stream);
            continue;
        };
        let (front, phase, alive) = (front.clone(), phase.clone(), alive.clone());
        let site = Arc::clone(&site);
        tokio::spawn(async move {
            connection((stream, peer), counted, &site, front, phase).await;
            drop(alive);
        });
    }
    drop((listener, alive));
    let _ = last.recv().await;
}

/// Sends that the limit is reached. A client that was only cut off would not know whether its request was read.
fn turn_away(stream: TcpStream) {
    const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\n\
        connection: close\r\ncontent-length: 102\r\n\r\n\
        {\"status\":503,\"code\":\"too_many\",\"title\":\"Too many connections\",\"detail\":\"try again in a little while\"}";
    // The message is written if it fits at once; the write never waits.
    let _ = stream.into_std().and_then(|mut stream| stream.write_all(FULL));
}

async fn connection(
    (stream, peer): (TcpStream, SocketAddr),
    counted: Arc<Connection>,
    site: &Arc<Site>,
    front: Gatekeeper,
    mut phase: watch::Receiver<Phase>,
) {
    // A response is sent immediately, not when more data has gathered.
    let _ = stream.set_nodelay(true);
    let Ok(local) = stream.local_addr() else { return };
    let limits = &site.limits;
    let cut = Arc::clone(&counted.cut);
    let service = service_fn(move |request: Request<Incoming>| {
        let (mut front, counted) = (front.clone(), Arc::clone(&counted));
        async move { Ok::<_, Infallible>(front.handle((peer, local), counted, request.map(Body::new)).await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_headers(HEADERS_MAX)
        .max_buf_size(limits.header_bytes.max(8 * 1024));
    let io = TokioIo::new(Guarded::new(stream, limits.write_stall));
    let mut serving = pin!(builder.serve_connection(io, service).with_upgrades());
    loop {
        let now = *phase.borrow_and_update();
        match now {
            Phase::Up => {}
            Phase::Ending => serving.as_mut().graceful_shutdown(),
            Phase::Cut => return,
        }
        tokio::select! {
            ended = serving.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%peer, %error, "a connection ended");
                }
                return;
            }
            changed = phase.changed() => if changed.is_err() { return },
            // Another connection needs the place, and this one is idle.
            () = cut.notified() => return,
        }
    }
}
