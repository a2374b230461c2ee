//! Server-sent events, as a client reads them.

use kapelle_core::sse::{Parser, SseFault};
use serde_json::Value;

use crate::client_error::ClientError;

/// The longest event, in bytes.
const EVENT_MAX: usize = 4 << 20;

/// The events of a stream, as they come.
#[derive(Debug)]
pub struct EventStream {
    answer: reqwest::Response,
    address: String,
    parser: Parser,
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Position after the event, for `Last-Event-ID`. Empty when the event has none.
    pub id: String,
    /// The content of the event.
    pub data: Value,
}

impl EventStream {
    pub(crate) fn new(answer: reqwest::Response, address: &str) -> EventStream {
        EventStream { answer, address: address.to_owned(), parser: Parser::bounded(EVENT_MAX) }
    }

    /// Returns the next event; `None` when the server has ended the stream. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn next(&mut self) -> Result<Option<Told>, ClientError> {
        loop {
            let broken = |message: String| ClientError::Unreachable { address: self.address.clone(), message };
            if let Some(told) = next_of(&mut self.parser).map_err(|fault| broken(fault.to_string()))? {
                return Ok(Some(told));
            }
            match self.answer.chunk().await.map_err(|error| broken(error.to_string()))? {
                Some(bytes) => self.parser.push(&bytes),
                None => return Ok(None),
            }
        }
    }
}

/// Takes the next whole event with data.
fn next_of(parser: &mut Parser) -> Result<Option<Told>, SseFault> {
    while let Some(event) = parser.next()? {
        if !event.is_comment() {
            let id = event.id().map_or_else(String::new, |id| String::from_utf8_lossy(id).into_owned());
            return Ok(Some(Told { id, data: serde_json::from_slice(event.data).unwrap_or(Value::Null) }));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_out_one_by_one_and_signs_of_life_left_out() {
        let mut parser = Parser::bounded(EVENT_MAX);
        parser.push(b": alive\n\nid: 3~x\nevent: text\ndata: {\"a\":1}\n\nid: 4\nda");
        let mut next = |bytes: &[u8]| {
            parser.push(bytes);
            next_of(&mut parser).unwrap()
        };
        assert_eq!(next(b""), Some(Told { id: "3~x".to_owned(), data: serde_json::json!({ "a": 1 }) }));
        assert_eq!(next(b""), None);
        assert_eq!(next(b"ta: 7\n\n").map(|told| told.data), Some(Value::from(7)));
    }
}
