//! A stream from the provider to the caller: passed on, metered, recorded, and ended with its true result.

use std::{collections::VecDeque, mem, pin::Pin, sync::Arc, time::Duration};

use crate::transport::Response;
use kapelle_core::{Category, TaskError};
use serde_json::json;
use tokio::{
    select,
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{
    Failure,
    deliver::{Content, Delivery},
};
use crate::{
    answer::Usage,
    providers::{
        bridge::unrolled,
        dialect::{Broken, Events, Step, Unread, Whole, take_all, take_rest},
        format::used,
        told::Told,
    },
    replay::Recorded,
    upstream_response::UpstreamResponse,
    watched::Tap,
    wire::{
        Door, ModelCall, Operation, Refusal, new_request_id,
        sse::{Parser, frame},
    },
};

/// Size limit of a stream, in bytes. A longer stream is cut.
const STREAM_MAX: usize = 64 << 20;
/// Time that a provider has after its last event to end its answer, so that the connection can be reused.
const DRAIN: Duration = Duration::from_millis(100);

/// Initial state of a stream.
pub(crate) struct Opening {
    pub(crate) call: ModelCall,
    pub(crate) tap: Option<Tap>,
    pub(crate) upstream: UpstreamResponse,
    pub(crate) response: Response,
    pub(crate) delivery: Delivery,
    pub(crate) until: Instant,
    /// Reason why the first link did not answer.
    pub(crate) degraded: Option<String>,
}

/// The pieces of an answer. It ends in success only with a finish reason and after the journal has the answer;
/// otherwise its last piece is an error. Dropping it closes the connection to the provider and settles the call.
pub struct ReplyStream {
    call: ModelCall,
    upstream: UpstreamResponse,
    events: Box<dyn Events>,
    ended: watch::Receiver<bool>,
    until: Instant,
    state: State,
    ready: VecDeque<Vec<u8>>,
    /// Bytes delivered, if they have another destination than the caller.
    record: Option<Vec<u8>>,
    length: usize,
    pieces: u64,
    degraded: Option<String>,
    /// Shows the text to those who watch the caller's task.
    tap: Option<Tap>,
}

struct Reading {
    response: Response,
    parser: Parser,
    delivery: Delivery,
}

enum State {
    /// The provider sends pieces.
    Reading(Box<Reading>),
    /// The answer is whole; the journal is writing it.
    Recording(Box<Recording>),
    /// The answer is delivered; the provider has to end its side.
    Draining(Box<Response>, Instant),
    /// The stream has ended.
    Done,
}

struct Recording {
    journal: Pin<Box<dyn Future<Output = Result<Recorded, Failure>> + Send>>,
    last: Vec<u8>,
    /// Connection of the provider. `None` for an answer that came as a whole.
    response: Option<Response>,
}

impl ReplyStream {
    pub(crate) fn new(opening: Opening) -> ReplyStream {
        let Opening { call, tap, upstream, response, delivery, until, degraded } = opening;
        ReplyStream {
            events: upstream.events(&call),
            ended: delivery.holder.ended(),
            record: delivery.keeps().then(Vec::new),
            state: State::Reading(Box::new(Reading { response, parser: Parser::default(), delivery })),
            ready: VecDeque::new(),
            length: 0,
            pieces: 0,
            call,
            upstream,
            until,
            degraded,
            tap,
        }
    }

    /// Makes a stream of an answer that the provider sent as a whole.
    ///
    /// # Errors
    /// [`Failure`] when the answer is not JSON; its call is charged nevertheless.
    pub(crate) fn whole(
        (call, tap): (ModelCall, Option<Tap>),
        mut upstream: UpstreamResponse,
        delivery: Delivery,
        whole: Whole,
        degraded: Option<String>,
    ) -> Result<ReplyStream, Failure> {
        let usage = used(&call, whole.usage, whole.text_tokens);
        let body = match unrolled::events(&call, &whole.body) {
            Ok(body) => body,
            Err(why) => {
                upstream.settle(&usage, false);
                let failure = Failure::Refused(Refusal::of(&TaskError::new(Category::Provider, why)));
                delivery.fail(&failure);
                return Err(failure);
            }
        };
        if let Some(tap) = tap {
            tap.take(&body);
        }
        let (events, ended) = (upstream.events(&call), delivery.holder.ended());
        let kept: Arc<[u8]> = if delivery.keeps() { Arc::from(&*body) } else { Arc::from(&[][..]) };
        let content = Content { kind: "text/event-stream", body: kept, degraded: degraded.clone() };
        let answer = delivery.settle(&mut upstream, &usage, content);
        let journal = Box::pin(delivery.finish(answer, true));
        Ok(ReplyStream {
            state: State::Recording(Box::new(Recording { journal, last: body, response: None })),
            record: None,
            ready: VecDeque::new(),
            until: Instant::now(),
            length: 0,
            pieces: 0,
            call,
            upstream,
            events,
            ended,
            degraded,
            tap: None,
        })
    }

    /// Returns the link that answers, and the reason why it is not the first one.
    pub(crate) fn origin(&self) -> ((&str, &str), Option<&str>) {
        ((&self.upstream.provider, &self.upstream.model), self.degraded.as_deref())
    }

    /// Returns the next piece. Returns `None` at the end. Dropping the future loses nothing: the next call continues.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some(piece);
            }
            match &mut self.state {
                State::Done => return None,
                State::Recording(recording) => {
                    let recorded = recording.journal.as_mut().await;
                    let State::Recording(recording) = mem::replace(&mut self.state, State::Done) else { return None };
                    match recorded {
                        Ok(_) => {
                            if let Some(response) = recording.response {
                                self.state = State::Draining(Box::new(response), Instant::now() + DRAIN);
                            }
                            return Some(recording.last);
                        }
                        Err(failure) => self.ready.push_back(self.error_frame(&failure.refusal())),
                    }
                }
                State::Draining(response, until) => {
                    if !matches!(timeout_at(*until, response.chunk()).await, Ok(Ok(Some(_)))) {
                        self.state = State::Done;
                    }
                }
                State::Reading(reading) => {
                    let read = select! {
                        read = timeout_at(self.until, reading.response.chunk()) => read.map_err(|_| Category::Timeout),
                        _ = self.ended.wait_for(|&ended| ended) => Err(Category::LeaseLost),
                    };
                    match read {
                        Ok(Ok(Some(bytes))) => self.take(&bytes),
                        Ok(Ok(None)) => self.close(),
                        Ok(Err(error)) => {
                            let link = format!("{}/{}", self.upstream.provider, self.upstream.model);
                            let fault = self.upstream.server.transport(&link, error);
                            self.fail(&fault.error);
                        }
                        Err(Category::Timeout) => {
                            self.fail(&TaskError::new(Category::Timeout, "the stream took longer than it may"));
                        }
                        Err(category) => self.fail(&TaskError::new(category, "the token has ended")),
                    }
                }
            }
        }
    }

    /// Takes bytes of the provider.
    fn take(&mut self, bytes: &[u8]) {
        let State::Reading(reading) = &mut self.state else { return };
        reading.parser.push(bytes);
        // Most bytes are passed on unchanged.
        let mut out = Vec::with_capacity(bytes.len());
        let taken = take_all(&mut reading.parser, &mut *self.events, &mut out);
        self.pass(out, taken);
    }

    /// Passes on the caller's bytes, and ends the stream when the provider's events end it.
    fn pass(&mut self, out: Vec<u8>, taken: Result<Step, Unread>) {
        self.give(out);
        match taken {
            Ok(Step::More) if self.length > STREAM_MAX => {
                self.fail(&TaskError::new(Category::Provider, "the stream is longer than 64 MiB"));
            }
            Ok(Step::More) => {}
            Ok(Step::Last(last)) => self.finish(last),
            Err(Unread::Endless(fault)) => self.fail(&TaskError::new(Category::Provider, fault.to_string())),
            Err(Unread::Said(Broken::Garbled(why, _))) => {
                let why = self.upstream.server.clean(&why);
                self.fail(&TaskError::new(Category::Provider, why));
            }
            Err(Unread::Said(Broken::Told(told, counted))) => self.refused(*told, counted),
        }
    }

    fn give(&mut self, out: Vec<u8>) {
        if out.is_empty() {
            return;
        }
        self.length += out.len();
        self.pieces += 1;
        if let Some(tap) = &self.tap {
            tap.take(&out);
        }
        if let Some(record) = &mut self.record {
            record.extend_from_slice(&out);
        }
        self.ready.push_back(out);
    }

    /// Handles a connection that the provider has closed.
    fn close(&mut self) {
        if let State::Reading(reading) = &mut self.state {
            let mut out = Vec::new();
            let taken = take_rest(&mut reading.parser, &mut *self.events, &mut out);
            self.pass(out, taken);
        }
        if !matches!(self.state, State::Reading(_)) {
            return;
        }
        match self.events.close() {
            Some(last) => self.finish(last),
            None => self.fail(&TaskError::new(Category::Unavailable, "the stream was cut before it was complete")),
        }
    }

    /// Settles the whole answer now; its last bytes wait for the journal.
    fn finish(&mut self, last: Vec<u8>) {
        let State::Reading(reading) = mem::replace(&mut self.state, State::Done) else { return };
        let Reading { response, delivery, .. } = *reading;
        let seen = *self.events.seen();
        let usage = used(&self.call, seen.usage, seen.tokens);
        if let Some(tap) = self.tap.take() {
            tap.take(&last);
        }
        let mut body = self.record.take().unwrap_or_default();
        body.extend_from_slice(&last);
        let content = Content { kind: "text/event-stream", body: Arc::from(body), degraded: self.degraded.take() };
        let answer = delivery.settle(&mut self.upstream, &usage, content);
        let journal = Box::pin(delivery.finish(answer, true));
        self.state = State::Recording(Box::new(Recording { journal, last, response: Some(response) }));
    }

    /// Handles an error that the provider reports. A refusal before any output costs nothing.
    fn refused(&mut self, told: Told, counted: Option<Usage>) {
        let link = format!("{}/{}", self.upstream.provider, self.upstream.model);
        let fault = self.upstream.server.broke_off(&link, told, None);
        let refusal = Refusal::of(&fault.error);
        let refusal = match &fault.told {
            Some(told) => refusal.told(told, true),
            None => refusal,
        };
        let mut seen = *self.events.seen();
        seen.usage = counted.or(seen.usage);
        if seen.is_nothing() && refusal.status < 500 {
            self.upstream.settle_refused();
        } else {
            self.upstream.settle_cut(&self.call, &seen);
        }
        self.end(refusal);
    }

    /// Ends a broken stream: it is settled, waiting calls are told, and the caller gets an error as its last piece.
    fn fail(&mut self, error: &TaskError) {
        self.upstream.settle_cut(&self.call, self.events.seen());
        self.end(Refusal::of(error));
    }

    /// Tells the waiting calls, and gives the caller an error as its last piece.
    fn end(&mut self, refusal: Refusal) {
        self.tap = None;
        self.ready.push_back(self.error_frame(&refusal));
        if let State::Reading(reading) = mem::replace(&mut self.state, State::Done) {
            reading.delivery.fail(&Failure::Refused(refusal));
        }
    }

    fn error_frame(&self, refusal: &Refusal) -> Vec<u8> {
        let mut body = refusal.body();
        match self.call.operation {
            Operation::Responses => {}
            Operation::Messages => {
                let body = refusal.shaped(Door::Anthropic, &new_request_id());
                return frame(Some("error"), &body.to_string());
            }
            Operation::Chat | Operation::Embeddings => return frame(None, &body.to_string()),
        }
        body["type"] = json!("error");
        body["code"] = json!(refusal.code);
        body["message"] = json!(refusal.message);
        body["param"] = json!(refusal.param);
        body["sequence_number"] = json!(self.pieces);
        frame(Some("error"), &body.to_string())
    }
}

impl Drop for ReplyStream {
    fn drop(&mut self) {
        if matches!(self.state, State::Reading(_)) {
            self.upstream.settle_cut(&self.call, self.events.seen());
        }
    }
}
