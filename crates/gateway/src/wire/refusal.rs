//! An error in the shapes that the SDKs of OpenAI and Anthropic read.

use std::{
    borrow::Cow,
    sync::atomic::{AtomicU64, Ordering},
};

use kapelle_core::{Category, DurationMs, TaskError};
use serde_json::{Value, json};

use super::Door;
use crate::providers::told::Told;

/// Header with the category of a failure, for prompt workers on worker hosts.
pub(crate) const CATEGORY: &str = "x-kapelle-category";
/// Header of a temporary failure.
pub(crate) const PASSING: &str = "x-kapelle-passing";
/// Beginning of the message when no model can be called; the reason follows.
pub(crate) const NO_MODEL: &str = "only a model can answer this, and none can be asked: ";

/// Makes an id for one answer, unique among those of this process.
#[must_use]
pub fn new_request_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("req_kapelle_{:08x}{:08x}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Refusal of a call, as its caller sees it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Refusal {
    pub status: u16,
    /// `error.type`: one of the words that the SDKs know, or the provider's own.
    pub kind: Cow<'static, str>,
    /// `error.code`, which programs look at, such as `budget` or `model_required`, or the provider's own. `None` when
    /// the provider has no code.
    pub code: Option<Cow<'static, str>>,
    /// Message for a person: the problem, its place and the next step.
    pub message: String,
    pub param: Option<String>,
    /// Wait before a retry may help.
    pub retry_after: Option<DurationMs>,
    /// Whether the cause is temporary, such as a provider that is down, and not a missing key.
    pub passing: bool,
    /// Category of the failure if the caller is a task.
    pub category: Category,
}

impl Refusal {
    /// Makes a 400: the request is invalid.
    pub(crate) fn invalid(param: &str, message: String) -> Refusal {
        let mut refusal = Refusal::new(400, "invalid_request", Category::InvalidInput, message);
        refusal.param = Some(param.to_owned());
        refusal
    }

    /// Makes a 400: a field has the wrong type.
    pub(crate) fn typed(param: &str, message: String) -> Refusal {
        let refusal = Refusal::invalid(param, message);
        Refusal { code: Some(Cow::Borrowed("invalid_type")), ..refusal }
    }

    /// Makes a 404: no alias and no provider has that name.
    pub(crate) fn unknown_model(error: &TaskError) -> Refusal {
        let (code, param) = (Some(Cow::Borrowed("model_not_found")), Some("model".to_owned()));
        Refusal { status: 404, code, param, ..Refusal::of(error) }
    }

    pub(crate) fn too_large(max: usize) -> Refusal {
        let message = format!("the request is longer than {} MiB: shorten it", max >> 20);
        Refusal::new(413, "too_large", Category::InvalidInput, message)
    }

    pub(crate) fn new(status: u16, code: &'static str, category: Category, message: String) -> Refusal {
        let kind = match status {
            401 => "authentication_error",
            403 => "permission_error",
            402 | 429 => "rate_limit_error",
            400..=499 => "invalid_request_error",
            _ => "server_error",
        };
        let (kind, code) = (Cow::Borrowed(kind), Some(Cow::Borrowed(code)));
        Refusal { status, kind, code, message, param: None, retry_after: None, passing: false, category }
    }

    /// Converts a task's failure for a caller of `/v1`.
    pub(crate) fn of(error: &TaskError) -> Refusal {
        let (status, code) = match error.category {
            Category::RateLimited => (429, "rate_limited"),
            Category::Timeout => (504, "timeout"),
            Category::Unavailable => (503, "unavailable"),
            Category::ModelRequired => (503, "model_required"),
            Category::Budget => (402, "budget"),
            Category::InvalidInput | Category::InvalidOutput => (400, "invalid_request"),
            Category::Cancelled => (499, "cancelled"),
            Category::LeaseLost => (401, "token_ended"),
            Category::Provider => (502, "provider"),
            Category::Crashed | Category::Internal => (500, "internal"),
        };
        let mut refusal = Refusal::new(status, code, error.category, error.message.clone());
        refusal.retry_after = error.retry_after;
        refusal
    }

    /// Replaces the error by the provider's own. Its message stands alone when no other link failed.
    pub(crate) fn told(self, told: &Told, alone: bool) -> Refusal {
        let status = told.status.unwrap_or(self.status);
        let plain = Refusal::new(status, "provider", self.category, self.message);
        let code = match &told.code {
            Some(code) => Some(Cow::Owned(code.clone())),
            None if told.without_code => None,
            None if status == self.status => self.code,
            None => plain.code,
        };
        let kind = told.kind.clone().map_or(plain.kind, Cow::Owned);
        let message = if alone { told.message.clone() } else { plain.message };
        let (param, retry_after, passing) = (told.param.clone(), self.retry_after, self.passing);
        Refusal { status, kind, code, message, param, retry_after, passing, category: self.category }
    }

    /// Makes a refusal before the gateway is reached, by authentication or size.
    #[must_use]
    pub fn at_the_door(status: u16, code: &'static str, message: String, retry_after: Option<DurationMs>) -> Refusal {
        let category = match status {
            401 => Category::LeaseLost,
            408 | 504 => Category::Timeout,
            429 => Category::RateLimited,
            500..=599 => Category::Unavailable,
            _ => Category::InvalidInput,
        };
        let mut refusal = Refusal::new(status, code, category, message);
        refusal.retry_after = retry_after;
        refusal
    }

    /// Returns the body of the answer in the shape of a door. `request_id` is for a door that has one.
    #[must_use]
    pub fn shaped(&self, door: Door, request_id: &str) -> Value {
        match door {
            Door::Openai => self.body(),
            Door::Anthropic => {
                let error = json!({ "type": self.anthropic_kind(), "message": self.message });
                json!({ "type": "error", "error": error, "request_id": request_id })
            }
        }
    }

    /// Returns `error.type` as Anthropic names it: the provider's own word if it is one of these, or that of the status.
    fn anthropic_kind(&self) -> &str {
        let own = &*self.kind;
        if matches!(own, "overloaded_error" | "timeout_error" | "billing_error" | "not_found_error") {
            return own;
        }
        match self.status {
            401 => "authentication_error",
            402 => "billing_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            504 => "timeout_error",
            503 | 529 => "overloaded_error",
            400..=499 => "invalid_request_error",
            _ => "api_error",
        }
    }

    /// Returns the body of the answer in OpenAI's shape.
    #[must_use]
    pub fn body(&self) -> Value {
        json!({ "error": { "message": self.message, "type": self.kind, "param": self.param, "code": self.code } })
    }

    /// Returns the headers of the answer. `x-should-retry: false` keeps the SDKs from retrying by themselves: the
    /// task's own retry rules decide, and calls are counted where they are made.
    #[must_use]
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![("content-type", "application/json".to_owned()), ("x-should-retry", "false".to_owned())];
        headers.push((CATEGORY, self.category.as_str().to_owned()));
        if let Some(wait) = self.retry_after {
            headers.push(("retry-after", wait.0.div_ceil(1_000).to_string()));
            headers.push(("retry-after-ms", wait.0.to_string()));
        }
        if self.passing {
            headers.push((PASSING, "true".to_owned()));
        }
        headers
    }

    /// Returns the failure for the task.
    #[must_use]
    pub fn task_error(&self) -> TaskError {
        let mut error = TaskError::new(self.category, self.message.clone());
        error.retry_after = self.retry_after;
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_category_has_a_status_and_the_shape_of_the_sdks() {
        for category in Category::ALL {
            let refusal = Refusal::of(&TaskError::new(category, "why").after(DurationMs(1_500)));
            assert!((400..600).contains(&refusal.status), "{category}");
            assert_eq!(refusal.body()["error"]["message"], "why");
            let anthropic = refusal.shaped(Door::Anthropic, "req_1");
            assert_eq!((&anthropic["type"], &anthropic["request_id"]), (&json!("error"), &json!("req_1")));
            assert_eq!(anthropic["error"]["message"], "why");
            assert!(anthropic["error"]["type"].as_str().is_some_and(|kind| kind.contains('_')), "{anthropic}");
            let headers = refusal.headers();
            assert!(
                headers.contains(&("retry-after", "2".to_owned()))
                    && headers.contains(&("x-should-retry", "false".to_owned()))
            );
        }
    }
}
