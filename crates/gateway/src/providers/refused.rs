//! Meaning of a provider's refusal for the key, for the chain and for the caller.

use crate::transport::{Response, header};
use kapelle_core::Category;
use serde_json::Value;

use super::{
    Fault, FaultKind, Server,
    dialect::Seen,
    http::{self, ERROR_BODY_MAX},
    told::{MESSAGE_CHARS, Told, instead, is_page},
};
use crate::{answer::Usage, wire::json};

impl Server {
    /// Makes the fault of an answer with an error status.
    pub(super) async fn refusal(&self, link: &str, response: Response) -> Fault {
        let status = response.status().as_u16();
        let wait = http::retry_after(response.headers());
        let kind = http::media_type(response.headers());
        if (300..400).contains(&status) {
            let host = host_of(&response).map(|host| format!(" to {host}")).unwrap_or_default();
            let reason = format!(
                "the address answers with a redirect ({status}){host}, which is not followed: check `base_url`"
            );
            let reason = self.clean(&reason);
            return Fault::sent(link, FaultKind::Request, Category::Provider, &reason)
                .told(Told::ours(502, format!("{link}: {reason}")));
        }
        let page = http::body(response, ERROR_BODY_MAX).await.unwrap_or_default();
        let told = json::read::<Value>(&page).ok().and_then(|body| Told::of(&body).or_else(|| blank(&body)));
        let mut fault = match told {
            Some(told) => self.told(link, Told { status: Some(status), ..told }),
            None if is_page(kind.as_deref(), &page) && !matches!(status, 401 | 408 | 413 | 429 | 500..) => {
                self.not_json(link, status, kind.as_deref(), &page, "")
            }
            None => {
                let text = String::from_utf8_lossy(&page).trim().to_owned();
                self.told(link, Told::ours(status, text))
            }
        };
        if fault.error.retryable {
            fault.error.retry_after = wait;
        }
        fault
    }

    /// Makes the fault of a successful answer of another type than requested.
    pub(super) async fn other_type(&self, link: &str, response: Response, why: String) -> Fault {
        let status = response.status().as_u16();
        let (kind, wait) = (http::media_type(response.headers()), http::retry_after(response.headers()));
        let packed = http::is_packed(response.headers());
        let page = if packed { Vec::new() } else { http::body(response, ERROR_BODY_MAX).await.unwrap_or_default() };
        if let Some(told) = json::read::<Value>(&page).ok().and_then(|body| Told::of(&body)) {
            let mut fault = self.told(link, told);
            fault.error.retry_after = wait.filter(|_| fault.error.retryable);
            return fault;
        }
        if !packed && is_page(kind.as_deref(), &page) {
            return self.not_json(link, status, kind.as_deref(), &page, "");
        }
        let text =
            if packed || page.is_empty() { String::new() } else { format!(": {}", String::from_utf8_lossy(&page)) };
        let reason = self.clean(&format!("{why}{text}"));
        Fault::sent(link, FaultKind::Request, Category::Provider, &reason)
            .unsettled()
            .told(Told::ours(502, format!("{link}: {reason}")))
    }

    /// Makes the fault of an answer that is not JSON. A web page comes from a proxy in front of the provider, which
    /// charged nothing.
    pub(super) fn not_json(&self, link: &str, status: u16, kind: Option<&str>, body: &[u8], error: &str) -> Fault {
        let page = is_page(kind, body);
        let mut reason = self.clean(&instead(status, kind, body));
        if !page && !error.is_empty() {
            reason = format!("{reason} ({error})");
        }
        let fault = if page { FaultKind::Request } else { FaultKind::Passing };
        let fault = Fault::sent(link, fault, Category::Provider, &reason);
        let fault = fault.told(Told::ours(502, format!("{link}: {reason}")));
        if page { fault } else { fault.unsettled() }
    }

    /// Makes the fault of an error inside a successful answer or in a stream. `counted`: the tokens that were charged.
    pub(crate) fn broke_off(&self, link: &str, told: Told, counted: Option<Usage>) -> Fault {
        let fault = self.told(link, told);
        match counted {
            Some(usage) => fault.after(Seen { usage: Some(usage), tokens: 0 }),
            None => fault,
        }
    }

    /// Makes the fault of a provider's error, with all fields that programs act on.
    fn told(&self, link: &str, mut told: Told) -> Fault {
        told.message = self.clean_to(&told.message, MESSAGE_CHARS);
        for word in [&mut told.kind, &mut told.code, &mut told.param].into_iter().flatten() {
            *word = self.clean_to(word, MESSAGE_CHARS);
        }
        let status = told.status.unwrap_or(502);
        let said = self.clean(&told.message);
        let with = |what: &str| if said.is_empty() { what.to_owned() } else { format!("{what}: {said}") };
        let account = |fault: &str, status: u16, code: &'static str, told: Told| {
            let reason = format!("{} {fault}", self.key_name());
            let message = if told.message.is_empty() { reason.clone() } else { format!("{reason}: {}", told.message) };
            let code = Some(told.code.filter(|_| status != 502).unwrap_or_else(|| code.to_owned()));
            let kind = told.kind.filter(|_| status != 502);
            let told = Told { status: Some(status), kind, code, message, ..Told::default() };
            Fault::sent(link, FaultKind::Key, Category::Provider, &reason).told(told)
        };
        match status {
            401 => {
                self.refuse_key();
                account(&format!("was refused ({status})"), 502, "provider_key", told)
            }
            403 if !told.is_of_request() => {
                self.refuse_key();
                account(&format!("was refused ({status})"), 502, "provider_key", told)
            }
            402 | 429 if status == 402 || told.is_of_quota() => {
                account(&format!("has no quota left ({status})"), status, "insufficient_quota", told)
            }
            429 => {
                let reason = with("rate limited (429)");
                let message = if told.message.is_empty() { reason.clone() } else { told.message.clone() };
                Fault::sent(link, FaultKind::Passing, Category::RateLimited, &reason).told(Told {
                    message,
                    code: None,
                    without_code: false,
                    ..told
                })
            }
            408 | 409 | 425 | 500..=599 if told.status.is_some() => {
                let reason = with(&format!("the provider failed ({status})"));
                let message = if told.message.is_empty() { reason.clone() } else { told.message.clone() };
                // Temporary faults have Kapelle's own code: programs decide by it whether to retry, whichever provider
                // failed.
                let told = Told { status: Some(503), message, code: None, without_code: false, ..told };
                Fault::sent(link, FaultKind::Passing, Category::Unavailable, &reason).told(told)
            }
            400..=499 => {
                let reason = with(&format!("the request was refused ({status})"));
                let message = if told.message.is_empty() { reason.clone() } else { told.message.clone() };
                Fault::sent(link, FaultKind::Request, Category::Provider, &reason).told(Told { message, ..told })
            }
            _ => {
                let reason = with("the provider broke off");
                let message = if told.message.is_empty() { reason.clone() } else { told.message.clone() };
                let told = Told { status: Some(502), message, ..told };
                Fault::sent(link, FaultKind::Passing, Category::Provider, &reason).told(told)
            }
        }
    }
}

/// Returns a default error for JSON of an error status without a message.
fn blank(body: &Value) -> Option<Told> {
    body.is_object().then(|| Told {
        message: if body.as_object().is_some_and(serde_json::Map::is_empty) { String::new() } else { body.to_string() },
        ..Told::default()
    })
}

/// Returns the host of a redirect; its path may hold secrets.
fn host_of(response: &Response) -> Option<String> {
    let to = response.headers().get(header::LOCATION)?.to_str().ok()?;
    response.url().join(to).ok()?.host_str().map(str::to_owned)
}
