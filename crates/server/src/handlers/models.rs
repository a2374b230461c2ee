//! `/v1`: the model gateway, as the SDKs of OpenAI and Anthropic speak to it.

use std::{
    convert::Infallible,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use hyper::body::Frame;
use kapelle_app::Identity;
use kapelle_core::{Account, DurationMs};
use kapelle_gateway::{
    Body as Answered, Grant, Operation, Reply, access,
    money::Payer,
    service::ReplyStream,
    wire::{Door, Refusal},
};

use crate::{
    call::{Call, aside},
    problem::Problem,
    route::Answer,
    site::Site,
    stream,
};

/// Header with the seconds for which a cached answer may be used, for callers with a key.
const CACHE: &str = "x-kapelle-cache";
/// The code for a token that is not valid.
const INVALID_TOKEN: &str = "invalid_token";
/// Approximate number of headers of a response.
const HEADERS: usize = 16;
/// The longest time that an answer is cached, in seconds.
const CACHE_MAX: u64 = 86_400;

/// Returns the gateway token, when the request carries one.
pub fn token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && token.starts_with(access::PREFIX)).then_some(token)
}

/// Returns the refusal of a token that is not valid.
pub fn no_token() -> Problem {
    let detail = "this token is unknown here, or has ended with its attempt or process";
    Problem::new(StatusCode::UNAUTHORIZED, INVALID_TOKEN, detail)
}

/// Header in which Anthropic's SDKs send their key.
const API_KEY: &str = "x-api-key";

/// Puts a key that came as `x-api-key` where every other key stands, unless there is one already.
pub fn take_api_key(headers: &mut HeaderMap) {
    if headers.contains_key(header::AUTHORIZATION) {
        return;
    }
    let key = headers.get(API_KEY).and_then(|key| key.to_str().ok()).map(|key| format!("Bearer {}", key.trim()));
    if let Some(mut value) = key.and_then(|key| HeaderValue::from_str(&key).ok()) {
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
}

/// Returns the door of a path of the gateway.
fn door(path: &str) -> Door {
    match path.strip_prefix("/v1/messages") {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => Door::Anthropic,
        _ => Door::Openai,
    }
}

/// Says whether a path belongs to the model gateway.
pub fn is_below(path: &str) -> bool {
    path.strip_prefix("/v1").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Formats a refusal in the shape that clients of that path read.
pub fn shaped(path: &str, problem: Problem) -> Response {
    if is_below(path) { refused(&problem, door(path)) } else { problem.into_response() }
}

/// Formats a refusal of the gatekeeper in the shape that the SDKs read.
fn refused(problem: &Problem, door: Door) -> Response {
    let code = match problem.status {
        StatusCode::UNAUTHORIZED if problem.code != INVALID_TOKEN => "invalid_api_key",
        _ => problem.code,
    };
    let wait = problem.retry_after.map(|seconds| DurationMs(u64::from(seconds) * 1_000));
    let refusal = Refusal::at_the_door(problem.status.as_u16(), code, problem.detail.clone(), wait);
    let mut response = send(Reply::refused(&refusal, door), None);
    if problem.status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(allow) = problem.allow.as_deref().and_then(|allow| HeaderValue::from_str(allow).ok()) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// `GET /v1/models`
pub async fn list(call: Call) -> Answer {
    let service = call.app.token_issuer().service();
    let reply = match token(&call.parts.headers) {
        Some(token) => service.models(token),
        None => service.models_as(&grant(&call)?),
    };
    Ok(send(reply, None))
}

/// `POST /v1/chat/completions`
pub async fn chat(call: Call) -> Answer {
    ask(call, Operation::Chat).await
}

/// `POST /v1/responses`
pub async fn responses(call: Call) -> Answer {
    ask(call, Operation::Responses).await
}

/// `POST /v1/embeddings`
pub async fn embeddings(call: Call) -> Answer {
    ask(call, Operation::Embeddings).await
}

/// `POST /v1/messages`
pub async fn messages(call: Call) -> Answer {
    ask(call, Operation::Messages).await
}

/// `POST /v1/messages/count_tokens`
pub async fn count_tokens(call: Call) -> Answer {
    let service = call.app.token_issuer().service();
    let reply = match token(&call.parts.headers) {
        Some(token) => aside(call.body.len(), || service.count(token, &call.body)),
        None => {
            let grant = grant(&call)?;
            aside(call.body.len(), || service.count_as(&grant, &call.body))
        }
    };
    Ok(send(reply, None))
}

async fn ask(call: Call, operation: Operation) -> Answer {
    if call.app.is_draining() {
        return Err(Problem::unavailable("the server is stopping: try again soon"));
    }
    let service = call.app.token_issuer().service();
    let reply = match token(&call.parts.headers) {
        Some(token) => read_aside(&call, pin!(service.call(operation, token, &call.body))).await,
        None => {
            let grant = grant(&call)?;
            let asked = pin!(service.call_as(operation, grant, &call.body));
            let reply = stream::while_it_holds(&call.site, &call.who, read_aside(&call, asked)).await?;
            let holder = Holder { site: Arc::clone(&call.site), who: Arc::clone(&call.who), door: operation.door() };
            return Ok(send(reply, Some(holder)));
        }
    };
    Ok(send(reply, None))
}

/// Begins a call of the service, and reads a large body on a thread where it does not hold up others: it is read before
/// the call waits for anything.
async fn read_aside<F: Future>(call: &Call, mut work: Pin<&mut F>) -> F::Output {
    let mut turn = call.turn();
    std::future::poll_fn(move |cx| match turn.take() {
        Some(turn) => {
            let polled = aside(call.body.len(), || work.as_mut().poll(cx));
            drop(turn);
            polled
        }
        None => work.as_mut().poll(cx),
    })
    .await
}

/// Returns the grant of a key: all models, charged to the key, the tenant and the day.
fn grant(call: &Call) -> Result<Grant, Problem> {
    let mut grant = Grant::of(Payer::of(call.tenant(), vec![Account::Key(call.who.actor.clone())]));
    if let Some(value) = call.parts.headers.get(CACHE) {
        let seconds = value.to_str().ok().and_then(|text| text.parse::<u64>().ok()).filter(|n| *n <= CACHE_MAX);
        let wrong = || Problem::invalid(format!("{CACHE}: seconds, 0 to {CACHE_MAX}"));
        grant.cache = Some(seconds.ok_or_else(wrong)?).filter(|n| *n > 0).map(Duration::from_secs);
    }
    Ok(grant)
}

/// The holder of a key that may be revoked while an answer is sent.
struct Holder {
    site: Arc<Site>,
    who: Arc<Identity>,
    door: Door,
}

/// A piece, and the stream of the following ones.
type Piece = (Option<Vec<u8>>, Box<ReplyStream>);

/// The pieces of an answer. Dropping it, when the client leaves, drops the call of the provider too.
struct Pieces {
    next: Pin<Box<dyn Future<Output = Piece> + Send>>,
    /// Completes when the key of the call is revoked or expired.
    gone: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    door: Door,
    done: bool,
}

impl Pieces {
    fn new(stream: Box<ReplyStream>, holder: Option<Holder>) -> Pieces {
        let door = holder.as_ref().map_or(Door::Openai, |holder| holder.door);
        let gone = holder.map(|holder| Box::pin(async move { stream::gone(&holder.site, &holder.who).await }) as _);
        Pieces { next: Box::pin(piece(stream)), gone, door, done: false }
    }
}

/// Returns the last event of a stream whose key was revoked.
fn revoked(door: Door) -> &'static [u8] {
    match door {
        Door::Openai => {
            b"data: {\"error\":{\"message\":\"the key was revoked or has expired\",\"type\":\"invalid_request_error\",\"code\":\"invalid_api_key\"}}\n\n"
        }
        Door::Anthropic => {
            b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\"message\":\"the key was revoked or has expired\"}}\n\n"
        }
    }
}

async fn piece(mut stream: Box<ReplyStream>) -> Piece {
    (stream.next().await, stream)
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.done {
            return Poll::Ready(None);
        }
        if self.gone.as_mut().is_some_and(|gone| gone.as_mut().poll(cx).is_ready()) {
            self.done = true;
            // Dropped with its future: the call of the provider ends, too.
            self.next = Box::pin(std::future::pending());
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(revoked(self.door))))));
        }
        let (piece, stream) = std::task::ready!(self.next.as_mut().poll(cx));
        match piece {
            Some(bytes) => {
                self.next = Box::pin(self::piece(stream));
                Poll::Ready(Some(Ok(Frame::data(Bytes::from(bytes)))))
            }
            None => {
                self.done = true;
                Poll::Ready(None)
            }
        }
    }
}

fn send(reply: Reply, holder: Option<Holder>) -> Response {
    let body = match reply.body {
        Answered::Whole(bytes) => Body::from(bytes),
        Answered::Stream(stream) => Body::new(Pieces::new(stream, holder)),
    };
    let mut response = Response::new(body);
    // Reserves room for the headers that the gatekeeper and hyper add, so that the map is allocated once.
    *response.headers_mut() = HeaderMap::with_capacity(HEADERS);
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in reply.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}
