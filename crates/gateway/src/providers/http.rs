//! HTTP parts that all providers share: one client, bounded bodies, transport faults.

use std::{error::Error, net::IpAddr, time::Duration};

use crate::transport::{self, Client, Response, Url, header::HeaderMap};
use kapelle_core::DurationMs;

/// Size limit of an answer, in bytes. A longer answer is refused while it is read.
pub(crate) const BODY_MAX: usize = 10 << 20;
/// Bytes that are read of an error page.
pub(crate) const ERROR_BODY_MAX: usize = 64 << 10;
/// Longest wait that a provider can ask for, in milliseconds.
const LONGEST_WAIT_MS: f64 = 86_400_000.0;

/// Builds the client of one provider. Redirects are not followed, since they could carry the key elsewhere. Compressed
/// answers are not accepted, since a small one could unpack to any size.
#[cfg(feature = "http")]
pub(crate) fn client(base: &Url) -> Result<Client, String> {
    // A second call finds the provider already installed, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .redirect(transport::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(10))
        .pool_idle_timeout(Duration::from_secs(60))
        .tcp_nodelay(true)
        .user_agent(concat!("kapelle/", env!("CARGO_PKG_VERSION")));
    if is_local(base) {
        builder = builder.no_proxy();
    }
    if base.scheme() == "http" {
        // Without TLS the certificates of the system are not needed, and a small container may lack them.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| chain_of(&error))
}

/// Returns an error: this build has no HTTP.
#[cfg(not(feature = "http"))]
pub(crate) fn client(_base: &Url) -> Result<Client, String> {
    Err("this program was built without model providers: build it with the feature `models`".to_owned())
}

/// Returns the address, or an error for plain HTTP on another machine that the configuration does not allow.
pub(crate) fn allowed(url: Url, provider: &str, insecure: bool) -> Result<Url, String> {
    if url.scheme() != "http" || insecure || is_local(&url) {
        return Ok(url);
    }
    Err(format!(
        "{}: plain http to another machine, so that the key and every prompt can be read on the way; use https, or set \
         providers.{provider}.insecure to true",
        url.origin().ascii_serialization()
    ))
}

/// Tells whether an address is on this machine.
pub(crate) fn is_local(base: &Url) -> bool {
    let host = base.host_str().unwrap_or("").trim_end_matches('.');
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    host == "localhost" || host.ends_with(".localhost") || address.is_some_and(|ip| ip.is_loopback())
}

/// Returns the media type of a body in lower case, without its parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = String::from_utf8_lossy(headers.get("content-type")?.as_bytes()).to_lowercase();
    Some(text.split(';').next().unwrap_or("").trim().to_owned())
}

/// Tells whether a body is compressed.
pub(crate) fn is_packed(headers: &HeaderMap) -> bool {
    let coding =
        headers.get("content-encoding").map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_lowercase());
    coding.is_some_and(|coding| !matches!(coding.as_str(), "" | "identity"))
}

/// Returns the reason why an answer of that type is not read: it is compressed, or of another type than requested.
pub(crate) fn unreadable(headers: &HeaderMap, wanted: &str) -> Option<String> {
    let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_lowercase());
    if let Some(packed) = text("content-encoding").filter(|coding| !matches!(coding.as_str(), "" | "identity")) {
        return Some(format!("the answer is compressed (`{packed}`), which was not requested"));
    }
    let plain = media_type(headers)?;
    (plain != wanted).then(|| format!("the answer is `{plain}` and not `{wanted}`"))
}

/// Tells whether the body is said to be JSON, and not compressed.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    !is_packed(headers) && media_type(headers).is_some_and(|kind| kind == "application/json")
}

/// Reason why a body could not be read.
pub(crate) enum BodyFault {
    /// It is longer than allowed.
    TooLong,
    /// The connection broke, or the time ran out.
    Broken(transport::Error),
}

/// Reads a body up to `max` bytes.
pub(crate) async fn body(mut response: Response, max: usize) -> Result<Vec<u8>, BodyFault> {
    if response.content_length().is_some_and(|length| length > max as u64) {
        return Err(BodyFault::TooLong);
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(BodyFault::Broken)? {
        if bytes.len() + chunk.len() > max {
            return Err(BodyFault::TooLong);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Returns the provider's id of an answer, for questions to its support.
pub(crate) fn request_id(headers: &HeaderMap) -> Option<String> {
    let names = ["x-request-id", "request-id", "x-amzn-requestid", "apim-request-id"];
    let found = names.into_iter().find_map(|name| headers.get(name)?.to_str().ok());
    let plain = |text: &str| text.chars().filter(char::is_ascii_graphic).take(128).collect::<String>();
    found.map(plain).filter(|text| !text.is_empty())
}

/// Returns the wait that the answer asks for: `retry-after-ms`, or `retry-after` in seconds or as a date. A date is
/// compared with the answer's own `date`, so that a wrong local clock does no harm.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<DurationMs> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let bounded = |ms: f64| (ms.is_finite() && ms >= 0.0).then(|| DurationMs(ms.min(LONGEST_WAIT_MS).ceil() as u64));
    if let Some(ms) = text("retry-after-ms").and_then(|t| t.parse::<f64>().ok()) {
        return bounded(ms);
    }
    let asked = text("retry-after")?;
    if let Ok(seconds) = asked.parse::<f64>() {
        return bounded(seconds * 1_000.0);
    }
    let instant = |t: &str| jiff::fmt::rfc2822::parse(t).ok().map(|zoned| zoned.timestamp().as_millisecond());
    let (until, now) = (instant(asked)?, instant(text("date")?)?);
    bounded(until.saturating_sub(now).max(0) as f64)
}

/// Formats the error and its causes, without the address, which may hold secrets.
pub(crate) fn chain_of(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let line = inner.to_string();
        if !text.contains(&line) {
            text.push_str(": ");
            text.push_str(&line);
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::header::HeaderValue;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|&(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn every_form_of_retry_after_is_read() {
        let date = ("date", "Wed, 21 Oct 2026 07:28:00 GMT");
        for (pairs, ms) in [
            (&[("retry-after", "2")][..], Some(2_000)),
            (&[("retry-after", "0.5")], Some(500)),
            (&[("retry-after", "2"), ("retry-after-ms", "150")], Some(150)),
            (&[("retry-after", "Wed, 21 Oct 2026 07:28:30 GMT"), date], Some(30_000)),
            (&[("retry-after", "Wed, 21 Oct 2026 07:27:30 GMT"), date], Some(0)),
            (&[("retry-after", "Wed, 21 Oct 2026 07:28:30 GMT")], None),
            (&[("retry-after", "1e300")], Some(86_400_000)),
            (&[("retry-after", "-1")], None),
            (&[("retry-after", "soon")], None),
            (&[], None),
        ] {
            assert_eq!(retry_after(&headers(pairs)).map(|d| d.0), ms, "{pairs:?}");
        }
    }

    #[test]
    fn a_local_address_goes_around_the_proxy() {
        for (base, local) in [
            ("http://127.0.0.1:1/v1", true),
            ("http://[::1]:1/v1", true),
            ("http://localhost/v1", true),
            ("https://api.openai.com/v1", false),
        ] {
            assert_eq!(is_local(&Url::parse(base).unwrap()), local, "{base}");
        }
    }
}
