//! The gateway of another server, for prompt workers on a worker host. The server that assigned the task pays for its
//! calls, records them and applies its providers' rates, so the worker host needs no provider key.

use std::{sync::Arc, time::Duration};

use crate::transport::{
    Client, Url,
    header::{HeaderMap, HeaderValue},
};
use kapelle_core::{Category, Money, TaskError, TaskId};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    answer::{Answer, Route, Usage},
    completion,
    gateway::Limits,
    providers::http,
    replay::{Fingerprint, Recorded, Source},
    service::{Bought, WholeAnswer},
    wire::{CATEGORY, ModelCall, NO_MODEL, PASSING, json},
};

/// Tokens of the attempts in progress on a worker host.
pub trait AttemptTokens: Send + Sync {
    /// Returns the token of that attempt. Returns `None` when it has no token, or is over.
    fn token(&self, task: TaskId, attempt: u32) -> Option<String>;
}

/// Access to the gateway of another server.
pub(crate) struct RemoteGateway {
    url: Url,
    client: Client,
    tokens: Arc<dyn AttemptTokens>,
}

/// An error as the other gateway reports it.
#[derive(Deserialize)]
struct Told {
    error: Refused,
}

#[derive(Deserialize)]
struct Refused {
    message: String,
    #[serde(default)]
    code: Option<String>,
}

#[derive(Deserialize)]
struct Counted {
    #[serde(default)]
    usage: Value,
}

impl RemoteGateway {
    /// Makes access to the gateway at that address, such as `http://127.0.0.1:7863/v1`.
    pub(crate) fn at(base_url: &str, tokens: Arc<dyn AttemptTokens>) -> Result<RemoteGateway, String> {
        let url = Url::parse(&format!("{}/chat/completions", base_url.trim_end_matches('/')));
        let url = url.map_err(|error| format!("`{base_url}`: {error}"))?;
        let client = http::client(&url)?;
        Ok(RemoteGateway { url, client, tokens })
    }

    /// Answers a call of an attempt.
    pub(crate) async fn complete(
        &self,
        (task, attempt): (TaskId, u32),
        call: &ModelCall,
        limits: &Limits,
    ) -> Result<Route, TaskError> {
        let failed = |category, why: String| TaskError::new(category, format!("the gateway of the server: {why}"));
        let token = self.tokens.token(task, attempt);
        let token = token.ok_or_else(|| failed(Category::Unavailable, "no token came with the task".to_owned()))?;
        let bearer = HeaderValue::from_str(&format!("Bearer {token}"));
        let bearer = bearer.map_err(|error| failed(Category::Internal, error.to_string()))?;
        let request = self.client.post(self.url.clone()).header("authorization", bearer);
        let request = request.header("content-type", "application/json");
        let away = |error: crate::transport::Error| {
            let category = if error.is_timeout() { Category::Timeout } else { Category::Unavailable };
            failed(category, http::chain_of(&error.without_url()))
        };
        let request = request.timeout(limits.timeout.max(Duration::from_millis(1))).body(call.forwarded().to_string());
        let response = request.send().await.map_err(away)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = http::body(response, http::BODY_MAX).await.map_err(|fault| match fault {
            http::BodyFault::TooLong => failed(Category::Provider, "the answer is too long".to_owned()),
            http::BodyFault::Broken(error) => away(error),
        })?;
        if status == 200 {
            return answered(call, &headers, body).map(Route::Answer);
        }
        refused(status, &headers, &body, limits)
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn answered(call: &ModelCall, headers: &HeaderMap, body: Vec<u8>) -> Result<Answer, TaskError> {
    let source = text(headers, "x-kapelle-source").and_then(Source::from_word).unwrap_or(Source::Provider);
    let counted: Option<Counted> = json::read(&body).ok();
    let count = |name: &str| counted.as_ref().and_then(|counted| counted.usage[name].as_u64()).unwrap_or(0);
    let usage = Usage { input: count("prompt_tokens"), output: count("completion_tokens"), ..Usage::default() };
    let cost = text(headers, "x-kapelle-cost-nanousd").and_then(|cost| cost.parse().ok()).map_or(Money::ZERO, Money);
    let shown = |name| text(headers, name).unwrap_or_default().to_owned();
    let recorded = Recorded {
        fingerprint: Fingerprint::of(call),
        content_type: "application/json",
        body: body.into(),
        provider: shown("x-kapelle-provider"),
        model: shown("x-kapelle-model"),
        usage,
        cost,
        degraded: text(headers, "x-kapelle-degraded").map(str::to_owned),
        attempt: 0,
        call: None,
    };
    let bought = (source == Source::Provider).then(|| Bought { price_known: true, hops: Vec::new() });
    completion::answer_of(WholeAnswer { recorded, source, completion: None, bought })
}

fn refused(status: u16, headers: &HeaderMap, body: &[u8], limits: &Limits) -> Result<Route, TaskError> {
    let told: Option<Told> = json::read(body).ok();
    let (message, code) = match told {
        Some(Told { error }) => (error.message, error.code.unwrap_or_default()),
        None => (format!("the gateway of the server answered {status}"), String::new()),
    };
    let named = text(headers, CATEGORY).and_then(Category::from_word);
    let category = match (status, code.as_str()) {
        (503, "model_required") if named.is_none_or(|named| named == Category::ModelRequired) => {
            // As in the server's own process, a temporary fault is retried first.
            let passing = headers.contains_key(PASSING) && !limits.last_attempt;
            if !passing && !limits.no_fallback {
                let why = message.strip_prefix(NO_MODEL).unwrap_or(&message).to_owned();
                return Ok(Route::Offline { provider: "offline".to_owned(), reason: Some(why), hops: Vec::new() });
            }
            if passing { Category::Unavailable } else { Category::ModelRequired }
        }
        (409, _) => return Err(TaskError::new(Category::ModelRequired, message).permanent()),
        _ => named.unwrap_or(match status {
            401 => Category::LeaseLost,
            402 => Category::Budget,
            429 => Category::RateLimited,
            503 => Category::Unavailable,
            504 => Category::Timeout,
            400 | 404 | 413 => Category::InvalidInput,
            _ => Category::Provider,
        }),
    };
    let mut error = TaskError::new(category, message);
    // A request that the provider refused will be refused again.
    error.retryable &=
        !((400..500).contains(&status) && !matches!(status, 401 | 429) && category == Category::Provider);
    error.retry_after = http::retry_after(headers);
    Err(error)
}
