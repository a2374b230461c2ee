//! An answer that is read as a stream, shown while it arrives, and returned whole.

use std::time::Duration;

use crate::transport::Response;
use kapelle_core::{Category, worker::TextSink};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::{
    Fault, FaultKind, Server,
    dialect::{self, Events, Step, Unread, Whole, take_all, take_rest},
    pieces::{Added, Gathered, chunks},
    told::Told,
};
use crate::wire::{ModelCall, json, sse::Parser};

/// Time that a provider has after its last event to end its answer, so that the connection can be reused.
const DRAIN: Duration = Duration::from_millis(100);

/// Reads a stream to its end. `watcher` receives each piece of its text.
///
/// # Errors
/// The errors of a whole answer: it was cut, it is invalid, the provider broke off, or time has run out.
pub(crate) async fn whole(
    server: &Server,
    (link, call): (&str, &ModelCall),
    mut response: Response,
    watcher: &dyn TextSink,
) -> Result<Whole, Fault> {
    watcher.begin();
    let mut events = server.dialect.events(call);
    let read = read(&mut response, &mut *events, watcher).await;
    let seen = *events.seen();
    let gathered = read.map_err(|broken| {
        let fault = match broken {
            Broken::Transport(error) => server.transport(link, error),
            Broken::Cut => {
                let why = "the stream was cut before it was complete";
                Fault::sent(link, FaultKind::Passing, Category::Unavailable, why).unsettled()
            }
            Broken::Said(kind, why) => Fault::sent(link, kind, Category::Provider, &server.clean(&why)).unsettled(),
            Broken::Told(told) => {
                let fault = server.broke_off(link, *told, None);
                // Refused before it began.
                if seen.is_nothing() && !fault.passes() {
                    return fault;
                }
                fault.unsettled()
            }
        };
        fault.after(seen)
    })?;
    let until = Instant::now() + DRAIN;
    while matches!(timeout_at(until, response.chunk()).await, Ok(Ok(Some(_)))) {}
    let body = gathered.completion(seen.usage.as_ref()).to_string().into_bytes();
    Ok(Whole { body, usage: seen.usage, text_tokens: seen.tokens })
}

/// Shows an answer that arrived whole.
pub(crate) fn show(whole: &Whole, watcher: &dyn TextSink) {
    let completion: Value = json::read(&whole.body).unwrap_or_default();
    watcher.begin();
    watcher.add(completion["choices"][0]["message"]["content"].as_str().unwrap_or(""));
}

/// Reason why a stream did not end.
enum Broken {
    Transport(crate::transport::Error),
    Cut,
    Said(FaultKind, String),
    Told(Box<Told>),
}

impl From<Unread> for Broken {
    fn from(unread: Unread) -> Broken {
        match unread {
            Unread::Endless(fault) => Broken::Said(FaultKind::Request, fault.to_string()),
            Unread::Said(dialect::Broken::Garbled(why, _)) => Broken::Said(FaultKind::Passing, why),
            Unread::Said(dialect::Broken::Told(told, _)) => Broken::Told(told),
        }
    }
}

async fn read(response: &mut Response, events: &mut dyn Events, watcher: &dyn TextSink) -> Result<Gathered, Broken> {
    let mut parser = Parser::default();
    let mut gathered = Gathered::default();
    loop {
        let piece = response.chunk().await.map_err(Broken::Transport)?;
        let closed = piece.is_none();
        let mut out = Vec::new();
        let taken = match piece {
            Some(bytes) => {
                parser.push(&bytes);
                take_all(&mut parser, events, &mut out)
            }
            None => take_rest(&mut parser, events, &mut out),
        };
        let mut last = match taken? {
            Step::More => None,
            Step::Last(bytes) => Some(bytes),
        };
        if closed && last.is_none() {
            last = Some(events.close().ok_or(Broken::Cut)?);
        }
        let ended = last.is_some();
        out.extend(last.unwrap_or_default());
        for chunk in chunks(&out) {
            let tell = |_: &Gathered, added: Added<'_>| {
                if let Added::Text(text) = added {
                    watcher.add(text);
                }
            };
            gathered.take(&chunk, tell).map_err(|why| Broken::Said(FaultKind::Request, why))?;
        }
        if ended {
            return Ok(gathered);
        }
    }
}
