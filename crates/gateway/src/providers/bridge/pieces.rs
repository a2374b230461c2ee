//! A chat stream, read with the reader of its own format and written as events of another one.

use serde_json::Value;

use crate::{
    providers::{
        dialect::{Broken, Events, Seen, Step},
        pieces::chunks,
    },
    wire::sse::Event,
};

/// Writes the pieces of a chat stream as events of a format.
pub(super) trait Pieces: Send {
    /// Writes the events of a piece.
    ///
    /// # Errors
    /// When the piece contradicts those before it.
    fn piece(&mut self, chunk: &Value, out: &mut Vec<u8>) -> Result<(), String>;

    /// Writes the events that end the answer. Returns the last of them apart.
    fn end(&mut self, seen: &Seen, out: &mut Vec<u8>) -> Vec<u8>;

    /// Writes what stands for a comment of the provider. Returns false when it is read like any other event.
    fn comment(&mut self, out: &mut Vec<u8>) -> bool;
}

/// The events of a chat stream in another format.
pub(super) struct Bridged<P> {
    inner: Box<dyn Events>,
    pieces: P,
}

impl<P: Pieces> Bridged<P> {
    pub(super) fn new(inner: Box<dyn Events>, pieces: P) -> Bridged<P> {
        Bridged { inner, pieces }
    }

    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        chunks(bytes).iter().try_for_each(|chunk| self.pieces.piece(chunk, out))
    }
}

impl<P: Pieces> Events for Bridged<P> {
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>) -> Result<Step, Broken> {
        if event.is_comment() && self.pieces.comment(out) {
            return Ok(Step::More);
        }
        let mut chat = Vec::new();
        let step = self.inner.event(event, &mut chat)?;
        self.take(&chat, out).map_err(Broken::garbled)?;
        match step {
            Step::More => Ok(Step::More),
            Step::Last(last) => {
                self.take(&last, out).map_err(Broken::garbled)?;
                Ok(Step::Last(self.pieces.end(self.inner.seen(), out)))
            }
        }
    }

    fn close(&mut self) -> Option<Vec<u8>> {
        let last = self.inner.close()?;
        let mut out = Vec::new();
        self.take(&last, &mut out).ok()?;
        let end = self.pieces.end(self.inner.seen(), &mut out);
        out.extend(end);
        Some(out)
    }

    fn seen(&self) -> &Seen {
        self.inner.seen()
    }
}
