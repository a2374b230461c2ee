//! Addresses to which a worker may send.

use kapelle_core::TaskError;
use kapelle_workers::configured::Fault;
use lettre::{Address, message::Mailbox};
use serde_json::Value;

use crate::{faults::invalid, settings::texts};

/// The owner's list: addresses, `*@example.com`, or `any`.
#[derive(Debug, Clone)]
pub(super) struct Recipients {
    any: bool,
    domains: Vec<String>,
    addresses: Vec<Address>,
}

impl Recipients {
    pub(super) fn read(settings: &Value, faults: &mut Vec<Fault>) -> Recipients {
        let mut read = Recipients { any: false, domains: Vec::new(), addresses: Vec::new() };
        for (at, text) in texts(settings, "recipients").into_iter().enumerate() {
            match (text, text.strip_prefix("*@"), text.parse::<Address>()) {
                ("any", ..) => read.any = true,
                (_, Some(domain), _) if format!("a@{domain}").parse::<Address>().is_ok() => {
                    read.domains.push(domain.to_lowercase());
                }
                (_, None, Ok(address)) => read.addresses.push(address),
                _ => faults.push(Fault::of(
                    format!("recipients[{at}]"),
                    format!("`{text}` is not an address"),
                    "write one such as team@example.com, `*@example.com`, or any",
                )),
            }
        }
        read
    }

    /// Checks one address.
    ///
    /// # Errors
    /// When the owner did not allow it.
    pub(super) fn admit(&self, field: &str, mailbox: &Mailbox) -> Result<(), TaskError> {
        let address = &mailbox.email;
        let domain = address.domain().to_lowercase();
        let same = |known: &&Address| known.user() == address.user() && known.domain().eq_ignore_ascii_case(&domain);
        if self.any || self.domains.contains(&domain) || self.addresses.iter().any(|known| same(&known)) {
            return Ok(());
        }
        let shown = address.to_string();
        Err(invalid(format!(
            "{field}: {shown} is not among `recipients` of the worker's file; the owner adds it there"
        )))
    }
}

/// Reads an address such as `Ada <ada@example.com>`.
///
/// # Errors
/// A text that is not an address, or holds a control character.
pub(super) fn mailbox(field: &str, text: &str) -> Result<Mailbox, TaskError> {
    let shown: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).take(80).collect();
    let bad = |why: &str| invalid(format!("{field}: `{shown}` {why}; write one such as Ada <ada@example.com>"));
    if text.chars().any(char::is_control) {
        return Err(bad("holds a line break or another control character"));
    }
    text.trim().parse().map_err(|_| bad("is not an address"))
}
