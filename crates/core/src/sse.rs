//! Server-sent events, read with bounds. The bytes of an event are kept as they came, so that it can be passed on byte for
//! byte, which no library offers (`docs/decisions/0011-dependencies.md`).

use std::{mem, ops::Range};

/// A line longer than this ends the stream: 10 MB, as much as a whole answer may have.
pub const LINE_MAX: usize = 10 << 20;
/// An event may have this many bytes more than its longest line.
const AROUND: usize = 1 << 10;

/// One event, or a comment, with the blank line that ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// The bytes as they came.
    pub raw: &'a [u8],
    /// The text of its `data` lines; empty for a comment.
    pub data: &'a [u8],
}

impl Event<'_> {
    /// Whether it says that nothing follows.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.data.trim_ascii() == b"[DONE]"
    }

    /// The value of its first `id` line.
    #[must_use]
    pub fn id(&self) -> Option<&[u8]> {
        let mut lines = self.raw.split(|byte| matches!(byte, b'\n' | b'\r'));
        lines.find_map(|line| line.strip_prefix(b"id:")).map(<[u8]>::trim_ascii)
    }

    /// Whether it is only a sign of life.
    #[must_use]
    pub fn is_comment(&self) -> bool {
        self.data.is_empty()
    }
}

/// Reason why a stream cannot be read further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SseFault {
    /// A line or an event that does not end.
    #[error("a line of the stream is longer than {} MiB", .0 >> 20)]
    TooLong(usize),
}

/// Reads events out of pieces of any size.
#[derive(Debug)]
pub struct Parser {
    /// The longest line, in bytes.
    most: usize,
    buffer: Vec<u8>,
    /// Start of the open event, start of its open line, and the end of the searched part of that line.
    start: usize,
    line: usize,
    searched: usize,
    data: Data,
    /// Data of an event with more than one `data` line.
    joined: Vec<u8>,
}

/// The data of the event under way.
#[derive(Debug, Default)]
enum Data {
    #[default]
    None,
    /// One line, in the buffer.
    Line(Range<usize>),
    /// Several lines, joined.
    Joined,
}

impl Default for Parser {
    fn default() -> Parser {
        Parser::bounded(LINE_MAX)
    }
}

impl Parser {
    /// Creates a parser of a stream whose lines may have this many bytes.
    #[must_use]
    pub fn bounded(most: usize) -> Parser {
        Parser { most, buffer: Vec::new(), start: 0, line: 0, searched: 0, data: Data::None, joined: Vec::new() }
    }

    /// Takes the next piece.
    pub fn push(&mut self, piece: &[u8]) {
        if self.start > 0 {
            let gone = mem::take(&mut self.start);
            self.buffer.drain(..gone);
            self.line -= gone;
            self.searched -= gone;
            if let Data::Line(range) = &mut self.data {
                *range = range.start - gone..range.end - gone;
            }
        }
        self.buffer.extend_from_slice(piece);
    }

    /// Returns the next whole event. Returns `None` until there is another piece.
    ///
    /// # Errors
    /// A line or an event that does not end.
    #[expect(clippy::should_implement_trait, reason = "an event borrows from the parser")]
    pub fn next(&mut self) -> Result<Option<Event<'_>>, SseFault> {
        while let Some((content, next)) = self.next_line() {
            let blank = content.is_empty();
            self.note(content);
            self.line = next;
            self.searched = next;
            if blank {
                let begin = mem::replace(&mut self.start, next);
                return Ok(Some(self.event(begin..next)));
            }
        }
        if self.buffer.len() - self.line > self.most || self.buffer.len() - self.start > self.most + AROUND {
            return Err(SseFault::TooLong(self.most));
        }
        Ok(None)
    }

    /// Returns the rest after the other side has closed: an event without its blank line, or `None`.
    pub fn rest(&mut self) -> Option<Event<'_>> {
        let (line, length) = (self.line, self.buffer.len());
        if line < length {
            // A lone CR at the very end belongs to the line end, not to the line.
            let end = if self.buffer.ends_with(b"\r") { length - 1 } else { length };
            self.note(line..end);
        }
        let begin = mem::replace(&mut self.start, length);
        (self.line, self.searched) = (length, length);
        let event = self.event(begin..length);
        (!event.is_comment()).then_some(event)
    }

    /// Builds the event of those bytes, whose data has been noted.
    fn event(&mut self, raw: Range<usize>) -> Event<'_> {
        let data = match mem::take(&mut self.data) {
            Data::None => &[],
            Data::Line(range) => &self.buffer[range],
            Data::Joined => &self.joined[..],
        };
        Event { raw: &self.buffer[raw], data }
    }

    /// Finds the next whole line without its end (`\n`, `\r\n` or `\r`), and the start of the line after it.
    fn next_line(&mut self) -> Option<(Range<usize>, usize)> {
        let Some(offset) = memchr::memchr2(b'\n', b'\r', &self.buffer[self.searched..]) else {
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
        let Some(rest) = self.buffer[line.clone()].strip_prefix(b"data") else { return };
        let value = match rest {
            [b':', b' ', value @ ..] | [b':', value @ ..] => value,
            [] => &[],
            _ => return,
        };
        match &self.data {
            Data::Line(first) if !first.is_empty() => {
                self.joined.clear();
                self.joined.extend_from_slice(&self.buffer[first.clone()]);
                self.data = Data::Joined;
            }
            Data::Joined => {}
            // An empty first line counts as no line.
            Data::None | Data::Line(_) => {
                self.data = Data::Line(line.end - value.len()..line.end);
                return;
            }
        }
        self.joined.push(b'\n');
        self.joined.extend_from_slice(value);
    }
}

/// An event with that data, as it is written.
#[must_use]
pub fn frame(name: Option<&str>, data: &str) -> Vec<u8> {
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

    /// Bytes and data of every event.
    type Read = Vec<(Vec<u8>, Vec<u8>)>;

    fn own(event: Event<'_>) -> (Vec<u8>, Vec<u8>) {
        (event.raw.to_vec(), event.data.to_vec())
    }

    fn all(pieces: &[&[u8]]) -> Read {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        for piece in pieces {
            parser.push(piece);
            while let Some(event) = parser.next().unwrap() {
                events.push(own(event));
            }
        }
        events.extend(parser.rest().map(own));
        assert!(parser.rest().is_none());
        events
    }

    #[test]
    fn every_kind_of_line_end_and_field_is_read() {
        let events = all(&[STREAM]);
        let data: Vec<&[u8]> = events.iter().map(|(_, data)| data.as_slice()).collect();
        assert_eq!(data, [&b""[..], b"{\"a\":1}", b"two\nlines", b"old", b"[DONE]"]);
        let event = |at: usize| Event { raw: &events[at].0, data: &events[at].1 };
        assert!(event(0).is_comment() && event(4).is_done());
    }

    #[test]
    fn a_first_line_of_data_without_a_character_is_as_none() {
        let events = all(&[b"data\ndata: a\ndata:\ndata: b\n\ndata:\n\n"]);
        let data: Vec<&[u8]> = events.iter().map(|(_, data)| data.as_slice()).collect();
        assert_eq!(data, [&b"a\n\nb"[..], b""]);
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
            prop_assert_eq!(events.into_iter().flat_map(|(raw, _)| raw).collect::<Vec<u8>>(), STREAM);
        }

        #[test]
        fn no_bytes_make_it_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20)) {
            let mut parser = Parser::default();
            for piece in &pieces {
                parser.push(piece);
                while let Ok(Some(_)) = parser.next() {}
            }
            let _ = parser.rest();
        }
    }

    #[test]
    fn a_line_without_end_is_given_up() {
        let mut parser = Parser::default();
        let piece = vec![b'x'; 1 << 20];
        let fault = (0..12).find_map(|_| {
            parser.push(&piece);
            parser.next().err()
        });
        assert_eq!(fault, Some(SseFault::TooLong(LINE_MAX)));
        assert_eq!(SseFault::TooLong(LINE_MAX).to_string(), "a line of the stream is longer than 10 MiB");
    }

    #[test]
    fn an_event_cut_before_its_blank_line_is_still_seen() {
        let mut parser = Parser::default();
        parser.push(b"data: half");
        assert!(parser.next().unwrap().is_none());
        assert_eq!(parser.rest().unwrap().data, b"half");
    }
}
