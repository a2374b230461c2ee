//! Bodies of requests, read under bounds: their size, their pace, and the memory of all that are in progress.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, HttpBody},
    http::{Method, StatusCode, header, request::Parts},
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use kapelle_api::code;
use kapelle_core::weight::{VALUE_BYTES, weight};
use tokio::time::{Instant, timeout_at};

use crate::{
    call::aside,
    limits::Limits,
    problem::Problem,
    route::Route,
    shares::{Full, Party, Rank, Share, Shares},
};

/// Bytes of a body that need no share of the memory: the number of connections bounds them.
const FREE: usize = 16 * 1024;

/// A complete body.
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Whole {
    pub bytes: Bytes,
    /// The memory of the body and of what is read from it; `None` for a small one.
    pub share: Option<Share>,
}

/// The lowest accepted rate of a body.
struct Pace {
    begun: Instant,
    idle: Duration,
    rate: u64,
    got: u64,
}

/// A body that is being received, under its bounds.
pub struct Incoming {
    body: Body,
    pace: Pace,
    most: usize,
    got: usize,
}

impl Incoming {
    /// Wraps the body of a request. Nothing is requested yet: a client that waits for `100 Continue` waits.
    pub fn new(body: Body, limits: &Limits, most: usize) -> Incoming {
        let pace = Pace { begun: Instant::now(), idle: limits.body_idle, rate: limits.body_rate.max(1), got: 0 };
        Incoming { body, pace, most, got: 0 }
    }

    /// Returns the next part; `None` at the end.
    ///
    /// # Errors
    /// When the body is too large, comes too slowly, or breaks off.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let Ok(frame) = timeout_at(self.pace.deadline(), self.body.frame()).await else {
                let Pace { idle, rate, .. } = self.pace;
                let detail = format!(
                    "body: stopped arriving; expected a part every {} s, and {rate} bytes a second on average",
                    idle.as_secs()
                );
                return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, code::TIMEOUT, detail));
            };
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|error| Problem::invalid(format!("the body could not be read: {error}")))?;
            let Ok(data) = frame.into_data() else { continue };
            self.got += data.len();
            if self.got > self.most {
                return Err(Problem::too_large(self.most));
            }
            self.pace.got = self.got as u64;
            if !data.is_empty() {
                return Ok(Some(data));
            }
        }
    }

    /// Says whether the whole body has been received.
    fn has_ended(&self) -> bool {
        self.body.is_end_stream()
    }
}

impl Pace {
    fn deadline(&self) -> Instant {
        let whole = self.idle + Duration::from_millis(self.got.saturating_mul(1_000) / self.rate);
        (self.begun + whole).min(Instant::now() + self.idle)
    }
}

/// Returns the length that the headers announce.
///
/// # Errors
/// When it exceeds the limit of the route.
pub fn declared(parts: &Parts, route: &Route) -> Result<Option<u64>, Problem> {
    let declared = parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > route.body as u64) {
        return Err(Problem::too_large(route.body));
    }
    Ok(declared)
}

/// The memory that a body takes.
struct Room<'a> {
    memory: Option<(&'a Arc<Shares>, Party)>,
    share: Option<Share>,
    /// Bytes reserved.
    bytes: usize,
}

impl Room<'_> {
    /// Reserves memory for `bytes` in all, of which `expected` were announced. The first reservation beyond a small
    /// body waits for all of the announced bytes; later ones do not wait, because half a body must not wait for the
    /// memory that another half holds.
    async fn hold(&mut self, bytes: usize, expected: usize, limits: &Limits) -> Result<(), Problem> {
        if bytes <= self.bytes {
            return Ok(());
        }
        let bytes = bytes.max(expected);
        let more = (bytes - self.bytes) as u64;
        match (self.memory, &self.share) {
            (Some((shares, party)), None) => {
                let taken = shares.take_by(party, more, Instant::now() + limits.body_wait).await;
                self.share = Some(taken.map_err(no_memory)?);
            }
            _ => self.grow(more)?,
        }
        self.bytes = bytes;
        Ok(())
    }

    fn grow(&mut self, more: u64) -> Result<(), Problem> {
        let Some((shares, party)) = self.memory else { return Ok(()) };
        let grown = match &mut self.share {
            Some(share) => share.grow(more),
            None => shares.take(party, more).map(|taken| self.share = Some(taken)),
        };
        grown.map_err(no_memory)
    }
}

fn no_memory(full: Full) -> Problem {
    full.problem("bytes of bodies in progress", 2)
}

/// Reads a JSON body. Memory is reserved when bytes arrive, whatever was announced.
///
/// # Errors
/// When it is too large, too slow, not declared as JSON, or memory is exhausted.
pub async fn read(
    parts: &Parts,
    body: Body,
    route: &Route,
    limits: &Limits,
    memory: Option<(&Arc<Shares>, Party)>,
) -> Result<Whole, Problem> {
    let declared = declared(parts, route)?;
    if parts.method == Method::GET || parts.method == Method::HEAD {
        return Ok(Whole::default());
    }
    let expected = usize::try_from(declared.unwrap_or(0)).unwrap_or(0);
    let mut incoming = Incoming::new(body, limits, route.body);
    let Some(mut data) = incoming.next().await? else { return Ok(Whole::default()) };
    json_only(parts)?;
    let mut room = Room { memory, share: None, bytes: FREE };
    if incoming.has_ended() {
        // Short bodies come in one part and need no copy.
        return weighed(data, room);
    }
    let mut read = BytesMut::new();
    loop {
        let needed = read.len() + data.len();
        if needed > read.capacity() {
            // Twice as much each time, and no more than is expected to come.
            let capacity = (read.capacity() * 2).max(FREE);
            let capacity = if expected >= needed { capacity.min(expected) } else { capacity }.max(needed);
            room.hold(capacity, expected, limits).await?;
            read.reserve(capacity - read.len());
        }
        read.extend_from_slice(&data);
        match incoming.next().await? {
            Some(next) => data = next,
            None => return weighed(read.freeze(), room),
        }
    }
}

/// Reserves the memory that the values of a document need, so that a few bytes with many values are charged in full.
fn weighed(bytes: Bytes, mut room: Room<'_>) -> Result<Whole, Problem> {
    if bytes.len() > FREE {
        let weight = aside(bytes.len(), || weight(&bytes));
        if let Some((shares, party)) = room.memory {
            let bounds = shares.bounds();
            let most = if party.rank == Rank::Owner { bounds.all } else { bounds.key };
            if weight.saturating_add(bytes.len() as u64) > most {
                let detail = format!("body: too many values; expected at most about {}", most / VALUE_BYTES);
                return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, code::TOO_LARGE, detail));
            }
        }
        room.grow(weight)?;
    }
    Ok(Whole { bytes, share: room.share })
}

/// Refuses a body that does not declare itself as JSON: a foreign page could send a form or plain text.
fn json_only(parts: &Parts) -> Result<(), Problem> {
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = kind.split(';').next().unwrap_or("").trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let detail = "the body must be JSON and say so: Content-Type: application/json";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, code::UNSUPPORTED_MEDIA_TYPE, detail))
}
