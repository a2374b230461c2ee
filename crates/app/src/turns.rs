//! Turns at work that occupies a thread: a few at a time and never all of them for one tenant.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use kapelle_core::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::app_error::AppError;

/// Turns of one kind.
#[derive(Debug)]
pub struct Turns {
    all: Arc<Semaphore>,
    /// The most turns of one tenant at once.
    each: usize,
    tenants: Mutex<HashMap<TenantId, Arc<Semaphore>>>,
}

/// One turn, which ends when this is dropped.
#[derive(Debug)]
pub struct Turn {
    _tenant: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Turns {
    /// Makes turns for `all` at once, at most `each` of one tenant.
    pub fn new(all: usize, each: usize) -> Turns {
        Turns { all: Arc::new(Semaphore::new(all)), each, tenants: Mutex::default() }
    }

    /// Waits for a turn, behind others of the tenant first. All work of this kind is short, so waits are.
    ///
    /// # Errors
    /// When the server is stopping.
    pub async fn wait(&self, tenant: TenantId) -> Result<Turn, AppError> {
        let own = {
            let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(tenants.entry(tenant).or_insert_with(|| Arc::new(Semaphore::new(self.each))))
        };
        let stopping = |_| AppError::unavailable("the server is stopping");
        let tenant = own.acquire_owned().await.map_err(stopping)?;
        let all = Arc::clone(&self.all).acquire_owned().await.map_err(stopping)?;
        Ok(Turn { _tenant: tenant, _all: all })
    }

    /// Runs work that may wait for the disk, but never for the network.
    ///
    /// # Errors
    /// When the server is stopping, or the work ended without an answer.
    pub async fn run<T: Send + 'static>(
        &self,
        tenant: TenantId,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AppError> {
        let turn = self.wait(tenant).await?;
        // The turn lasts as long as the work, also when nobody waits for it any more.
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.map_err(|_| AppError::internal("the work ended without an answer"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_tenant_never_has_all_turns() {
        let turns = Turns::new(3, 2);
        let first = turns.wait(TenantId(2)).await.unwrap();
        let _second = turns.wait(TenantId(2)).await.unwrap();
        let third = turns.wait(TenantId(2));
        tokio::pin!(third);
        let is_waiting = std::future::poll_fn(|cx| std::task::Poll::Ready(third.as_mut().poll(cx).is_pending())).await;
        assert!(is_waiting);
        let _other = turns.wait(TenantId(1)).await.unwrap();
        drop(first);
        third.await.unwrap();
    }
}
