//! Memory for the inputs of attempts in this process.

use std::sync::Arc;

use kapelle_core::weight::weight;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of text and values below which an input needs no permit.
const FREE: u64 = 256 << 10;
/// KiB of all larger inputs that are read at any moment.
const ALL_KIB: u32 = 128 << 10;

/// Bounds the memory of inputs: a few bytes of text can be a hundred times as many of values.
#[derive(Debug, Clone)]
pub(crate) struct InputMemory(Arc<Semaphore>);

impl Default for InputMemory {
    fn default() -> InputMemory {
        InputMemory(Arc::new(Semaphore::new(ALL_KIB as usize)))
    }
}

impl InputMemory {
    /// Waits until there is memory for the values of an input. An input that is larger than all of it waits until no
    /// other large one is held. Returns `None` for a small input, which does not wait.
    pub(crate) async fn hold(&self, json: &[u8]) -> Option<OwnedSemaphorePermit> {
        // Most inputs are so short that they cannot weigh much, and need not be looked through.
        if (json.len() as u64).saturating_mul(kapelle_core::weight::VALUE_BYTES) <= FREE {
            return None;
        }
        let bytes = weight(json).saturating_add(json.len() as u64);
        if bytes <= FREE {
            return None;
        }
        let kib = u32::try_from(bytes >> 10).unwrap_or(u32::MAX).min(ALL_KIB);
        Arc::clone(&self.0).acquire_many_owned(kib).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_inputs_wait_for_each_other_and_small_ones_for_none() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let memory = InputMemory::default();
            let many = format!("[{}0]", "0,".repeat(2_000_000)).into_bytes();
            let first = memory.hold(&many).await;
            assert!(first.is_some(), "a large input holds memory");
            assert!(memory.hold(b"{\"message\":\"small\"}").await.is_none(), "a small input waits for none");
            let text = format!("\"{}\"", "x,".repeat(1_000)).into_bytes();
            assert!(memory.hold(&text).await.is_none(), "text weighs its bytes alone");
            let mut second = std::pin::pin!(memory.hold(&many));
            let polled = std::future::poll_fn(|context| std::task::Poll::Ready(second.as_mut().poll(context))).await;
            assert!(polled.is_pending(), "there is no memory for two");
            drop(first);
            assert!(second.await.is_some(), "the end of one lets the next begin");
        });
    }
}
