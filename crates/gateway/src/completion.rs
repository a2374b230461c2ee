//! Chat completions as a prompt worker needs them: one text and its finish reason.

use kapelle_core::{Category, Money, TaskError};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    answer::{Answer, Finish, Hop, Usage},
    providers::{Fault, FaultKind, format::used},
    replay::{Fingerprint, Recorded},
    request::ChatRequest,
    upstream_response::{UpstreamBody, UpstreamResponse},
    wire::{ModelCall, Operation, WORKER, json},
};

/// A chat completion, reduced to what a worker needs.
#[derive(Deserialize)]
struct Completion {
    #[serde(default)]
    model: Option<String>,
    choices: Vec<Choice>,
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

pub(crate) fn call_of(alias: &str, request: &ChatRequest) -> Result<ModelCall, TaskError> {
    let bytes = serde_json::to_vec(request).map_or(0, |text| text.len() as u64);
    let mut fields: Map<String, Value> = match serde_json::to_value(request) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    fields.insert("model".to_owned(), Value::from(alias));
    // A worker gets its answer whole.
    fields.remove("stream");
    fields.insert(WORKER.to_owned(), Value::Bool(true));
    ModelCall::of(Operation::Chat, fields, bytes).map_err(|refusal| refusal.task_error())
}

/// Settles a provider's answer. Returns the answer and its record.
pub(crate) fn answer_of(
    upstream: &mut UpstreamResponse,
    (call, fingerprint): (&ModelCall, Fingerprint),
) -> Result<(Answer, Recorded), Fault> {
    let link = format!("{}/{}", upstream.provider, upstream.model);
    let fault = |kind, reason: &str| Err(Fault::sent(&link, kind, Category::Provider, reason));
    let UpstreamBody::Whole(whole) = std::mem::replace(&mut upstream.answer, UpstreamBody::Taken) else {
        return fault(FaultKind::Request, "the answer came in pieces that were not asked for");
    };
    let usage = used(call, whole.usage, whole.text_tokens.max(1));
    let reservation = upstream.reservation();
    let (usage, cost) = upstream.settle(&usage, false);
    let (content, finish, model) = match read(&whole.body) {
        Ok(read) => read,
        Err(Unread::Broken(reason)) => return fault(FaultKind::Passing, &upstream.server.clean(&reason)),
        Err(Unread::Declined(reason)) => return fault(FaultKind::Request, &upstream.server.clean(&reason)),
    };
    let recorded = Recorded {
        fingerprint,
        content_type: "application/json",
        body: whole.body.into(),
        provider: upstream.provider.clone(),
        model: upstream.model.clone(),
        usage,
        cost,
        degraded: None,
        attempt: 0,
        call: reservation,
    };
    let answer = Answer {
        content,
        finish,
        provider: upstream.provider.clone(),
        model: model.unwrap_or_else(|| upstream.model.clone()),
        usage,
        cost,
        price_known: upstream.price_known,
        calls: 1,
        degraded: None,
        recorded: false,
        hops: Vec::new(),
    };
    Ok((answer, recorded))
}

/// Reads an answer recorded in an earlier attempt. It calls no provider and costs nothing.
pub(crate) fn again(recorded: &Recorded) -> Result<Answer, TaskError> {
    let wrong = |why: String| TaskError::new(Category::Internal, format!("the recorded answer: {why}"));
    let (content, finish, model) = read(&recorded.body).map_err(|unread| match unread {
        Unread::Broken(why) | Unread::Declined(why) => wrong(why),
    })?;
    Ok(Answer {
        content,
        finish,
        provider: recorded.provider.clone(),
        model: model.unwrap_or_else(|| recorded.model.clone()),
        usage: Usage::default(),
        cost: Money::ZERO,
        price_known: true,
        calls: 0,
        degraded: recorded.degraded.clone(),
        recorded: false,
        hops: Vec::new(),
    })
}

/// Reason why a body is not an answer.
enum Unread {
    /// The body is not a completion.
    Broken(String),
    /// The model or its provider declined to answer.
    Declined(String),
}

/// Reads the text of a completion, its finish reason and the model that it names.
fn read(body: &[u8]) -> Result<(String, Finish, Option<String>), Unread> {
    let completion: Completion =
        json::read(body).map_err(|error| Unread::Broken(format!("the answer is not a chat completion: {error}")))?;
    let choice = completion.choices.into_iter().next();
    let choice = choice.ok_or_else(|| Unread::Broken("the answer holds no choice".to_owned()))?;
    if let Some(refusal) = choice.message.refusal.filter(|text| !text.is_empty()) {
        return Err(Unread::Declined(format!("the model declined: {refusal}")));
    }
    let finish = match choice.finish_reason.as_deref() {
        // Some servers omit the finish reason of a whole answer.
        Some("stop") | None => Finish::Stop,
        Some("length") => Finish::Length,
        Some("content_filter") => Finish::Filtered,
        Some(_) => Finish::Other,
    };
    if finish == Finish::Filtered {
        return Err(Unread::Declined("the provider's content filter held the answer back".to_owned()));
    }
    let model = completion.model.filter(|name| !name.is_empty());
    Ok((choice.message.content.unwrap_or_default(), finish, model))
}

/// Adds the results of earlier links to the answer.
pub(crate) fn after(mut answer: Answer, faults: Vec<Fault>) -> Answer {
    answer.hops = faults.into_iter().map(|fault| *fault.hop).collect();
    answer.calls += Hop::calls(&answer.hops);
    answer.degraded = Hop::reasons(&answer.hops).map(|why| format!("{why}; answered by {}", answer.provider));
    answer
}
