//! Links with which somebody who has no key answers one step, once.
//!
//! A link is `tenant.task.expires.key.mac`, where the key is the one that it was made with: the mac is HMAC-SHA256 (RFC 2104) over what stands before it, cut to 128 bits. Its key
//! is made of the folder's token, so that a new token makes every link void. That a link works once needs no list: the
//! step it answers waits no more.

use kapelle_core::{TaskId, TenantId, Timestamp};
use kapelle_gateway::mac::hmac;
use subtle::ConstantTimeEq;

/// Makes links, and knows its own.
#[derive(Clone)]
pub struct Links {
    key: [u8; 32],
}

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Links")
    }
}

impl Links {
    /// Links of a folder with that token.
    #[must_use]
    pub fn new(token: &str) -> Links {
        Links { key: hmac(token.as_bytes(), b"kapelle approval links") }
    }

    /// A link for one step, good until then and as long as the key `by` that it is made with.
    #[must_use]
    pub fn mint(&self, tenant: TenantId, task: TaskId, until: Timestamp, by: &str) -> String {
        let text = format!("{}.{}.{}.{by}", tenant.0, task.0, until.0);
        format!("{text}.{}", self.mac(&text))
    }

    /// What a link answers, and the key that it was made with. `None` when it is none of these or its time is over.
    #[must_use]
    pub fn open(&self, link: &str, now: Timestamp) -> Option<(TenantId, TaskId, String)> {
        let (text, mac) = link.rsplit_once('.')?;
        if !bool::from(self.mac(text).as_bytes().ct_eq(mac.as_bytes())) {
            return None;
        }
        let mut parts = text.split('.');
        let tenant = TenantId(parts.next()?.parse().ok()?);
        let task = TaskId(parts.next()?.parse().ok()?);
        let until = Timestamp(parts.next()?.parse().ok()?);
        let by = parts.next()?.to_owned();
        (parts.next().is_none() && now < until).then_some((tenant, task, by))
    }

    fn mac(&self, text: &str) -> String {
        crate::secrets::hex(&hmac(&self.key, text.as_bytes())[..16])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_opens_its_step_and_nothing_else() {
        let links = Links::new("secret");
        let link = links.mint(TenantId(2), TaskId(7), Timestamp(100), "key_1");
        assert_eq!(links.open(&link, Timestamp(99)), Some((TenantId(2), TaskId(7), "key_1".to_owned())));
        assert_eq!(links.open(&link, Timestamp(100)), None, "its time is over");
        assert_eq!(Links::new("other").open(&link, Timestamp(1)), None, "the token is another");
        for at in 0..link.len() {
            let mut forged = link.clone().into_bytes();
            forged[at] = if forged[at] == b'1' { b'2' } else { b'1' };
            assert_eq!(links.open(&String::from_utf8(forged).unwrap(), Timestamp(1)), None, "changed at {at}");
        }
        assert_eq!(links.open("", Timestamp(1)), None);
    }
}
