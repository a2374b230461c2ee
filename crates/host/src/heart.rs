//! Heartbeats of a host.

use std::{sync::Arc, thread, time::Duration};

use kapelle_api as api;
use tokio::{sync::oneshot, time::Instant};

use crate::{registration::Registration, running::Running};

/// The longest time between two heartbeats of a host with attempts.
const BEAT_MAX: Duration = Duration::from_secs(2);
/// Time between two looks for attempts that the server knows no sign of.
const LOOK: Duration = Duration::from_millis(400);
/// Age of an attempt at its first heartbeat, which tells the server that it has arrived. Most end sooner, and their
/// report tells it.
const NEW: Duration = Duration::from_millis(300);

/// Attempts of one heartbeat. A host has more of them when reports are held up.
const TASKS_MAX: usize = 1_000;

/// Renews leases and tells progress, in a thread of its own: a worker that blocks the runtime keeps its lease. Dropped,
/// it ends.
pub(crate) struct Heart(#[expect(dead_code, reason = "the thread notices when it is dropped")] oneshot::Sender<()>);

impl Heart {
    /// Starts the heartbeats, with the interval that the server asks for.
    ///
    /// # Errors
    /// When the system provides no thread or no connections.
    pub(crate) fn start(
        registration: Arc<Registration>,
        running: Arc<Running>,
        heartbeat_ms: u64,
    ) -> Result<Heart, std::io::Error> {
        let (alive, over) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let idle = Duration::from_millis(heartbeat_ms.max(100));
        thread::Builder::new().name("kapelle-heart".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = beat(&registration, &running, idle) => {}
                    _ = over => {}
                }
            });
        })?;
        Ok(Heart(alive))
    }
}

/// Sends heartbeats. They also notice a restart of the server while all slots are taken.
async fn beat(registration: &Registration, running: &Running, idle: Duration) {
    let every = idle.min(BEAT_MAX);
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(every.min(LOOK)).await;
        let now = Instant::now();
        let interval = if running.is_empty() { idle } else { every };
        let begun = now.checked_sub(NEW);
        if now - last < interval && !begun.is_some_and(|begun| running.awaits_sign(begun)) {
            continue;
        }
        last = now;
        let beats = running.beats();
        let mut parts: Vec<&[api::BeatTask]> = beats.chunks(TASKS_MAX).collect();
        if parts.is_empty() {
            parts.push(&[]);
        }
        for part in parts {
            let beat = api::Beat { tasks: part.to_vec() };
            if let Ok(answer) = registration.beat(&beat).await {
                running.arrived(part);
                answer.cancel.iter().for_each(|token| {
                    running.stop(token);
                });
            }
        }
    }
}
