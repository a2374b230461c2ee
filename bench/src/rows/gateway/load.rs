//! Requests at fixed times, whether or not earlier ones are answered.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    sync::{Mutex, mpsc},
    task::JoinSet,
};

use super::upstream::{Caller, Times, body};
use crate::stopwatch::Stopwatch;

/// Connections that share the requests; a free one takes the next.
pub const CONNECTIONS: usize = 40;

/// A steady load.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Requests per second.
    pub rate: usize,
    /// Number of requests.
    pub calls: usize,
    /// Whether answers are streamed.
    pub stream: bool,
}

impl Load {
    /// Sends the requests. Returns the times of each from the moment it was due: a request that had to wait for slow
    /// ones has waited.
    pub async fn run(self, address: SocketAddr, token: &str, callers: &Handle) -> anyhow::Result<Vec<Times>> {
        let (send, due) = mpsc::unbounded_channel::<(usize, f64)>();
        let due = Arc::new(Mutex::new(due));
        let mut all = JoinSet::new();
        let mut connections = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            let mut caller = Caller::new(address, token, callers).await?;
            // Opens the connections that the server needs to the provider.
            let first = body(self.stream, usize::MAX, 0);
            connections.push(callers.spawn(async move { caller.ask(&first).await.map(|_| caller) }).await??);
        }
        let watch = Stopwatch::start();
        for mut caller in connections {
            let due = Arc::clone(&due);
            let asking = async move {
                let mut times = Vec::new();
                loop {
                    let next = due.lock().await.recv().await;
                    let Some((number, due)) = next else { return anyhow::Ok(times) };
                    let request = body(self.stream, CONNECTIONS, number);
                    let late = watch.ms() - due;
                    let taken = caller.ask(&request).await?;
                    times.push(Times { first: taken.first + late, last: taken.last + late });
                }
            };
            all.spawn_on(asking, callers);
        }
        // The timer of the runtime has a resolution of a millisecond, which is longer than the measured times.
        let pacer = std::thread::Builder::new().name("pacer".to_owned());
        pacer.spawn(move || {
            for number in 0..self.calls {
                let due = number as f64 * 1e3 / self.rate as f64;
                sleep_until(watch, due);
                if send.send((number, due)).is_err() {
                    return;
                }
            }
        })?;
        let mut times = Vec::with_capacity(self.calls);
        while let Some(done) = all.join_next().await {
            times.extend(done??);
        }
        anyhow::ensure!(times.len() == self.calls, "{} of {} were answered", times.len(), self.calls);
        Ok(times)
    }
}

/// Sleeps until that many milliseconds after the start of the watch; the system wakes a thread some 0.06 ms late.
#[expect(clippy::disallowed_methods, reason = "a request is sent at its time, not when something happens")]
fn sleep_until(watch: Stopwatch, due_ms: f64) {
    let left = due_ms - watch.ms();
    if left > 0.0 {
        std::thread::sleep(Duration::from_secs_f64(left / 1e3));
    }
}
