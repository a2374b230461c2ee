//! Wrong credentials, counted by address: a guesser has to wait. Right credentials are never refused for it.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

/// Addresses that are remembered; beyond that all are forgotten, which only helps callers.
const ADDRESSES_MAX: usize = 10_000;
const MINUTE_MS: i64 = 60_000;

/// Wrong credentials of the last minute, by address.
#[derive(Debug, Default)]
pub struct Failures {
    by_address: Mutex<HashMap<IpAddr, (i64, u32)>>,
}

impl Failures {
    /// Counts one. Returns the seconds to wait when there were too many.
    pub fn count(&self, address: IpAddr, now_ms: i64, most: u32) -> Option<u32> {
        let address = network(address);
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if by_address.len() >= ADDRESSES_MAX {
            by_address.clear();
        }
        let (since, count) = by_address.entry(address).or_insert((now_ms, 0));
        if !(0..MINUTE_MS).contains(&(now_ms - *since)) {
            (*since, *count) = (now_ms, 0);
        }
        *count = count.saturating_add(1);
        let left = (*since + MINUTE_MS - now_ms).max(1_000) / 1_000;
        (*count > most).then(|| u32::try_from(left).unwrap_or(60))
    }
}

/// Returns the part of an address that belongs to one party: all of IPv4, and the first 64 bits of IPv6.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_within_a_minute_have_to_wait_and_others_do_not() {
        let failures = Failures::default();
        let (one, other): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        for _ in 0..3 {
            assert_eq!(failures.count(one, 0, 3), None);
        }
        assert_eq!(failures.count(one, 20_000, 3), Some(40));
        assert_eq!(failures.count(other, 20_000, 3), None);
        assert_eq!(failures.count(one, 60_000, 3), None);
    }

    #[test]
    fn one_network_is_one_party() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:0:0:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }
}
