//! Chat completions as a prompt worker needs them: one text and its finish reason.

use kapelle_core::{Category, Money, TaskError};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    answer::{Answer, Finish, Hop, Usage},
    providers::{Fault, FaultKind, told::Told},
    replay::Source,
    request::ChatRequest,
    service::WholeAnswer,
    upstream_response::UpstreamResponse,
    wire::{ModelCall, Operation, WORKER, json},
};

/// A chat completion, reduced to what a worker needs.
#[derive(Debug)]
pub(crate) struct Completion {
    pub(crate) content: String,
    finish: Finish,
    /// The model, as the answer names it.
    model: Option<String>,
}

#[derive(Deserialize)]
struct Body {
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

/// Makes the worker's answer. An answer that no call bought costs nothing.
///
/// # Errors
/// When a recorded answer cannot be read.
pub(crate) fn answer_of(whole: WholeAnswer) -> Result<Answer, TaskError> {
    let WholeAnswer { recorded, source, completion, bought } = whole;
    let read = completion.map_or_else(|| read(&recorded.body), Ok);
    let Completion { content, finish, model } = read.map_err(|unread| {
        let (Unread::Broken(why) | Unread::Declined(why)) = unread;
        TaskError::new(Category::Internal, format!("the recorded answer: {why}"))
    })?;
    let (usage, cost) = if bought.is_some() { (recorded.usage, recorded.cost) } else { <(Usage, Money)>::default() };
    let calls = bought.as_ref().map_or(0, |bought| 1 + Hop::calls(&bought.hops));
    let degraded = recorded.degraded.map(|why| format!("{why}; answered by {}", recorded.provider));
    let (price_known, hops) = bought.map_or((true, Vec::new()), |bought| (bought.price_known, bought.hops));
    Ok(Answer {
        content,
        finish,
        provider: recorded.provider,
        model: model.unwrap_or(recorded.model),
        usage,
        cost,
        price_known,
        calls,
        degraded,
        recorded: source == Source::Recorded,
        hops,
    })
}

/// Reason why a body is not an answer.
#[derive(Debug)]
pub(crate) enum Unread {
    /// The body is not a completion.
    Broken(String),
    /// The model or its provider declined to answer.
    Declined(String),
}

impl Unread {
    /// Makes the fault of the link that answered so.
    pub(crate) fn fault(self, upstream: &UpstreamResponse) -> Fault {
        let link = format!("{}/{}", upstream.provider, upstream.model);
        let fault = |kind, reason: &str| Fault::sent(&link, kind, Category::Provider, &upstream.server.clean(reason));
        match self {
            Unread::Broken(reason) => fault(FaultKind::Passing, &reason),
            Unread::Declined(reason) => {
                let fault = fault(FaultKind::Request, &reason);
                // A worker host reads from the status that another attempt would be declined, too.
                let told = Told::ours(422, fault.error.message.clone());
                fault.told(told)
            }
        }
    }
}

/// Reads the text of a completion, its finish reason and the model that it names.
pub(crate) fn read(body: &[u8]) -> Result<Completion, Unread> {
    let body: Body =
        json::read(body).map_err(|error| Unread::Broken(format!("the answer is not a chat completion: {error}")))?;
    let choice = body.choices.into_iter().next();
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
    let model = body.model.filter(|name| !name.is_empty());
    Ok(Completion { content: choice.message.content.unwrap_or_default(), finish, model })
}
