//! Server-sent events, read by hand and with bounds. What was read is kept as it came, so that it can be passed on
//! byte for byte.

use std::{mem, ops::Range};

/// A line longer than this ends the stream: 10 MB, as much as a whole answer may have.
pub(crate) const LINE_MAX: usize = 10 << 20;
/// An event of more bytes than this ends the stream.
const EVENT_MAX: usize = LINE_MAX + (1 << 10);

/// One event, or a comment, with the blank line that ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// The bytes as they came.
    pub(crate) raw: Vec<u8>,
    /// What stood in its `data` lines; empty for a comment.
    pub(crate) data: Vec<u8>,
}

impl Event {
    /// Whether it says that nothing follows.
    pub(crate) fn is_done(&self) -> bool {
        self.data.trim_ascii() == b"[DONE]"
    }

    /// Whether it is only a sign of life.
    pub(crate) fn is_comment(&self) -> bool {
        self.data.is_empty()
    }
}

/// Why a stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SseFault {
    /// A line or an event that does not end.
    #[error("a line of the stream is longer than 10 MiB")]
    TooLong,
}

/// Reads events out of pieces of any size.
#[derive(Default)]
pub(crate) struct Parser {
    buffer: Vec<u8>,
    /// Where the event under way begins, where its line under way begins, and how far that line was searched.
    start: usize,
    line: usize,
    searched: usize,
    data: Vec<u8>,
}

impl Parser {
    /// Takes the next piece and gives the events that it completes.
    pub(crate) fn feed(&mut self, piece: &[u8]) -> Result<Vec<Event>, SseFault> {
        self.buffer.extend_from_slice(piece);
        let mut events = Vec::new();
        while let Some((content, next)) = self.next_line() {
            let blank = content.is_empty();
            self.note(content);
            self.line = next;
            self.searched = next;
            if blank {
                let raw = self.buffer[self.start..next].to_vec();
                self.start = next;
                events.push(Event { raw, data: mem::take(&mut self.data) });
            }
        }
        if self.buffer.len() - self.line > LINE_MAX || self.buffer.len() - self.start > EVENT_MAX {
            return Err(SseFault::TooLong);
        }
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.line -= self.start;
            self.searched -= self.start;
            self.start = 0;
        }
        Ok(events)
    }

    /// What is left when the other side has closed: an event without its blank line, or nothing.
    pub(crate) fn rest(mut self) -> Option<Event> {
        let content = self.line..self.buffer.len();
        if !content.is_empty() {
            // A lone CR at the very end belongs to the line end, not to the line.
            let end = if self.buffer.ends_with(b"\r") { content.end - 1 } else { content.end };
            self.note(content.start..end);
        }
        let data = mem::take(&mut self.data);
        (!data.is_empty()).then_some(Event { raw: self.buffer, data })
    }

    /// The next whole line without its end (`\n`, `\r\n` or `\r`), and where the one after it begins.
    fn next_line(&mut self) -> Option<(Range<usize>, usize)> {
        let Some(offset) = self.buffer[self.searched..].iter().position(|&b| b == b'\n' || b == b'\r') else {
            // A long line is not searched again with each piece of it.
            self.searched = self.buffer.len();
            return None;
        };
        let at = self.searched + offset;
        if self.buffer[at] == b'\n' {
            return Some((self.line..at, at + 1));
        }
        match self.buffer.get(at + 1) {
            Some(b'\n') => Some((self.line..at, at + 2)),
            Some(_) => Some((self.line..at, at + 1)),
            // Whether a \n follows is not known yet.
            None => {
                self.searched = at;
                None
            }
        }
    }

    fn note(&mut self, line: Range<usize>) {
        let Some(rest) = self.buffer[line].strip_prefix(b"data") else { return };
        let value = match rest {
            [b':', b' ', value @ ..] | [b':', value @ ..] => value,
            [] => &[],
            _ => return,
        };
        if !self.data.is_empty() {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value);
    }
}

/// An event with that data, as this gateway writes it.
pub(crate) fn frame(name: Option<&str>, data: &str) -> Vec<u8> {
    match name {
        Some(name) => format!("event: {name}\ndata: {data}\n\n").into_bytes(),
        None => format!("data: {data}\n\n").into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STREAM: &[u8] =
        b": hello\n\ndata: {\"a\":1}\n\nevent: x\r\ndata:two\r\ndata: lines\r\n\r\nid: 4\rdata: old\r\rdata: [DONE]\n\n";

    fn all(pieces: &[&[u8]]) -> Vec<Event> {
        let mut parser = Parser::default();
        let mut events: Vec<Event> = pieces.iter().flat_map(|piece| parser.feed(piece).unwrap()).collect();
        events.extend(parser.rest());
        events
    }

    #[test]
    fn every_kind_of_line_end_and_field_is_read() {
        let events = all(&[STREAM]);
        let data: Vec<&[u8]> = events.iter().map(|event| event.data.as_slice()).collect();
        assert_eq!(data, [&b""[..], b"{\"a\":1}", b"two\nlines", b"old", b"[DONE]"]);
        assert!(events[0].is_comment() && events[4].is_done());
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_the_same_events_and_lose_no_byte(cuts in prop::collection::vec(1usize..9, 0..60)) {
            let mut pieces = Vec::new();
            let mut rest = STREAM;
            for cut in cuts {
                let (piece, tail) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = tail;
            }
            pieces.push(rest);
            let events = all(&pieces);
            prop_assert_eq!(&events, &all(&[STREAM]));
            prop_assert_eq!(events.concat_raw(), STREAM);
        }

        #[test]
        fn no_bytes_make_it_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20)) {
            let mut parser = Parser::default();
            for piece in &pieces { let _ = parser.feed(piece); }
            let _ = parser.rest();
        }
    }

    trait ConcatRaw {
        fn concat_raw(&self) -> Vec<u8>;
    }

    impl ConcatRaw for Vec<Event> {
        fn concat_raw(&self) -> Vec<u8> {
            self.iter().flat_map(|event| event.raw.clone()).collect()
        }
    }

    #[test]
    fn a_line_without_end_is_given_up() {
        let mut parser = Parser::default();
        let piece = vec![b'x'; 1 << 20];
        let fault = (0..12).find_map(|_| parser.feed(&piece).err());
        assert_eq!(fault, Some(SseFault::TooLong));
    }

    #[test]
    fn an_event_cut_before_its_blank_line_is_still_seen() {
        let mut parser = Parser::default();
        assert!(parser.feed(b"data: half").unwrap().is_empty());
        assert_eq!(parser.rest().unwrap().data, b"half");
    }
}
