//! Bad clients at another address of this machine, a good one at the usual one, and a look at the memory of the server.

use std::{
    fs,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kapelle_testkit::rng::Rng;
use serde_json::json;
use tokio::net::{TcpSocket, TcpStream};

use crate::{
    http::Http,
    place::{Place, now},
};

/// One test at a time: they measure.
static ALONE: Mutex<()> = Mutex::new(());

pub fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn place() -> Place {
    Place::new(&mut Rng::new(u64::from(std::process::id())))
}

/// Connects from another address than the good clients do.
pub async fn intrude(server: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind("127.0.0.2:0".parse().unwrap())?;
    socket.connect(server).await
}

/// Returns how long a good client waits for the answer to a task: the median and the 99th percentile.
pub fn healthy(http: &mut Http, times: usize) -> (Duration, Duration) {
    let body = json!({ "worker": "log", "input": { "message": "x" } });
    // A connection that was silent for long has been closed, and is opened again.
    let _ = http.get("/livez");
    let mut took: Vec<Duration> = (0..times)
        .map(|_| {
            let begun = now();
            http.post("/api/v1/tasks?wait_ms=20000", &body).unwrap().json(201);
            begun.elapsed()
        })
        .collect();
    took.sort_unstable();
    (took[times / 2], took[(times - 1) * 99 / 100])
}

/// Returns the memory of a process in MiB: now, and at most so far.
pub fn memory(place: &Place) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{}/status", place.pid())).unwrap();
    let of = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1_024
    };
    (of("VmRSS:"), of("VmHWM:"))
}

/// Returns the processor time that the server has used.
pub fn busy(place: &Place) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", place.pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
