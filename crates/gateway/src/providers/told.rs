//! A provider's own error: its status, type, code, parameter and message.

use serde_json::Value;

/// Length limit of a provider's message, in characters.
pub(crate) const MESSAGE_CHARS: usize = 2_000;
/// Length limit of words that programs compare, in characters.
const WORD_CHARS: usize = 100;

/// An error as the provider reported it. Secrets have not been removed yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Told {
    /// HTTP status of the answer, or the one that its body names. `None` if neither is known.
    pub(crate) status: Option<u16>,
    /// `error.type`.
    pub(crate) kind: Option<String>,
    /// `error.code`, unless it is a number.
    pub(crate) code: Option<String>,
    /// Whether the provider wrote `"code": null`, which is kept.
    pub(crate) without_code: bool,
    /// `error.param`.
    pub(crate) param: Option<String>,
    /// `error.message`.
    pub(crate) message: String,
}

impl Told {
    /// Reads the error in a body or an event. Returns `None` when it is not an error. The shapes of all known providers
    /// are read, whoever sent the body.
    pub(crate) fn of(body: &Value) -> Option<Told> {
        // Google's addresses put the object into a list.
        let body = if body.is_array() { &body[0] } else { body };
        let object = body.as_object()?;
        let filled = |value: &Value| match value {
            Value::Null | Value::Bool(false) => false,
            Value::String(text) => !text.is_empty(),
            Value::Object(map) => !map.is_empty(),
            _ => true,
        };
        if let Some(error) = object.get("error").filter(|error| filled(error)) {
            return Some(Told::read(error, body));
        }
        if let Some(error) = object.get("choices").and_then(|choices| choices[0].get("error")).filter(|e| filled(e)) {
            return Some(Told::read(error, body));
        }
        if object.get("type").is_some_and(|kind| kind == "error")
            || object.get("object").is_some_and(|kind| kind == "error")
        {
            return Some(Told::read(body, body));
        }
        if ["choices", "output", "data", "content", "response", "delta", "usage", "id"]
            .iter()
            .any(|n| object.contains_key(*n))
        {
            return None;
        }
        if let Some(error) = object.get("errors").and_then(|errors| errors.get(0)).filter(|error| filled(error)) {
            return Some(Told::read(error, body));
        }
        match object.get("detail") {
            Some(detail @ (Value::String(_) | Value::Object(_))) if filled(detail) => Some(Told::read(detail, body)),
            Some(Value::Array(list)) if !list.is_empty() => Some(invalid(list)),
            _ => object.get("message").filter(|message| message.is_string()).map(|_| Told::read(body, body)),
        }
    }

    /// Makes an error of this gateway with that status.
    pub(crate) fn ours(status: u16, message: String) -> Told {
        Told { status: Some(status), message, ..Told::default() }
    }

    fn read(error: &Value, body: &Value) -> Told {
        let word = |name: &str| error[name].as_str().filter(|text| !text.is_empty());
        let is_number = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
        let status_word = word("status").filter(|text| !is_number(text));
        let code = word("code").filter(|text| !is_number(text)).or(status_word).or_else(|| word("__type"));
        let kind = word("type").filter(|kind| *kind != "error");
        let named = ["code", "status", "status_code", "http_status"];
        let status = named.iter().find_map(|name| number(&error[*name]).or_else(|| number(&body[*name])));
        let by_word = || [code, kind].into_iter().flatten().find_map(status_of);
        let message = match error {
            Value::String(text) => text.clone(),
            _ => match ["message", "msg", "detail", "error"].iter().find_map(|name| word(name)) {
                Some(text) => text.to_owned(),
                None => body["message"].as_str().map_or_else(|| error.to_string(), str::to_owned),
            },
        };
        // Gateways in front of a provider report only that it failed, and put its own error beside.
        let raw = error["metadata"]["raw"].as_str().filter(|raw| !raw.is_empty() && !message.contains(raw));
        let message = raw.map_or_else(|| message.clone(), |raw| format!("{message}: {raw}"));
        Told {
            status: status.or_else(by_word),
            kind: kind.map(short),
            code: code.map(short),
            without_code: error.get("code").is_some_and(Value::is_null) && code.is_none(),
            param: word("param").map(short),
            message,
        }
    }

    /// Tells whether the account behind the key has no quota left.
    pub(crate) fn is_of_quota(&self) -> bool {
        let words = ["insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance"];
        let is = |word: &Option<String>| word.as_deref().is_some_and(|word| words.contains(&word));
        is(&self.code) || is(&self.kind)
    }

    /// Tells whether a 403 is about the request and not about the caller.
    pub(crate) fn is_of_request(&self) -> bool {
        let words = ["model_not_found", "content_filter", "content_policy_violation", "model_not_allowed"];
        self.param.is_some() || self.code.as_deref().is_some_and(|code| words.contains(&code))
    }
}

/// Reads an error of FastAPI: the first field and its fault.
fn invalid(list: &[Value]) -> Told {
    let place = |item: &Value| {
        let parts = item["loc"].as_array().into_iter().flatten().filter(|part| *part != "body");
        parts.map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned)).collect::<Vec<_>>().join(".")
    };
    let line = |item: &Value| format!("{}: {}", place(item), item["msg"].as_str().unwrap_or("invalid"));
    let first = list.first().map(place).filter(|place| !place.is_empty());
    Told {
        param: first.as_deref().map(short),
        message: list.iter().take(3).map(line).collect::<Vec<_>>().join("; "),
        ..Told::default()
    }
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(WORD_CHARS).collect()
}

/// Reads a status that is written as a number or as digits.
fn number(value: &Value) -> Option<u16> {
    let number = match value {
        Value::String(text) => text.parse::<u64>().ok(),
        other => other.as_u64(),
    };
    number.and_then(|number| u16::try_from(number).ok()).filter(|status| (400..600).contains(status))
}

/// Returns the status of a word that providers use for `code`, `type` or `status`.
fn status_of(word: &str) -> Option<u16> {
    Some(match word {
        "invalid_request_error"
        | "invalid_request"
        | "invalid_prompt"
        | "context_length_exceeded"
        | "content_filter"
        | "content_policy_violation"
        | "string_above_max_length"
        | "unsupported_value"
        | "unsupported_parameter"
        | "unknown_parameter"
        | "invalid_value"
        | "INVALID_ARGUMENT"
        | "FAILED_PRECONDITION"
        | "OUT_OF_RANGE"
        | "ValidationException"
        | "BadRequestError" => 400,
        "authentication_error" | "invalid_api_key" | "UNAUTHENTICATED" => 401,
        "billing_error" => 402,
        "permission_error" | "PERMISSION_DENIED" | "AccessDeniedException" => 403,
        "not_found_error" | "model_not_found" | "NOT_FOUND" | "ResourceNotFoundException" | "NotFoundError" => 404,
        "request_too_large" => 413,
        "rate_limit_exceeded"
        | "rate_limit_error"
        | "insufficient_quota"
        | "RESOURCE_EXHAUSTED"
        | "ThrottlingException"
        | "tokens"
        | "requests"
        | "RateLimitError" => 429,
        "api_error" | "server_error" | "internal_error" | "INTERNAL" | "InternalServerError" => 500,
        "UNAVAILABLE" | "service_unavailable" | "engine_overloaded" | "ServiceUnavailableException" => 503,
        "timeout_error" | "DEADLINE_EXCEEDED" => 504,
        "overloaded_error" => 529,
        _ => return None,
    })
}

/// Tells whether a body is a web page.
pub(crate) fn is_page(kind: Option<&str>, body: &[u8]) -> bool {
    let start: String =
        String::from_utf8_lossy(&body[..body.len().min(512)]).trim_start_matches('\u{feff}').to_lowercase();
    let start = start.trim_start();
    kind.is_some_and(|kind| kind.contains("html"))
        || start.starts_with("<!doctype html")
        || start.starts_with("<html")
        || start.starts_with("<head")
}

/// Describes an answer that is not JSON.
pub(crate) fn instead(status: u16, kind: Option<&str>, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if is_page(kind, body) {
        let title = between(text, "<title", "</title").and_then(|title| title.split_once('>')).map(|(_, title)| title);
        let title = title.map(|title| format!(" with the title `{}`", title.trim())).unwrap_or_default();
        return format!(
            "the provider answered {status} with a web page (HTML){title} instead of JSON: check `base_url`, and \
             whether a login or a proxy stands before the provider"
        );
    }
    if text.is_empty() {
        return format!("the provider answered {status} with an empty body instead of JSON");
    }
    let start: String = text.chars().take(200).collect();
    format!("the provider answered {status} with text instead of JSON: {start}")
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    // Only ASCII changes here, so that positions stay valid.
    let lower = text.to_ascii_lowercase();
    let start = lower.find(from)? + from.len();
    let end = start + lower[start..].find(to)?;
    text.get(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(body: Value) -> (Option<u16>, Option<String>, Option<String>, Option<String>, String) {
        let told = Told::of(&body).unwrap_or_else(|| panic!("{body} is no error"));
        (told.status, told.kind, told.code, told.param, told.message)
    }

    #[test]
    fn every_providers_error_is_read_in_full() {
        let some = |text: &str| Some(text.to_owned());
        let why = || "why".to_owned();
        for (body, want) in [
            (
                json!({"error": {"message": "why", "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}}),
                (Some(400), some("invalid_request_error"), some("context_length_exceeded"), some("messages"), why()),
            ),
            (json!({"error": {"message": "why", "code": 429}}), (Some(429), None, None, None, why())),
            (json!({"error": {"message": "why", "code": "404"}}), (Some(404), None, None, None, why())),
            (
                json!({"type": "error", "error": {"type": "not_found_error", "message": "why"}, "request_id": "r"}),
                (Some(404), some("not_found_error"), None, None, why()),
            ),
            (
                json!([{"error": {"code": 400, "message": "why", "status": "INVALID_ARGUMENT"}}]),
                (Some(400), None, some("INVALID_ARGUMENT"), None, why()),
            ),
            (
                json!({"message": "why", "__type": "ThrottlingException"}),
                (Some(429), None, some("ThrottlingException"), None, why()),
            ),
            (
                json!({"object": "error", "message": "why", "type": "BadRequestError", "param": null, "code": 400}),
                (Some(400), some("BadRequestError"), None, None, why()),
            ),
            (json!({"error": "why"}), (None, None, None, None, why())),
            (json!({"detail": "why"}), (None, None, None, None, why())),
            (
                json!({"detail": [{"loc": ["body", "messages", 0], "msg": "why", "type": "missing"}]}),
                (None, None, None, some("messages.0"), "messages.0: why".to_owned()),
            ),
            (json!({"errors": [{"message": "why"}]}), (None, None, None, None, why())),
            (
                json!({"choices": [{"error": {"message": "why", "code": 502}, "finish_reason": "error"}]}),
                (Some(502), None, None, None, why()),
            ),
            (
                json!({"error": {"message": "Provider returned error", "code": 429, "metadata": {"raw": "why"}}}),
                (Some(429), None, None, None, "Provider returned error: why".to_owned()),
            ),
            (
                json!({"type": "error", "code": "rate_limit_exceeded", "message": "why", "param": null}),
                (Some(429), None, some("rate_limit_exceeded"), None, why()),
            ),
        ] {
            assert_eq!(told(body.clone()), want, "{body}");
        }
    }

    #[test]
    fn an_answer_is_no_error() {
        for body in [
            json!({"choices": [{"message": {"content": "x"}}], "error": null}),
            json!({"choices": [], "usage": {}}),
            json!({"id": "x", "object": "response", "error": null, "output": []}),
            json!({"data": [], "message": "ok"}),
            json!({"error": {}}),
            json!({}),
            json!([]),
            json!("x"),
        ] {
            assert_eq!(Told::of(&body), None, "{body}");
        }
    }

    #[test]
    fn pages_and_texts_are_told_apart() {
        let page = b"\xef\xbb\xbf <!DOCTYPE html><html><head><TITLE class=x> Sign in </TITLE>";
        assert!(instead(200, Some("application/json"), page).contains("(HTML) with the title `Sign in`"));
        assert!(instead(404, Some("text/html"), b"x").contains("a web page (HTML) instead"));
        assert!(instead(200, None, b" \n").contains("an empty body"));
        assert!(instead(200, None, b"upstream timed out").contains("with text instead of JSON: upstream timed out"));
    }
}
