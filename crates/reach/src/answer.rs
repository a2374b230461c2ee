//! The answer to a request as an output, or as a failure with its category.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use kapelle_core::{Category, DurationMs, TaskError};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use serde_json::{Map, Value, json};

use crate::outbound::{Incoming, shown};

/// Longest wait that a service can ask for, in seconds.
const WAIT_MAX: u64 = 86_400;
/// Characters of a refusal that are shown.
const REFUSAL_MAX: usize = 300;

/// Returns the JSON Schema of the output.
pub(crate) fn schema() -> Value {
    kapelle_workers::schema::object(
        &["status", "url", "headers"],
        json!({
            "status": { "type": "integer" },
            "url": { "type": "string", "description": "The address after redirects" },
            "headers": { "type": "object", "additionalProperties": { "type": "string" } },
            "redirects": { "type": "integer" },
            "json": { "description": "The body, when it is JSON" },
            "text": { "type": "string", "description": "The body, when it is other text" },
            "base64": { "type": "string", "description": "The body, when it is not text" },
        }),
    )
}

/// Makes the output.
pub(crate) fn output(incoming: &Incoming) -> Value {
    let mut headers = Map::new();
    for (name, value) in &incoming.headers {
        // A cookie is a credential of the caller.
        if name.as_str() != "set-cookie" {
            headers.insert(name.to_string(), json!(String::from_utf8_lossy(value.as_bytes())));
        }
    }
    let mut url = incoming.url.clone();
    url.set_query(None);
    let mut output = json!({
        "status": incoming.status, "url": url.as_str(), "headers": headers, "redirects": incoming.redirects,
    });
    if incoming.body.is_empty() {
        return output;
    }
    let is_json = media_type(&incoming.headers).is_some_and(|kind| kind.ends_with("/json") || kind.ends_with("+json"));
    match (std::str::from_utf8(&incoming.body), is_json) {
        (Ok(text), true) => match serde_json::from_str::<Value>(text) {
            Ok(value) => output["json"] = value,
            Err(_) => output["text"] = json!(text),
        },
        (Ok(text), false) => output["text"] = json!(text),
        (Err(_), _) => output["base64"] = json!(STANDARD.encode(&incoming.body)),
    }
    output
}

/// Returns the failure of a status. `None` for one that is a result.
pub(crate) fn refusal(incoming: &Incoming, accepted: &[u16]) -> Option<TaskError> {
    let status = incoming.status;
    if (200..300).contains(&status) || accepted.contains(&status) {
        return None;
    }
    let text = String::from_utf8_lossy(&incoming.body);
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(REFUSAL_MAX).collect();
    let next = match status {
        401 | 403 => "check the credentials in the worker's file",
        404 => "check the address, or accept it with `accept: [404]`",
        408 | 425 | 429 | 500..=599 => "it is tried again as far as `retry` allows",
        _ => "correct the request, or accept the status with `accept`",
    };
    let message = format!("HTTP {status} of {}: {}; {next}", shown(&incoming.url), text.trim());
    let (category, again) = match status {
        429 => (Category::RateLimited, true),
        408 | 425 | 500 | 502..=504 => (Category::Unavailable, true),
        401 | 403 | 407 | 500..=599 => (Category::Unavailable, false),
        _ => (Category::InvalidInput, false),
    };
    let mut error = TaskError::new(category, message);
    error.retryable = again;
    match retry_after(&incoming.headers) {
        Some(wait) if again => Some(error.after(wait)),
        _ => Some(error),
    }
}

/// Tells whether the service certainly did not do what it was asked.
pub(crate) fn is_refused(status: u16) -> bool {
    (300..500).contains(&status) || status == 503
}

fn retry_after(headers: &HeaderMap) -> Option<DurationMs> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(DurationMs(seconds.min(WAIT_MAX) * 1_000))
}

fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?.to_lowercase();
    Some(text.split(';').next().unwrap_or("").trim().to_owned())
}
