//! An engine without a loop: it reads, and never works.

use std::sync::{Arc, Mutex, mpsc::channel};

use kapelle_store::Reader;
use tokio::sync::broadcast;

use super::{Engine, Inner};
use crate::{
    dispatcher::Spill,
    registry::Registry,
    runner::Inbox,
    turn::{NoticeFlags, RateWaits, Recovered},
};

impl Engine {
    /// Makes an engine that only reads. It answers every command with [`crate::EngineError::Stopped`], and takes no
    /// lock, so another process may write meanwhile.
    #[must_use]
    pub fn at_rest(reader: Arc<dyn Reader>, registry: Arc<Registry>, spill: Spill) -> Engine {
        // Without a receiver, every message is refused.
        let (sender, _) = channel();
        let (events, _) = broadcast::channel(1);
        Engine {
            inner: Arc::new(Inner {
                inbox: Inbox(sender),
                soon: Arc::default(),
                reader,
                registry,
                waiters: Arc::default(),
                events,
                spill,
                flags: NoticeFlags::default(),
                rate_waits: RateWaits::default(),
                live_output: Arc::default(),
                recovered: Recovered::default(),
                thread: Mutex::new(None),
            }),
        }
    }
}
