//! Server-sent events, as a client reads them.

use serde_json::Value;

use crate::client::ClientError;

/// An event longer than this is none of ours.
const EVENT_MAX: usize = 4 << 20;

/// The events of a stream, as they come.
#[derive(Debug)]
pub struct EventStream {
    answer: reqwest::Response,
    address: String,
    buffer: Vec<u8>,
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Where one is behind it: what `Last-Event-ID` takes. Empty when it says nothing of that.
    pub id: String,
    /// What happened.
    pub data: Value,
}

impl EventStream {
    pub(crate) fn new(answer: reqwest::Response, address: &str) -> EventStream {
        EventStream { answer, address: address.to_owned(), buffer: Vec::new() }
    }

    /// The next event; nothing when the server has ended the stream. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn next(&mut self) -> Result<Option<Told>, ClientError> {
        loop {
            if let Some(told) = next_of(&mut self.buffer) {
                return Ok(Some(told));
            }
            let broken = |message: String| ClientError::Unreachable { address: self.address.clone(), message };
            match self.answer.chunk().await.map_err(|error| broken(error.to_string()))? {
                Some(bytes) => self.buffer.extend_from_slice(&bytes),
                None => return Ok(None),
            }
            if self.buffer.len() > EVENT_MAX {
                return Err(broken("an event does not end".to_owned()));
            }
        }
    }
}

/// Takes the next whole event with data out of the buffer.
fn next_of(buffer: &mut Vec<u8>) -> Option<Told> {
    loop {
        let end = buffer.windows(2).position(|pair| pair == b"\n\n")?;
        let event: Vec<u8> = buffer.drain(..end + 2).collect();
        let text = String::from_utf8_lossy(&event);
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim_start);
        if let Some(data) = field("data:") {
            let data = serde_json::from_str(data).unwrap_or(Value::Null);
            return Some(Told { id: field("id:").unwrap_or("").to_owned(), data });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_out_one_by_one_and_signs_of_life_left_out() {
        let mut buffer = b": alive\n\nid: 3~x\nevent: text\ndata: {\"a\":1}\n\nid: 4\nda".to_vec();
        assert_eq!(next_of(&mut buffer), Some(Told { id: "3~x".to_owned(), data: serde_json::json!({ "a": 1 }) }));
        assert_eq!(next_of(&mut buffer), None);
        buffer.extend(b"ta: 7\n\n");
        assert_eq!(next_of(&mut buffer).map(|told| told.data), Some(Value::from(7)));
    }
}
