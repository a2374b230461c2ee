//! Signatures of deliveries, by Standard Webhooks.
//!
//! A secret is derived from a key of the folder and a salt in the row of its subscription, so that neither the database
//! nor a backup of the database alone can sign.

use std::{io, path::Path, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use kapelle_core::{Name, TenantId};
use kapelle_gateway::mac::hmac;

use crate::{folder_key, subscriptions::WEBHOOKS_KEY_FILE};

/// Derives secrets of subscriptions, and signs with them.
#[derive(Clone)]
pub(crate) struct Signer(Arc<[u8; 32]>);

impl Signer {
    /// Reads the key of a folder, or makes one.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub(crate) fn of(folder: &Path) -> io::Result<Signer> {
        Ok(Signer(Arc::new(folder_key::of(folder, WEBHOOKS_KEY_FILE)?)))
    }

    fn derived(&self, (tenant, name): (TenantId, &Name), salt: &str) -> [u8; 32] {
        hmac(&*self.0, format!("kapelle webhook secret 1\n{}\n{name}\n{salt}\n", tenant.0).as_bytes())
    }

    /// Returns the secret of a salt as receivers write it.
    pub(crate) fn secret(&self, of: (TenantId, &Name), salt: &str) -> String {
        format!("whsec_{}", STANDARD.encode(self.derived(of, salt)))
    }

    /// Returns the header `webhook-signature`: one signature for each salt, with a space between.
    pub(crate) fn header<'a>(
        &self,
        of: (TenantId, &Name),
        salts: impl Iterator<Item = &'a str>,
        message: (&str, i64, &str),
    ) -> String {
        salts.map(|salt| signature(&self.derived(of, salt), message)).collect::<Vec<_>>().join(" ")
    }
}

/// Signs id, time in seconds and body.
fn signature(key: &[u8], (id, seconds, body): (&str, i64, &str)) -> String {
    format!("v1,{}", STANDARD.encode(hmac(key, format!("{id}.{seconds}.{body}").as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_standard() {
        // The example of the specification.
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let message = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature(&key, message), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn secrets_differ_by_tenant_name_and_salt_and_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let signer = Signer::of(folder.path()).unwrap();
        let name = Name::new("ops");
        let secret = signer.secret((TenantId(1), &name), "a");
        assert_eq!(Signer::of(folder.path()).unwrap().secret((TenantId(1), &name), "a"), secret);
        for other in [
            signer.secret((TenantId(2), &name), "a"),
            signer.secret((TenantId(1), &Name::new("dev")), "a"),
            signer.secret((TenantId(1), &name), "b"),
        ] {
            assert_ne!(other, secret);
        }
        let both = signer.header((TenantId(1), &name), ["b", "a"].into_iter(), ("evt_1", 1, "{}"));
        assert_eq!(both.split(' ').count(), 2);
    }
}
