//! The interface between the gateway and a wire format: requests out, answers and streams in. The caller's side is
//! always in OpenAI's format.

use std::collections::BTreeMap;

use serde_json::{Map, Value, value::RawValue};

use super::told::Told;
use crate::{
    answer::Usage,
    wire::{
        Features, ModelCall, Operation, json,
        sse::{Event, Parser, SseFault},
    },
};

/// Wire format of one kind of server. It has no state of a call and knows neither keys nor sockets.
pub(crate) trait Dialect: Send + Sync {
    /// Returns the features of servers of this kind, unless the configuration differs.
    fn features(&self) -> Features;

    /// Returns the path of an operation below the base address.
    fn path(&self, operation: Operation) -> &'static [&'static str] {
        operation.path()
    }

    /// Returns the headers of every request, besides the key.
    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Builds the body that calls `model`. `longest` limits the answer; `count` asks for token counts on a stream.
    ///
    /// # Errors
    /// The reason why this format cannot express the request.
    fn body(&self, call: &ModelCall, ask: &Asked<'_>) -> Result<Vec<u8>, String>;

    /// Reads a whole answer into the caller's format.
    ///
    /// # Errors
    /// The fault of the answer.
    fn whole(&self, operation: Operation, body: Vec<u8>) -> Result<Whole, Broken>;

    /// Makes a reader for one stream.
    fn events(&self, call: &ModelCall) -> Box<dyn Events>;
}

/// Additions of the gateway to the caller's request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The model, as the provider calls it.
    pub(crate) model: &'a str,
    /// Length limit of the answer in tokens. `None` for an operation without one.
    pub(crate) longest: Option<u64>,
    /// Name of the field for that limit, if the caller set none. `None` adds no limit.
    pub(crate) limit: Option<&'static str>,
    /// Whether the answer is to be streamed: at the caller's request, or because somebody watches it being written.
    pub(crate) stream: bool,
    /// Whether the server counts tokens on a stream on request.
    pub(crate) count: bool,
}

/// A whole answer, read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Whole {
    /// Body in the caller's format; unchanged bytes of the provider if the formats are equal.
    pub(crate) body: Vec<u8>,
    /// Tokens, if the provider counted them.
    pub(crate) usage: Option<Usage>,
    /// Estimated tokens of the answer, for a provider that did not count them.
    pub(crate) text_tokens: u64,
}

/// Reads the events of one stream and writes those of the caller.
pub(crate) trait Events: Send {
    /// Takes an event and appends the caller's part of it to `out`.
    ///
    /// # Errors
    /// The provider's error, or the fault of the event: the stream ends here.
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>) -> Result<Step, Broken>;

    /// Ends the stream when the provider has closed it. Returns the caller's last bytes if the answer was complete,
    /// `None` if it was cut.
    fn close(&mut self) -> Option<Vec<u8>>;

    /// Returns what is known of the stream's cost.
    fn seen(&self) -> &Seen;
}

/// Reason why a stream cannot be read further.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// An event without an end.
    Endless(SseFault),
    /// An error of the provider, or an invalid event.
    Said(Broken),
}

/// Reason why an answer or an event is invalid.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// It has an unexpected form: the reason, and the bytes if they are at hand.
    Garbled(String, Vec<u8>),
    /// The provider reports an error, and the usage that was paid for, if it counted.
    Told(Box<Told>, Option<Usage>),
}

impl Broken {
    /// Makes the error of an unexpected form.
    pub(crate) fn garbled(why: impl Into<String>) -> Broken {
        Broken::Garbled(why.into(), Vec::new())
    }
}

/// Parses the JSON of an event.
///
/// # Errors
/// [`Broken`] when it is not JSON.
pub(crate) fn json_of(data: &[u8]) -> Result<Value, Broken> {
    json::read(data).map_err(|error| {
        let start: String = String::from_utf8_lossy(&data[..data.len().min(200)]).chars().take(100).collect();
        Broken::garbled(format!("the stream is garbled: {error}: {start}"))
    })
}

/// Takes every whole event, up to the last of the answer.
///
/// # Errors
/// [`Unread`]; the output of earlier events is in `out`.
pub(crate) fn take_all(parser: &mut Parser, events: &mut dyn Events, out: &mut Vec<u8>) -> Result<Step, Unread> {
    while let Some(event) = parser.next().map_err(Unread::Endless)? {
        if let Step::Last(last) = events.event(event, out).map_err(Unread::Said)? {
            return Ok(Step::Last(last));
        }
    }
    Ok(Step::More)
}

/// Takes the event that is left when the provider has closed the stream, if there is one.
///
/// # Errors
/// See [`take_all`].
pub(crate) fn take_rest(parser: &mut Parser, events: &mut dyn Events, out: &mut Vec<u8>) -> Result<Step, Unread> {
    parser.rest().map_or(Ok(Step::More), |event| events.event(event, out).map_err(Unread::Said))
}

/// State of a stream after an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// More events follow.
    More,
    /// The answer is complete; these bytes end it. They are withheld until the answer is in the journal.
    Last(Vec<u8>),
}

/// Cost of a stream as known so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The provider's own count.
    pub(crate) usage: Option<Usage>,
    /// Estimated tokens received; at least one for each piece.
    pub(crate) tokens: u64,
}

impl Seen {
    /// Tells whether nothing that costs money has arrived.
    pub(crate) fn is_nothing(&self) -> bool {
        self.usage.is_none() && self.tokens == 0
    }
}

/// Writes a JSON object: `first`, then the fields that neither replaces, then `last`. The caller's values are not
/// copied, since they may hold pictures. A field with a raw text (`raw`) is written as that text.
pub(crate) fn object(
    first: &[(&str, Value)],
    (fields, raw): (&Map<String, Value>, &BTreeMap<String, Box<RawValue>>),
    last: &[(&str, Value)],
) -> Vec<u8> {
    let replaced = |name: &str| first.iter().chain(last).any(|(own, _)| *own == name);
    let kept = fields.iter().filter(|(name, _)| !replaced(name));
    let kept = kept.map(|(name, value)| (name.as_str(), value, raw.get(name.as_str())));
    let own = |pairs: &'_ [(&'_ str, Value)]| pairs.len();
    let mut body = Vec::with_capacity(256 + 64 * (own(first) + own(last)));
    body.push(b'{');
    let all = first.iter().map(|(n, v)| (*n, v, None)).chain(kept).chain(last.iter().map(|(n, v)| (*n, v, None)));
    for (name, value, raw) in all.filter(|(_, value, _)| !value.is_null()) {
        if body.len() > 1 {
            body.push(b',');
        }
        // Writing JSON values into memory cannot fail.
        let _ = serde_json::to_writer(&mut body, name);
        body.push(b':');
        match raw {
            Some(raw) => body.extend_from_slice(raw.get().as_bytes()),
            None => drop(serde_json::to_writer(&mut body, value)),
        }
    }
    body.push(b'}');
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_replaced_or_dropped_and_the_rest_keeps_its_order() {
        let fields = json!({"b": 1, "a": 2, "c": 3}).as_object().unwrap().clone();
        let body =
            object(&[("model", json!("m"))], (&fields, &BTreeMap::new()), &[("a", json!(9)), ("c", Value::Null)]);
        assert_eq!(body, br#"{"model":"m","b":1,"a":9}"#);
        let raw = BTreeMap::from([("b".to_owned(), RawValue::from_string(r#""\ud83d""#.to_owned()).unwrap())]);
        assert_eq!(object(&[], (&fields, &raw), &[]), br#"{"b":"\ud83d","a":2,"c":3}"#);
    }
}
