//! The seam between the gateway and a wire format: requests out, answers and streams in, both in the words of OpenAI
//! on the caller's side.

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

/// How one kind of server is spoken to. It holds no state of a call and knows neither keys nor sockets.
pub(crate) trait Dialect: Send + Sync {
    /// What servers of this kind can do, unless the configuration says otherwise.
    fn features(&self) -> Features;

    /// Where an operation is, below the base address.
    fn path(&self, operation: Operation) -> &'static [&'static str] {
        operation.path()
    }

    /// Headers that go with every request, besides the key.
    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// The body that asks `model`. `longest` bounds the answer; `count` asks for token counts on a stream.
    ///
    /// # Errors
    /// Why this format cannot say what the caller wants.
    fn body(&self, call: &ModelCall, ask: &Asked<'_>) -> Result<Vec<u8>, String>;

    /// A whole answer in the caller's format.
    ///
    /// # Errors
    /// What is wrong with it.
    fn whole(&self, operation: Operation, body: Vec<u8>) -> Result<Whole, Broken>;

    /// A reader for one stream.
    fn events(&self, call: &ModelCall) -> Box<dyn Events>;
}

/// What the gateway adds to the caller's request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The model, as the provider calls it.
    pub(crate) model: &'a str,
    /// The longest answer in tokens; nothing for an operation without one.
    pub(crate) longest: Option<u64>,
    /// The name of the field for that, where the caller wrote none; nothing when none is to be added.
    pub(crate) limit: Option<&'static str>,
    /// Whether the answer is to come in pieces: at the caller's wish, or because somebody watches it being written.
    pub(crate) stream: bool,
    /// Whether the server can count tokens on a stream when it is asked to.
    pub(crate) count: bool,
}

/// A whole answer, read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Whole {
    /// In the caller's format; the very bytes of the provider where the formats are the same.
    pub(crate) body: Vec<u8>,
    /// Tokens, when the provider counted them.
    pub(crate) usage: Option<Usage>,
    /// The characters of the answer, to estimate what was not counted.
    pub(crate) text_tokens: u64,
}

/// Reads the events of one stream and writes those of the caller.
pub(crate) trait Events: Send {
    /// Takes an event; what the caller gets of it is appended to `out`.
    ///
    /// # Errors
    /// What the provider said, or what is wrong with the event: the stream ends here.
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>) -> Result<Step, Broken>;

    /// The other side has closed: what the caller still gets, if the answer was complete; nothing if it was cut.
    fn close(&mut self) -> Option<Vec<u8>>;

    /// What was seen so far.
    fn seen(&self) -> &Seen;
}

/// Why a stream cannot be read on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// An event does not end.
    Endless(SseFault),
    /// The provider said it, or one of its events is none.
    Said(Broken),
}

/// Why an answer, or an event of one, is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// It is not what it should be: the reason, and the bytes where they are at hand.
    Garbled(String, Vec<u8>),
    /// The provider says that something is wrong, and what the call was paid for, if it counted.
    Told(Box<Told>, Option<Usage>),
}

impl Broken {
    /// Something that is not as it should be.
    pub(crate) fn garbled(why: impl Into<String>) -> Broken {
        Broken::Garbled(why.into(), Vec::new())
    }
}

/// The JSON of an event.
///
/// # Errors
/// Returns [`Broken`] when it is none.
pub(crate) fn json_of(data: &[u8]) -> Result<Value, Broken> {
    json::read(data).map_err(|error| {
        let start: String = String::from_utf8_lossy(&data[..data.len().min(200)]).chars().take(100).collect();
        Broken::garbled(format!("the stream is garbled: {error}: {start}"))
    })
}

/// Takes every event that is whole, up to the last of the answer.
///
/// # Errors
/// [`Unread`]; what came before it is in `out`.
pub(crate) fn take_all(parser: &mut Parser, events: &mut dyn Events, out: &mut Vec<u8>) -> Result<Step, Unread> {
    while let Some(event) = parser.next().map_err(Unread::Endless)? {
        if let Step::Last(last) = events.event(event, out).map_err(Unread::Said)? {
            return Ok(Step::Last(last));
        }
    }
    Ok(Step::More)
}

/// Takes the event that is left when the other side has closed, if there is one.
///
/// # Errors
/// As [`take_all`].
pub(crate) fn take_rest(parser: &mut Parser, events: &mut dyn Events, out: &mut Vec<u8>) -> Result<Step, Unread> {
    parser.rest().map_or(Ok(Step::More), |event| events.event(event, out).map_err(Unread::Said))
}

/// Whether a stream goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// More is to come.
    More,
    /// The answer is complete; these bytes end it. They are held back until the answer is in the journal.
    Last(Vec<u8>),
}

/// What is known of a stream's cost so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The provider's own count.
    pub(crate) usage: Option<Usage>,
    /// Tokens received, as far as they can be told from what came: never fewer than one for each piece.
    pub(crate) tokens: u64,
}

impl Seen {
    /// Whether nothing has come yet that could be paid for.
    pub(crate) fn is_nothing(&self) -> bool {
        self.usage.is_none() && self.tokens == 0
    }
}

/// Writes a JSON object: `first`, then the fields that neither replaces, then `last`. Nothing of the caller's is copied,
/// for it may hold pictures. A field with a text of its own (`raw`) is written as that text.
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
