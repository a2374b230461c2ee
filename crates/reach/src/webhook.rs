//! Requests to receivers of events, with the rules of the worker `http` for addresses.

use std::time::Duration;

use reqwest::{
    Method, Url,
    header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
};
use serde_json::json;

use crate::{
    hosts::Hosts,
    outbound::{Outbound, OutboundLimits, Outgoing},
};

/// Place of the lists of hosts.
const PLACE: &str = "`webhooks` of kapelle.yaml";
/// Time limit of one request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read.
const BYTES: usize = 4 << 10;

/// Sender of events.
pub struct Webhooks(Outbound);

/// The result of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// Reason why it was not accepted. `None` for an answer with a status of 2xx.
    pub error: Option<String>,
    /// Pause that the receiver asked for, in milliseconds.
    pub retry_after_ms: Option<i64>,
}

impl Webhooks {
    /// Makes a sender for hosts: patterns of public ones (`any`, `*.example.com`, `name:port`), and those that may be
    /// private. `insecure` allows public ones without TLS.
    ///
    /// # Errors
    /// A pattern that is not a host.
    pub fn new(hosts: &[String], private: &[String], insecure: bool) -> Result<Webhooks, String> {
        let mut faults = Vec::new();
        let hosts = Hosts::read(&json!({ "hosts": hosts, "private": private }), &mut faults).of(PLACE);
        if let Some(fault) = faults.first() {
            return Err(format!("webhooks.{}: {}; {}", fault.field, fault.message, fault.hint));
        }
        let limits = OutboundLimits { timeout: TIMEOUT, bytes: BYTES, redirects: 0, insecure };
        Ok(Webhooks(Outbound::new(hosts, limits)))
    }

    /// Checks an address, as far as that is possible without looking up its host.
    ///
    /// # Errors
    /// The reason why it is not allowed.
    pub fn check(&self, url: &str) -> Result<(), String> {
        let url = Url::parse(url).map_err(|error| format!("url: {error}; write https://host/path"))?;
        self.0.allowed(&url).map_err(|error| error.message)
    }

    /// Sends a body. A redirect is not followed: whoever answers it could point at a private address.
    pub async fn post(&self, url: &str, headers: &[(&'static str, String)], body: Vec<u8>) -> Sent {
        let failed = |error: String| Sent { status: None, error: Some(error), retry_after_ms: None };
        let url = match Url::parse(url) {
            Ok(url) => url,
            Err(error) => return failed(format!("url: {error}")),
        };
        let mut own = HeaderMap::new();
        for (name, value) in headers {
            let Ok(value) = HeaderValue::from_str(value) else {
                return failed(format!("{name}: its value cannot be sent"));
            };
            own.insert(HeaderName::from_static(name), value);
        }
        let outgoing = Outgoing { method: Method::POST, url, headers: HeaderMap::new(), own, body: Some(body) };
        match self.0.send_once(outgoing).await {
            Ok((status, headers)) => answered(status, &headers),
            Err(failure) => failed(failure.error.message),
        }
    }
}

fn answered(status: u16, headers: &HeaderMap) -> Sent {
    let error = match status {
        200..=299 => None,
        300..=399 => Some(format!("answered {status}: redirects are not followed; subscribe with the final address")),
        _ => Some(format!("answered {status}")),
    };
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse::<i64>().ok());
    let retry_after_ms = seconds.filter(|seconds| *seconds >= 0).map(|seconds| seconds.saturating_mul(1_000));
    Sent { status: Some(status), error, retry_after_ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(hosts: &[&str], private: &[&str]) -> Webhooks {
        let texts = |list: &[&str]| list.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>();
        Webhooks::new(&texts(hosts), &texts(private), false).unwrap()
    }

    #[test]
    fn private_addresses_need_the_owner_and_public_ones_tls() {
        let any = sender(&["any"], &[]);
        assert_eq!(any.check("https://example.com/hooks"), Ok(()));
        for (url, part) in [
            ("http://example.com/", "plain http"),
            ("https://127.0.0.1/", "is not public; the owner allows such a host by `private` in `webhooks`"),
            ("https://[::ffff:10.0.0.1]/", "is not public"),
            ("https://169.254.169.254/latest", "is not public"),
            ("https://example.com:22/", "example.com:22 is not among `hosts` of `webhooks` of kapelle.yaml"),
            ("https://user:secret@example.com/", "holds a user name"),
            ("ftp://example.com/", "the scheme `ftp`"),
            ("nowhere", "write https://"),
        ] {
            let refused = any.check(url).unwrap_err();
            assert!(refused.contains(part), "{url}: {refused}");
        }
        assert_eq!(sender(&[], &["localhost:9"]).check("http://localhost:9/"), Ok(()));
        assert!(
            Webhooks::new(&["https://a".to_owned()], &[], false).is_err_and(|why| why.contains("webhooks.hosts[0]"))
        );
    }

    #[test]
    fn an_answer_is_accepted_only_with_a_status_of_success() {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("7"))]);
        assert_eq!(answered(204, &headers).error, None);
        assert!(answered(302, &headers).error.unwrap().contains("not followed"));
        assert_eq!((answered(429, &headers).status, answered(429, &headers).retry_after_ms), (Some(429), Some(7_000)));
    }
}
