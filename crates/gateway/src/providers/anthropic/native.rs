//! Anthropic's format for a caller that speaks it, too: requests and answers pass through, and are only metered.

use serde_json::Value;

use super::{answer, stream::MessageEvents};
use crate::{
    providers::{
        dialect::{Asked, Broken, Events, Seen, Step, Whole, object},
        told::Told,
    },
    request::estimate_tokens,
    wire::{ModelCall, json, sse::Event},
};

/// Builds the body. Editing of the context needs a header that callers cannot send, so its field is left out.
pub(crate) fn body(call: &ModelCall, ask: &Asked<'_>) -> Vec<u8> {
    let longest = ask.longest.map_or(Value::Null, Value::from);
    let stream = if ask.stream { Value::Bool(true) } else { Value::Null };
    let last = [("max_tokens", longest), ("stream", stream), ("context_management", Value::Null)];
    object(&[("model", Value::from(ask.model))], (&call.fields, &call.raw), &last)
}

/// Reads a whole message, whose bytes stay as they are.
///
/// # Errors
/// The fault of the answer.
pub(crate) fn whole(body: Vec<u8>) -> Result<Whole, Broken> {
    let message: Value = match json::read(&body) {
        Ok(message) => message,
        Err(error) => return Err(Broken::Garbled(error.to_string(), body)),
    };
    let usage = answer::usage(&message["usage"]);
    if let Some(told) = Told::of(&message) {
        return Err(Broken::Told(Box::new(told), usage));
    }
    if !message["content"].is_array() {
        return Err(Broken::Garbled("it has no `content`".to_owned(), body));
    }
    Ok(Whole { text_tokens: estimate_tokens(&message["content"].to_string()), usage, body })
}

/// Makes a reader that passes the events on.
pub(crate) fn events() -> Box<dyn Events> {
    Box::new(PassedOn { meter: MessageEvents::new(false), unread: Vec::new() })
}

/// Events that pass through while they are metered.
struct PassedOn {
    meter: MessageEvents,
    /// Pieces in the other format, which nobody reads.
    unread: Vec<u8>,
}

impl Events for PassedOn {
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>) -> Result<Step, Broken> {
        let raw = event.raw;
        let step = self.meter.event(event, &mut self.unread)?;
        self.unread.clear();
        match step {
            Step::More => {
                out.extend_from_slice(raw);
                Ok(Step::More)
            }
            Step::Last(_) => Ok(Step::Last(raw.to_vec())),
        }
    }

    fn close(&mut self) -> Option<Vec<u8>> {
        self.meter.close()
    }

    fn seen(&self) -> &Seen {
        self.meter.seen()
    }
}
