//! The chat completions format of OpenAI, which most servers speak.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use kapelle_core::Category;
use reqwest::{Client, Response, StatusCode, Url, header};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Fault, FaultKind,
    http::{self, BODY_MAX, BodyFault, ERROR_BODY_MAX},
};
use crate::{
    answer::{Finish, Usage},
    config::{ConfigError, OPENAI_BASE_URL, Provider},
    request::{ChatRequest, REFUSED, estimate_tokens},
    secret::{Secret, scrub_key_like},
    status::LinkState,
};

/// One server that speaks this format.
pub(crate) struct Openai {
    name: String,
    endpoint: Url,
    key: Option<Secret>,
    key_env: Option<String>,
    key_refused: AtomicBool,
    // Built at the first call: loading the certificates of the system takes time that a start without calls saves.
    client: OnceLock<Result<Client, String>>,
}

/// What a server answered.
pub(crate) struct Reply {
    pub(crate) content: String,
    pub(crate) finish: Finish,
    pub(crate) model: String,
    pub(crate) usage: Usage,
}

#[derive(Deserialize)]
struct Completion {
    #[serde(default)]
    model: Option<String>,
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Counted>,
}

#[derive(Deserialize)]
struct Choice {
    message: Said,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct Counted {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

impl Openai {
    /// Reads the address and the key. Nothing is connected.
    pub(crate) fn new(
        name: &str,
        provider: &Provider,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Openai, ConfigError> {
        let from_env = provider.base_url_env.as_ref().and_then(|variable| {
            let text = env(variable)?.trim().to_owned();
            (!text.is_empty()).then(|| (variable.clone(), text))
        });
        let (place, text) = match (from_env, &provider.base_url) {
            (Some((variable, text)), _) => (variable, text),
            (None, Some(text)) => (format!("providers.{name}.base_url"), text.clone()),
            (None, None) => (format!("providers.{name}"), OPENAI_BASE_URL.to_owned()),
        };
        let endpoint = endpoint(&text).map_err(|message| ConfigError::at(&place, message))?;
        let key = provider.api_key_env.as_ref().and_then(|variable| Secret::new(&env(variable)?));
        if let (Some(key), Some(variable)) = (&key, &provider.api_key_env)
            && header::HeaderValue::from_str(key.expose()).is_err()
        {
            return Err(ConfigError::at(variable, "the key holds characters that cannot be sent"));
        }
        Ok(Openai {
            name: name.to_owned(),
            endpoint,
            key,
            key_env: provider.api_key_env.clone(),
            key_refused: AtomicBool::new(false),
            client: OnceLock::new(),
        })
    }

    /// Why it cannot be asked, when its key is not set.
    pub(crate) fn key_missing(&self) -> Option<String> {
        let variable = self.key_env.as_ref()?;
        self.key.is_none().then(|| format!("no {variable}"))
    }

    /// What it can do now.
    pub(crate) fn state(&self) -> LinkState {
        if self.key_missing().is_some() {
            LinkState::NoKey
        } else if self.key_refused.load(Ordering::Relaxed) {
            LinkState::KeyRefused
        } else {
            LinkState::Ready
        }
    }

    /// What is wrong with its key, in words.
    pub(crate) fn trouble(&self) -> Option<String> {
        match self.state() {
            LinkState::KeyRefused => Some(format!("{} was refused", self.key_name())),
            _ => self.key_missing(),
        }
    }

    fn key_name(&self) -> String {
        self.key_env.clone().unwrap_or_else(|| format!("the key of {}", self.name))
    }

    /// Sends one request and reads the whole answer.
    pub(crate) async fn chat(&self, model: &str, request: &ChatRequest, timeout: Duration) -> Result<Reply, Fault> {
        let link = format!("{}/{model}", self.name);
        let client = self.client.get_or_init(|| http::client(&self.endpoint)).as_ref().map_err(|why| {
            Fault::unsent(
                &link,
                FaultKind::Request,
                Category::Internal,
                &format!("no HTTP client ({why}): are the CA certificates of the system installed?"),
            )
        })?;
        let mut sending = client.post(self.endpoint.clone()).timeout(timeout).json(&body_of(model, request));
        if let Some(key) = &self.key {
            sending = sending.bearer_auth(key.expose());
        }
        let response = sending.send().await.map_err(|error| self.transport(&link, error))?;
        let status = response.status();
        if status != StatusCode::OK {
            return Err(self.refusal(&link, response).await);
        }
        self.key_refused.store(false, Ordering::Relaxed);
        let bytes = match http::body(response, BODY_MAX).await {
            Ok(bytes) => bytes,
            Err(BodyFault::Broken(error)) => return Err(self.transport(&link, error)),
            Err(BodyFault::TooLong) => {
                let reason = "the answer is larger than 10 MiB";
                return Err(Fault::sent(&link, FaultKind::Request, Category::Provider, reason));
            }
        };
        let completion: Completion = serde_json::from_slice(&bytes).map_err(|error| {
            let reason = format!("the answer is not a chat completion: {error}");
            Fault::sent(&link, FaultKind::Passing, Category::Provider, &self.clean(&reason))
        })?;
        self.reply(&link, model, request, completion)
    }

    fn reply(&self, link: &str, model: &str, request: &ChatRequest, completion: Completion) -> Result<Reply, Fault> {
        let Some(choice) = completion.choices.into_iter().next() else {
            return Err(Fault::sent(link, FaultKind::Passing, Category::Provider, "the answer holds no choice"));
        };
        if let Some(refusal) = choice.message.refusal.filter(|text| !text.is_empty()) {
            let reason = format!("the model declined: {}", self.clean(&refusal));
            return Err(Fault::sent(link, FaultKind::Request, Category::Provider, &reason));
        }
        let finish = match choice.finish_reason.as_deref() {
            // Some servers leave the reason out of a whole answer.
            Some("stop") | None => Finish::Stop,
            Some("length") => Finish::Length,
            Some("content_filter") => Finish::Filtered,
            Some(_) => Finish::Other,
        };
        if finish == Finish::Filtered {
            let reason = "the provider's content filter held the answer back";
            return Err(Fault::sent(link, FaultKind::Request, Category::Provider, reason));
        }
        let content = choice.message.content.unwrap_or_default();
        // A server that does not count is not free: its tokens are estimated.
        let usage = match completion.usage {
            Some(counted) if counted.prompt_tokens > 0 => {
                Usage { input: counted.prompt_tokens, output: counted.completion_tokens }
            }
            _ => Usage { input: request.input_tokens(), output: estimate_tokens(&content) },
        };
        let model = completion.model.filter(|name| !name.is_empty()).unwrap_or_else(|| model.to_owned());
        Ok(Reply { content, finish, model, usage })
    }

    /// The fault of an answer that is not 200.
    async fn refusal(&self, link: &str, response: Response) -> Fault {
        let status = response.status();
        let wait = http::retry_after(response.headers());
        let page = http::body(response, ERROR_BODY_MAX).await.unwrap_or_default();
        let (said, code) = error_of(&page);
        let said = self.clean(&said);
        let number = status.as_u16();
        let with = |what: &str| if said.is_empty() { what.to_owned() } else { format!("{what}: {said}") };
        let mut fault = match number {
            401 | 403 => {
                self.key_refused.store(true, Ordering::Relaxed);
                let reason = format!("{} was refused ({number})", self.key_name());
                Fault::sent(link, FaultKind::Key, Category::Provider, &reason)
            }
            429 if code == "insufficient_quota" => {
                let reason = format!("{} has no quota left (429)", self.key_name());
                Fault::sent(link, FaultKind::Key, Category::Provider, &reason)
            }
            429 => Fault::sent(link, FaultKind::Passing, Category::RateLimited, &with("rate limited (429)")),
            408 | 409 | 425 | 500..=599 => {
                let reason = with(&format!("the provider failed ({number})"));
                Fault::sent(link, FaultKind::Passing, Category::Unavailable, &reason)
            }
            300..=399 => {
                let reason = format!("the address answers with a redirect ({number}), which is not followed");
                Fault::sent(link, FaultKind::Request, Category::Provider, &reason)
            }
            _ => {
                let reason = with(&format!("the request was refused ({number})"));
                Fault::sent(link, FaultKind::Request, Category::Provider, &reason)
            }
        };
        if fault.error.retryable {
            fault.error.retry_after = wait;
        }
        fault
    }

    fn transport(&self, link: &str, error: reqwest::Error) -> Fault {
        let error = error.without_url();
        let cause = self.clean(&http::chain_of(&error));
        let (category, reason) = if error.is_timeout() {
            (Category::Timeout, "no answer in time".to_owned())
        } else if error.is_connect() {
            (Category::Unavailable, format!("cannot be reached: {cause}"))
        } else {
            (Category::Unavailable, format!("the connection was cut: {cause}"))
        };
        Fault::sent(link, FaultKind::Passing, category, &reason)
    }

    /// Text from outside without keys, and short.
    fn clean(&self, text: &str) -> String {
        let text = scrub_key_like(text);
        let text = self.key.as_ref().map_or_else(|| text.clone(), |key| key.scrub(&text));
        text.chars().filter(|c| !c.is_control()).take(300).collect()
    }
}

/// The address of the chat endpoint below a base such as `http://localhost:11434/v1`.
fn endpoint(base: &str) -> Result<Url, String> {
    // What stands before an @ may be a password.
    let shown: String = base.rsplit('@').next().unwrap_or("").chars().take(60).collect();
    let mut url = Url::parse(base)
        .map_err(|error| format!("`{shown}` is not an address ({error}): write one such as {OPENAI_BASE_URL}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(format!("`{shown}` is not an http or https address: write one such as {OPENAI_BASE_URL}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("an address must not hold a user or password: put the key into the variable".to_owned());
    }
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["chat", "completions"]);
    }
    Ok(url)
}

/// The body as this format has it. The alias's model and the whole answer at once are not the caller's to change.
fn body_of(model: &str, request: &ChatRequest) -> Value {
    let mut body = serde_json::to_value(request).unwrap_or_default();
    if let Some(fields) = body.as_object_mut() {
        for name in REFUSED {
            fields.remove(*name);
        }
        fields.insert("model".to_owned(), Value::from(model));
        // The newer families refuse the old name of this field; other servers know only the old one.
        if thinks(model)
            && let Some(limit) = fields.remove("max_tokens")
        {
            fields.insert("max_completion_tokens".to_owned(), limit);
            fields.remove("temperature");
        }
    }
    body
}

fn thinks(model: &str) -> bool {
    let numbered = model.strip_prefix('o').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    numbered || model.starts_with("gpt-5")
}

/// The message and code of an error body; of anything but JSON, its first words.
fn error_of(page: &[u8]) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    match serde_json::from_slice::<Value>(page) {
        Ok(json) => {
            let error = &json["error"];
            let message = if error.is_string() { text(error) } else { text(&error["message"]) };
            (message, text(&error["code"]))
        }
        Err(_) => (String::from_utf8_lossy(&page[..page.len().min(300)]).trim().to_owned(), String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Message;

    #[test]
    fn the_endpoint_is_below_the_base() {
        for base in ["http://localhost:11434/v1", "http://localhost:11434/v1/"] {
            assert_eq!(endpoint(base).unwrap().as_str(), "http://localhost:11434/v1/chat/completions");
        }
        for base in ["", "localhost:80", "ftp://x/y", "http://user:pw@x/v1", "/v1"] {
            assert!(endpoint(base).is_err(), "{base}");
        }
    }

    #[test]
    fn fields_that_could_redirect_the_key_are_left_out_and_others_pass() {
        let mut request = ChatRequest { messages: vec![Message::text("user", "hi")], ..ChatRequest::default() };
        for name in ["api_base", "base_url", "model", "stream", "seed"] {
            request.extra.insert(name.to_owned(), Value::from(7));
        }
        request.max_tokens = Some(9);
        let body = body_of("gpt-4o-mini", &request);
        let keys: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys.len(), 4, "{keys:?}");
        assert_eq!((&body["model"], &body["seed"], &body["max_tokens"]), (&"gpt-4o-mini".into(), &7.into(), &9.into()));
        assert_eq!(body_of("o4-mini", &request)["max_completion_tokens"], 9);
    }

    #[test]
    fn error_pages_of_any_kind_give_a_message() {
        assert_eq!(error_of(br#"{"error":{"message":"no","code":"c"}}"#), ("no".to_owned(), "c".to_owned()));
        assert_eq!(error_of(br#"{"error":"no model"}"#).0, "no model");
        assert_eq!(error_of(b"<html>Bad gateway").0, "<html>Bad gateway");
        assert_eq!(error_of(&[0xff, 0xfe]).1, "");
    }
}
