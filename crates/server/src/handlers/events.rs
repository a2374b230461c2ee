//! Live events.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{
        FromRequestParts,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade},
    },
    http::StatusCode,
};
use bytes::Bytes;
use kapelle_api as api;
use kapelle_app::{Entry, Identity, Start, event_cursor, fresh};
use kapelle_core::{RunId, TenantId};
use serde::Deserialize;
use serde_json::json as value;
use tokio::sync::{broadcast::error::RecvError, mpsc};

use crate::{
    auth::TICKET_MS,
    call::{Call, json},
    follow::{Out, Standing, follow},
    problem::Problem,
    route::Answer,
    site::Site,
    stream,
};

/// Interval between checks of a stream for missed changes.
const LOOK: Duration = Duration::from_secs(1);
/// Checks between two keep-alive messages.
const LOOKS_PER_SIGN: u32 = 15;
/// The longest message of a client, in bytes. Clients have nothing to send.
const MESSAGE_MAX: usize = 64 * 1024;

/// The query of a run's stream.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct After {
    after: Option<u64>,
    texts: Option<bool>,
}

/// Returns the position from which a stream continues, as the client states it.
fn standing(call: &Call, cursor: Option<&str>) -> Result<Standing, Problem> {
    let last = call.parts.headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let Some(id) = cursor.or(last) else { return Ok(Standing::default()) };
    Standing::parse(id).ok_or_else(|| Problem::invalid("Last-Event-ID is not from this stream"))
}

/// `GET /api/v1/runs/{id}/events`
pub async fn run(call: Call) -> Answer {
    let id = call.app.has_run(&call.who, call.id()?)?;
    let given: After = call.query()?;
    let standing = match given.after {
        Some(entry) => Standing::behind(Some(entry)),
        None => standing(&call, None)?,
    };
    let (sender, response) = stream::events(&call.site, &call.who)?;
    let texts = given.texts.unwrap_or(false);
    tokio::spawn(follow(call.site, call.who, id, (standing, texts), Out::Sse(sender)));
    Ok(response)
}

/// The query of the stream of everything.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Live {
    cursor: Option<String>,
    #[expect(dead_code, reason = "redeemed at the door")]
    ticket: Option<String>,
}

/// The query of a socket.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Socket {
    cursor: Option<String>,
    run: Option<String>,
    #[expect(dead_code, reason = "redeemed at the door")]
    ticket: Option<String>,
}

/// The events that a socket sends.
enum Source {
    /// All events.
    All(Start),
    /// One run, with the output of its models.
    Run(RunId, Standing),
}

fn listen(call: &Call, cursor: Option<&str>) -> Result<Start, Problem> {
    let last = call.parts.headers.get("last-event-id").and_then(|value| value.to_str().ok());
    Ok(call.app.listen(&call.who, cursor.or(last))?)
}

/// Formats an event as a server-sent event. Its bytes are made once for all clients.
fn sse(entry: &Entry, epoch: u64) -> Bytes {
    Bytes::from_owner(entry.form(0, |entry| {
        let (kind, body) = (entry.body.event.as_str(), serde_json::to_value(&entry.body).unwrap_or_default());
        stream::event(&event_cursor(epoch, entry.number), kind, &body).to_vec()
    }))
}

/// Formats an event as a message of a WebSocket. Its text is made once for all clients.
fn text(entry: &Entry, epoch: u64) -> Utf8Bytes {
    let made = entry.form(1, |entry| {
        let cursor = Some(event_cursor(epoch, entry.number));
        serde_json::to_vec(&api::LiveEvent { cursor, ..entry.body.clone() }).unwrap_or_default()
    });
    Utf8Bytes::try_from(Bytes::from_owner(made)).unwrap_or_default()
}

/// `GET /api/v1/events`
pub async fn all(call: Call) -> Answer {
    let given: Live = call.query()?;
    let (sender, response) = stream::events(&call.site, &call.who)?;
    let start = listen(&call, given.cursor.as_deref())?;
    tokio::spawn(async move {
        let out = |epoch: u64, told: Option<&Entry>| {
            let anew = || stream::event("", "resync", &value!({ "event": "resync" }));
            let (sender, bytes) = (sender.clone(), told.map_or_else(anew, |entry| sse(entry, epoch)));
            async move { sender.send(bytes).await.is_ok() }
        };
        let alive = || {
            let sender = sender.clone();
            async move { sender.send(stream::alive()).await.is_ok() }
        };
        pump(&call.site, &call.who, start, out, alive).await;
    });
    Ok(response)
}

/// Sends missed and new events, until the client leaves, the key is revoked, or the server ends. A client that is too
/// slow for the queue must reload; `out` sends that when it is called without an entry.
async fn pump<F, A, Fut, Alive>(site: &Site, who: &Identity, start: Start, out: F, alive: A)
where
    F: Fn(u64, Option<&Entry>) -> Fut,
    A: Fn() -> Alive,
    Fut: Future<Output = bool>,
    Alive: Future<Output = bool>,
{
    let Start { missed, resync, mut coming, epoch } = start;
    let mine = |entry: &Entry| entry.tenant == who.tenant || entry.tenant == TenantId(0);
    let work = async {
        if resync && !out(epoch, None).await {
            return;
        }
        for entry in missed.iter().filter(|entry| mine(entry)) {
            if !out(epoch, Some(entry)).await {
                return;
            }
        }
        loop {
            let sent = tokio::select! {
                entry = coming.recv() => match entry {
                    Ok(entry) if mine(&entry) => out(epoch, Some(&entry)).await,
                    Ok(_) => true,
                    Err(RecvError::Lagged(_)) => out(epoch, None).await,
                    Err(RecvError::Closed) => false,
                },
                () = tokio::time::sleep(LOOK * LOOKS_PER_SIGN) => alive().await,
            };
            if !sent {
                return;
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = stream::over(site, who) => {}
    }
}

/// `POST /api/v1/tickets`
pub async fn ticket(call: Call) -> Answer {
    let secret = fresh().map_err(|error| Problem::internal(error.to_string()))?;
    call.site.auth.ticket(&call.who, &secret, call.app.now())?;
    json(StatusCode::CREATED, &api::Ticket { ticket: secret, expires_in_ms: TICKET_MS.unsigned_abs() })
}

/// `GET /api/v1/ws`
pub async fn socket(mut call: Call) -> Answer {
    let upgrade = WebSocketUpgrade::from_request_parts(&mut call.parts, &()).await;
    let upgrade = upgrade.map_err(|error| Problem::invalid(format!("this is for WebSockets: {error}")))?;
    let given: Socket = call.query()?;
    let source = match &given.run {
        None => Source::All(listen(&call, given.cursor.as_deref())?),
        Some(run) => {
            let id = run.parse().map_err(|_| Problem::not_found(run.chars().take(40).collect::<String>()))?;
            Source::Run(call.app.has_run(&call.who, id)?, standing(&call, given.cursor.as_deref())?)
        }
    };
    let permit = stream::permit(&call.site, &call.who)?;
    let upgrade = upgrade.max_message_size(MESSAGE_MAX).max_frame_size(MESSAGE_MAX);
    Ok(upgrade.on_upgrade(move |socket| async move {
        talk(&call.site, &call.who, source, socket).await;
        drop(permit);
    }))
}

async fn talk(site: &Arc<Site>, who: &Arc<Identity>, source: Source, mut socket: WebSocket) {
    let (sender, mut queue) = mpsc::channel::<Message>(64);
    let pumped = async {
        match source {
            Source::All(start) => {
                everything(site, who, start, sender).await;
                CloseFrame {
                    code: 1001,
                    reason: "the key was revoked or has expired, or the server is stopping".into(),
                }
            }
            Source::Run(run, standing) => {
                follow(Arc::clone(site), Arc::clone(who), run, (standing, true), Out::Socket(sender)).await;
                CloseFrame { code: 1000, reason: "the run has ended, or the key was revoked or has expired".into() }
            }
        }
    };
    tokio::pin!(pumped);
    let mut last = None;
    loop {
        tokio::select! {
            frame = &mut pumped, if last.is_none() => last = Some(frame),
            // Events from before the end are sent before it.
            message = queue.recv() => match message {
                Some(message) => if socket.send(message).await.is_err() { return },
                None => break,
            },
            // Read so that pings are answered and an end is noticed; messages of the client are ignored.
            heard = socket.recv() => match heard {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
    let _ = socket.send(Message::Close(last)).await;
}

async fn everything(site: &Site, who: &Identity, start: Start, sender: mpsc::Sender<Message>) {
    let out = |epoch: u64, told: Option<&Entry>| {
        let anew = || Utf8Bytes::from_static("{\"event\":\"resync\"}");
        let (sender, message) = (sender.clone(), Message::Text(told.map_or_else(anew, |entry| text(entry, epoch))));
        async move { sender.send(message).await.is_ok() }
    };
    let alive = || {
        let sender = sender.clone();
        async move { sender.send(Message::Ping(Bytes::new())).await.is_ok() }
    };
    pump(site, who, start, out, alive).await;
}
