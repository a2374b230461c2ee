//! The input of `http`, made into a request.

use kapelle_core::TaskError;
use reqwest::{
    Method, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Value, json};

use crate::{faults::invalid, outbound::Outgoing};

/// Headers that the transport sets.
const OF_TRANSPORT: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Returns the JSON Schema of the input.
pub(crate) fn schema() -> Value {
    kapelle_workers::schema::object(
        &["url"],
        json!({
            "url": { "type": "string", "minLength": 1, "maxLength": 8192, "description": "https://host/path" },
            "method": { "enum": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"], "default": "GET" },
            "headers": { "type": "object", "maxProperties": 64, "additionalProperties": { "type": "string" } },
            "query": {
                "type": "object", "additionalProperties": { "type": ["string", "number", "boolean"] },
                "description": "Parameters that are added to the address",
            },
            "json": { "description": "A body that is sent as JSON" },
            "text": { "type": "string", "description": "A body that is sent as it is" },
            "accept": {
                "type": "array", "items": { "type": "integer", "minimum": 100, "maximum": 599 },
                "description": "Further statuses that are a result, not a failure: [404]",
            },
        }),
    )
}

/// Reads an input that fits the schema. `own` are the headers of the settings.
///
/// # Errors
/// An address or header that cannot be sent.
pub(crate) fn outgoing(input: &Value, own: HeaderMap, task: &str) -> Result<Outgoing, TaskError> {
    let text = input["url"].as_str().unwrap_or_default();
    let mut url = Url::parse(text).map_err(|error| invalid(format!("url: {error}; write https://host/path")))?;
    if let Some(query) = input["query"].as_object().filter(|query| !query.is_empty()) {
        let mut pairs = url.query_pairs_mut();
        for (name, value) in query {
            pairs.append_pair(name, &value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
    }
    url.set_fragment(None);
    let method = input["method"].as_str().unwrap_or("GET");
    let method =
        Method::from_bytes(method.as_bytes()).map_err(|_| invalid(format!("method: `{method}` is unknown")))?;
    let mut headers = headers(&input["headers"], &own)?;
    let body = match (input.get("json"), input["text"].as_str()) {
        (Some(_), Some(_)) => return Err(invalid("json, text: only one body is possible; leave one of them out")),
        (Some(value), None) => {
            headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
            Some(value.to_string().into_bytes())
        }
        (None, Some(text)) => {
            headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("text/plain; charset=utf-8"));
            Some(text.as_bytes().to_vec())
        }
        (None, None) => None,
    };
    if body.is_some() && matches!(method, Method::GET | Method::HEAD) {
        return Err(invalid(format!("json, text: {method} has no body; write `method: POST`")));
    }
    if !is_repeatable(&method) {
        let key = HeaderValue::from_str(task).map_err(|_| invalid("the id of the task is not plain text"))?;
        headers.entry("idempotency-key").or_insert(key);
    }
    Ok(Outgoing { method, url, headers, own, body })
}

/// Tells whether sending a request twice does what sending it once does.
pub(crate) fn is_repeatable(method: &Method) -> bool {
    !matches!(*method, Method::POST | Method::PATCH)
}

fn headers(given: &Value, own: &HeaderMap) -> Result<HeaderMap, TaskError> {
    let mut headers = HeaderMap::new();
    for (name, value) in given.as_object().into_iter().flatten() {
        let (name, value) = header(&format!("headers.{name}"), name, value.as_str().unwrap_or_default())?;
        if OF_TRANSPORT.contains(&name.as_str()) {
            return Err(invalid(format!("headers.{name}: it is set by the transport; leave it out")));
        }
        if own.contains_key(&name) {
            return Err(invalid(format!("headers.{name}: the worker's file sets it; leave it out")));
        }
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Reads one header.
///
/// # Errors
/// A name or value that cannot be sent; the value is not shown.
pub(crate) fn header(field: &str, name: &str, value: &str) -> Result<(HeaderName, HeaderValue), TaskError> {
    let header =
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid(format!("{field}: not a header's name")))?;
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        invalid(format!("{field}: its value has characters that a header cannot hold, such as a new line"))
    })?;
    value.set_sensitive(true);
    Ok((header, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_becomes_a_request() {
        let input =
            json!({ "url": "https://h/a?x=1#f", "method": "POST", "query": { "q": "a b&", "n": 2 }, "json": [1] });
        let sent = outgoing(&input, HeaderMap::new(), "task_7").unwrap();
        assert_eq!(sent.url.as_str(), "https://h/a?x=1&q=a+b%26&n=2");
        assert_eq!(
            (sent.headers["idempotency-key"].to_str().unwrap(), sent.body.as_deref()),
            ("task_7", Some(&b"[1]"[..]))
        );
        assert_eq!(sent.headers[CONTENT_TYPE], "application/json");
    }

    #[test]
    fn what_cannot_be_sent_names_its_field() {
        let own = HeaderMap::from_iter([header("h", "authorization", "x").unwrap()]);
        for (input, part) in [
            (json!({ "url": "nowhere" }), "url: "),
            (json!({ "url": "https://h", "headers": { "Host": "evil" } }), "headers.host: it is set by the transport"),
            (
                json!({ "url": "https://h", "headers": { "Authorization": "x" } }),
                "headers.authorization: the worker's file",
            ),
            (json!({ "url": "https://h", "headers": { "a": "b\r\nc: d" } }), "headers.a: its value has characters"),
            (json!({ "url": "https://h", "headers": { "a b": "c" } }), "headers.a b: not a header's name"),
            (json!({ "url": "https://h", "json": 1, "text": "a", "method": "PUT" }), "json, text: only one"),
            (json!({ "url": "https://h", "text": "a" }), "GET has no body"),
        ] {
            let error = outgoing(&input, own.clone(), "task_1").err().unwrap();
            assert!(error.message.contains(part) && !error.retryable, "{input}: {error}");
        }
    }
}
