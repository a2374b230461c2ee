//! Cached answers for equal calls of one tenant, where caching is allowed.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use kapelle_core::TenantId;

use super::{Fingerprint, Recorded};

/// Size limit of all cached answers, in bytes; the oldest are evicted first.
const BYTES_MAX: usize = 64 << 20;

/// A tenant's call.
pub(crate) type Key = (TenantId, Fingerprint);

/// Cache of answers. Every key holds the tenant, so that tenants never share.
pub(crate) struct Cache {
    inner: Mutex<Inner>,
    bytes_max: usize,
}

#[derive(Default)]
struct Inner {
    entries: HashMap<Key, Entry>,
    /// Keys in the order of insertion, with the number of the insertion.
    order: VecDeque<(Key, u64)>,
    bytes: usize,
    next: u64,
}

struct Entry {
    answer: Recorded,
    until_ms: u64,
    number: u64,
}

impl Default for Cache {
    fn default() -> Cache {
        Cache { inner: Mutex::default(), bytes_max: BYTES_MAX }
    }
}

impl Cache {
    /// Returns the answer if it is cached and not too old.
    pub(crate) fn get(&self, key: &Key, now_ms: u64) -> Option<Recorded> {
        let inner = self.lock();
        let entry = inner.entries.get(key)?;
        (now_ms < entry.until_ms).then(|| entry.answer.clone())
    }

    /// Caches an answer until that moment.
    pub(crate) fn put(&self, key: Key, answer: Recorded, until_ms: u64) {
        let size = answer.body.len();
        if size > self.bytes_max / 8 {
            return;
        }
        let mut inner = self.lock();
        let number = inner.next;
        inner.next += 1;
        inner.bytes += size;
        if let Some(old) = inner.entries.insert(key, Entry { answer, until_ms, number }) {
            inner.bytes = inner.bytes.saturating_sub(old.answer.body.len());
        }
        inner.order.push_back((key, number));
        while inner.bytes > self.bytes_max || inner.order.len() > inner.entries.len() * 2 + 16 {
            let Some((oldest, number)) = inner.order.pop_front() else { break };
            // The key was inserted again later; this entry of it is void.
            if inner.entries.get(&oldest).is_some_and(|entry| entry.number == number)
                && let Some(gone) = inner.entries.remove(&oldest)
            {
                inner.bytes = inner.bytes.saturating_sub(gone.answer.body.len());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Usage;
    use kapelle_core::Money;

    fn answer(byte: u8, size: usize) -> Recorded {
        Recorded {
            fingerprint: Fingerprint([byte; 32]),
            content_type: "application/json",
            body: vec![byte; size].into(),
            provider: "p".to_owned(),
            model: "m".to_owned(),
            usage: Usage::default(),
            cost: Money(1),
            degraded: None,
            attempt: 0,
            call: None,
        }
    }

    #[test]
    fn answers_grow_old_and_tenants_do_not_share() {
        let cache = Cache::default();
        let key = (TenantId(1), Fingerprint([7; 32]));
        cache.put(key, answer(7, 10), 100);
        assert!(cache.get(&key, 99).is_some());
        assert!(cache.get(&key, 100).is_none());
        assert!(cache.get(&(TenantId(2), Fingerprint([7; 32])), 99).is_none());
    }

    #[test]
    fn the_oldest_go_first_and_the_bytes_are_bounded() {
        let cache = Cache { bytes_max: 1_000, ..Cache::default() };
        let key = |byte: u8| (TenantId(1), Fingerprint([byte; 32]));
        for byte in 0..100 {
            cache.put(key(byte), answer(byte, 100), 1_000);
            cache.put(key(99), answer(99, 100), 1_000);
        }
        let inner = cache.lock();
        assert!(inner.bytes <= 1_000 && inner.entries.len() <= 10);
        assert_eq!(inner.bytes, inner.entries.values().map(|entry| entry.answer.body.len()).sum::<usize>());
        assert!(inner.entries.contains_key(&key(99)) && !inner.entries.contains_key(&key(0)));
    }
}
