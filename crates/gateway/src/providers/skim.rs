//! Reader of the metering data of an answer in OpenAI's format, which does not build the rest.
//!
//! A stream has an event for every token, and most of their content is the same each time. Content of unusual form
//! returns `None`; it is then parsed in full, and that parser reports what is wrong with it.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, Visitor},
};
use serde_json::{Value, value::RawValue};

use crate::{answer::Usage, request::estimate_tokens, wire::usage};

/// A piece of a chat completion.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) choices: Vec<Choice>,
    pub(super) usage: Option<Usage>,
}

/// One of the choices of a piece.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) index: u64,
    /// Whether it has a finish reason.
    pub(super) finished: bool,
    /// Estimated tokens that were added.
    pub(super) tokens: u64,
}

/// Content of an event of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponseEvent {
    /// Estimated tokens that were added.
    Delta(u64),
    /// An event without metering data.
    Other,
}

/// Reads a piece of a chat completion. Returns `None` when it has to be parsed in full.
pub(super) fn piece(data: &[u8]) -> Option<Piece> {
    let read: Chunk<'_> = read(data)?;
    if read.error.is_some() {
        return None;
    }
    let choice = |choice: ChunkChoice| Choice {
        index: choice.index.unwrap_or(0),
        finished: choice.finish_reason.0,
        tokens: choice.delta.map_or(0, |delta| delta.tokens()),
    };
    // Without choices it may be an error in another shape.
    let choices = read.choices?;
    if choices.iter().any(|choice| choice.error.is_some()) {
        return None;
    }
    let choices = choices.into_iter().map(choice).collect();
    Some(Piece { choices, usage: counted(read.usage) })
}

/// Reads a whole chat completion: the estimated tokens of its texts, and the provider's count.
pub(super) fn completion(body: &[u8]) -> Option<(u64, Option<Usage>)> {
    let read: Completion<'_> = read(body)?;
    let choices = read.choices?;
    if read.error.is_some() || choices.iter().any(|choice| choice.error.is_some()) {
        return None;
    }
    let tokens = choices.iter().map(|choice| choice.message.as_ref().map_or(0, Message::tokens)).sum();
    Some((tokens, counted(read.usage)))
}

/// Reads the provider's count for a list of embeddings.
pub(super) fn embeddings(body: &[u8]) -> Option<Option<Usage>> {
    let read: Embeddings<'_> = read(body)?;
    read.data.filter(|_| read.error.is_none()).map(|_| counted(read.usage))
}

/// Reads an event of a response. Returns `None` when it has to be parsed in full.
pub(super) fn response_event(data: &[u8]) -> Option<ResponseEvent> {
    let read: Typed = read(data)?;
    match read.kind {
        Kind::Ending | Kind::None => None,
        Kind::Delta => Some(ResponseEvent::Delta(read.delta.map_or(1, |delta| delta.0.max(1)))),
        Kind::Other => Some(ResponseEvent::Other),
    }
}

fn read<'a, T: Deserialize<'a>>(data: &'a [u8]) -> Option<T> {
    // The parser skips over some bytes without checking them, so they are checked here.
    serde_json::from_str(std::str::from_utf8(data).ok()?).ok()
}

fn counted(usage: Option<&RawValue>) -> Option<Usage> {
    let value: Value = serde_json::from_str(usage?.get()).ok()?;
    usage::read(&value)
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(default)]
    error: Option<IgnoredAny>,
    #[serde(default)]
    choices: Option<Vec<ChunkChoice>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ChunkChoice {
    #[serde(default)]
    error: Option<IgnoredAny>,
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    finish_reason: Said,
    #[serde(default)]
    delta: Option<Message>,
}

#[derive(Deserialize)]
struct Completion<'a> {
    #[serde(default)]
    error: Option<IgnoredAny>,
    #[serde(default)]
    choices: Option<Vec<WholeChoice>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WholeChoice {
    #[serde(default)]
    error: Option<IgnoredAny>,
    #[serde(default)]
    message: Option<Message>,
}

#[derive(Deserialize)]
struct Embeddings<'a> {
    #[serde(default)]
    error: Option<IgnoredAny>,
    #[serde(default)]
    data: Option<Vec<IgnoredAny>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Typed {
    #[serde(rename = "type", default)]
    kind: Kind,
    #[serde(default)]
    delta: Option<Text>,
}

/// A message, or the part that a piece adds to it.
#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Text,
    #[serde(default)]
    refusal: Text,
    #[serde(default)]
    reasoning_content: Text,
    #[serde(default)]
    tool_calls: Option<Vec<Called>>,
}

#[derive(Deserialize)]
struct Called {
    #[serde(default)]
    function: Option<Function>,
}

#[derive(Deserialize)]
struct Function {
    #[serde(default)]
    arguments: Text,
}

impl Message {
    fn tokens(&self) -> u64 {
        let arguments = |call: &Called| call.function.as_ref().map_or(0, |function| function.arguments.0) + 1;
        let calls: u64 = self.tool_calls.iter().flatten().map(arguments).sum();
        self.content.0 + self.refusal.0 + self.reasoning_content.0 + calls
    }
}

/// Estimated tokens of a text; the text is not kept.
#[derive(Default)]
struct Text(u64);

/// Whether there is a text.
#[derive(Default)]
struct Said(bool);

/// Kind of a response event.
#[derive(Default)]
enum Kind {
    /// A part of the answer.
    Delta,
    /// The last event, also of a failure.
    Ending,
    Other,
    /// Missing.
    #[default]
    None,
}

/// Takes a text or null and applies the function to it.
struct Looking<T>(fn(&str) -> T);

impl<T: Default> Visitor<'_> for Looking<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or null")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        Ok(self.0(text))
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        Ok(T::default())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        deserializer.deserialize_any(Looking(|text| Text(estimate_tokens(text))))
    }
}

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Said, D::Error> {
        deserializer.deserialize_any(Looking(|_| Said(true)))
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Kind, D::Error> {
        deserializer.deserialize_any(Looking(|kind| match kind {
            "response.completed" | "response.incomplete" | "response.failed" | "error" => Kind::Ending,
            kind if kind.ends_with(".delta") => Kind::Delta,
            _ => Kind::Other,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_as_it_usually_is_is_skimmed() {
        let read = piece(
            br#"{"id":"c","object":"chat.completion.chunk","choices":[{"index":1,"delta":{"role":"assistant",
            "content":"w\u00f6rd","tool_calls":[{"index":0,"function":{"name":"f","arguments":"{}"}}]},"logprobs":null,
            "finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#,
        )
        .unwrap();
        assert_eq!(read.choices, [Choice { index: 1, finished: true, tokens: 2 + 2 }]);
        assert_eq!(read.usage, Some(Usage { input: 3, output: 2, ..Usage::default() }));
        let empty = piece(br#"{"choices":[],"usage":null,"error":null}"#).unwrap();
        assert_eq!(empty, Piece::default());
    }

    #[test]
    fn what_is_unusual_is_left_to_be_read_in_full() {
        for data in [
            &br#"{"error":{"message":"no"}}"#[..],
            br#"{"message":"no"}"#,
            br#"{"choices":[{"error":{"message":"no"}}]}"#,
            br#"{"choices":"none"}"#,
            br#"{"choices":[{"index":-1}]}"#,
            br#"{"choices":[{"delta":{"content":[{"type":"text","text":"a"}]}}]}"#,
            br#"{"choices":[{"finish_reason":7}]}"#,
            br#"{"choices":[],"choices":[]}"#,
            br#"{"choices":[{"delta":{"content":"\ud800"}}]}"#,
            b"{\"id\":\"\xff\"}",
            br#"{"choices":["#,
            b"[DONE]",
        ] {
            assert_eq!(piece(data), None, "{}", String::from_utf8_lossy(data));
        }
        assert_eq!(completion(br#"{"usage":{"prompt_tokens":3}}"#), None);
        assert_eq!(embeddings(br#"{"data":7}"#), None);
        assert_eq!(embeddings(br#"{"data":[],"error":{"message":"no"}}"#), None);
        assert_eq!(completion(br#"{"choices":[],"error":{"message":"no"}}"#), None);
        assert_eq!(response_event(br#"{"type":null}"#), None);
        assert_eq!(response_event(br#"{"type":"response.completed"}"#), None);
    }

    #[test]
    fn whole_answers_and_responses_are_skimmed() {
        let body = br#"{"choices":[{"message":{"content":"four char"}},{"message":null}],"usage":{"prompt_tokens":1}}"#;
        let usage = Some(Usage { input: 1, ..Usage::default() });
        assert_eq!(completion(body), Some((3, usage)));
        let body = br#"{"data":[{"embedding":[0.1,-2e-3]}],"usage":{"prompt_tokens":1,"total_tokens":1}}"#;
        assert_eq!(embeddings(body), Some(usage));
        for (data, event) in [
            (&br#"{"type":"response.output_text.delta","delta":"four char"}"#[..], ResponseEvent::Delta(3)),
            (br#"{"type":"response.output_text.delta"}"#, ResponseEvent::Delta(1)),
            (br#"{"type":"response.created","response":{"id":"r"}}"#, ResponseEvent::Other),
        ] {
            assert_eq!(response_event(data), Some(event));
        }
    }
}
