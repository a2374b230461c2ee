//! Links with which a person without a key answers one step, once.
//!
//! A link is `tenant.task.expires.key.mac`, where `key` is the key that it was made with. The MAC is HMAC-SHA256 (RFC
//! 2104) over the text before it, cut to 128 bits. Its secret is derived from the folder's token, so that a new token
//! makes every link void. No list is needed to make a link work only once: the step that it answers waits no more.

use kapelle_core::{TaskId, TenantId, Timestamp};
use kapelle_gateway::mac::hmac;
use subtle::ConstantTimeEq;

/// Makes and verifies links.
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
    /// Makes the links of a folder with that token.
    #[must_use]
    pub fn new(token: &str) -> Links {
        Links { key: hmac(token.as_bytes(), b"kapelle approval links") }
    }

    /// Makes a link for one step, valid until then and as long as the key `by`.
    #[must_use]
    pub fn mint(&self, tenant: TenantId, task: TaskId, until: Timestamp, by: &str) -> String {
        let text = format!("{}.{}.{}.{by}", tenant.0, task.0, until.0);
        format!("{text}.{}", self.mac(&text))
    }

    /// Verifies a link. Returns its tenant, its task and its key; `None` when it is forged or expired.
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
