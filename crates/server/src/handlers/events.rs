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
use kapelle::{RunId, core::TenantId};
use kapelle_api as api;
use serde::Deserialize;
use serde_json::json as value;
use tokio::sync::{broadcast::error::RecvError, mpsc};

use super::runs;
use crate::{
    app::App,
    auth::{self, Identity, TICKET_MS},
    call::{Call, json},
    hub::{Entry, Start},
    problem::Problem,
    route::Answer,
    stream,
};

/// Entries read at a time.
const PAGE: u32 = 256;
/// How often a stream shows that it lives, and looks by itself for what it may have been told of too early.
const LOOK: Duration = Duration::from_secs(1);
/// Looks between two signs of life.
const LOOKS_PER_SIGN: u32 = 15;
/// Bytes of a message that a client may send. It has nothing to say.
const MESSAGE_MAX: usize = 64 * 1024;

/// The query of a run's stream.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct After {
    after: Option<u64>,
}

/// `GET /api/v1/runs/{id}/events`
pub async fn run(call: Call) -> Answer {
    let id = runs::one(&call, call.id()?)?.id;
    let given: After = call.query()?;
    let last = call.parts.headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let last = last.map(|text| text.parse::<u64>().map_err(|_| Problem::invalid("Last-Event-ID is not a number")));
    let next = given.after.or(last.transpose()?).map_or(0, |seen| seen.saturating_add(1));
    let (sender, response) = stream::events(&call.app)?;
    tokio::spawn(follow(call.app, call.who, id, next.min(i64::MAX as u64), sender));
    Ok(response)
}

/// Sends the journal of a run as it grows: the journal is the truth, events only say when to look.
async fn follow(app: Arc<App>, who: Arc<Identity>, run: RunId, mut next: u64, sender: mpsc::Sender<Bytes>) {
    let mut events = app.engine().watch();
    let over = stream::over(&app, &who);
    tokio::pin!(over);
    let mut looks = 0;
    loop {
        let entries = app.list(move |app| Ok(app.engine().reader().journal(run, next, PAGE)?)).await;
        let Ok(entries) = entries else { return };
        for entry in &entries {
            next = entry.seq + 1;
            let body = runs::entry(entry);
            let kind = body["event"].as_str().unwrap_or("event").to_owned();
            let bytes = stream::event(&entry.seq.to_string(), &kind, &body);
            tokio::select! {
                sent = sender.send(bytes) => if sent.is_err() { return },
                () = &mut over => return,
            }
        }
        if entries.len() == PAGE as usize {
            continue;
        }
        let row = app.engine().reader().run(who.tenant, run);
        match row {
            Ok(Some(row)) if row.status.kind().is_terminal() && row.seq <= next => return,
            Ok(Some(row)) if row.seq > next => continue,
            Ok(Some(_)) => {}
            _ => return,
        }
        tokio::select! {
            () = &mut over => return,
            () = sender.closed() => return,
            () = wait_for(&mut events, run) => {}
            () = tokio::time::sleep(LOOK) => {
                looks += 1;
                if looks % LOOKS_PER_SIGN == 0 && sender.try_send(stream::alive()).is_err() && sender.is_closed() {
                    return;
                }
            }
        }
    }
}

/// Waits for an event of a run, or for having missed some.
async fn wait_for(events: &mut tokio::sync::broadcast::Receiver<kapelle::engine::Event>, run: RunId) {
    loop {
        match events.recv().await {
            Ok(event) if event.run != run => {}
            Ok(_) | Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}

/// The query of the stream of everything.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Live {
    cursor: Option<String>,
    #[expect(dead_code, reason = "redeemed at the door")]
    ticket: Option<String>,
}

fn listen(call: &Call) -> Result<Start, Problem> {
    let given: Live = call.query()?;
    let last = call.parts.headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let from = given.cursor.as_deref().or(last);
    Ok(call.app.hub.listen(call.app.engine(), from, call.app.now().0.cast_unsigned()))
}

/// `GET /api/v1/events`
pub async fn all(call: Call) -> Answer {
    let (sender, response) = stream::events(&call.app)?;
    let start = listen(&call)?;
    tokio::spawn(async move {
        let out = |epoch: u64, told: Option<&Entry>| {
            let anew = || stream::event("", "resync", &value!({ "event": "resync" }));
            let (sender, bytes) = (sender.clone(), told.map_or_else(anew, |entry| entry.sse(epoch)));
            async move { sender.send(bytes).await.is_ok() }
        };
        let alive = || {
            let sender = sender.clone();
            async move { sender.send(stream::alive()).await.is_ok() }
        };
        pump(&call.app, &call.who, start, out, alive).await;
    });
    Ok(response)
}

/// Sends what was missed and what comes, until the client leaves, the key is taken back, or the server ends. A client
/// that is too slow for the queue is told to look anew, which is what `out` does with no entry.
async fn pump<F, A, Fut, Alive>(app: &App, who: &Identity, start: Start, out: F, alive: A)
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
        () = stream::over(app, who) => {}
    }
}

/// `POST /api/v1/tickets`
pub async fn ticket(call: Call) -> Answer {
    let secret = auth::fresh().map_err(|error| Problem::internal(error.to_string()))?;
    call.app.auth.ticket(&call.who, &secret, call.app.now())?;
    json(StatusCode::CREATED, &api::Ticket { ticket: secret, expires_in_ms: TICKET_MS.unsigned_abs() })
}

/// `GET /api/v1/ws`
pub async fn socket(mut call: Call) -> Answer {
    let upgrade = WebSocketUpgrade::from_request_parts(&mut call.parts, &()).await;
    let upgrade = upgrade.map_err(|error| Problem::invalid(format!("this is for WebSockets: {error}")))?;
    let permit = stream::permit(&call.app)?;
    let start = listen(&call)?;
    let upgrade = upgrade.max_message_size(MESSAGE_MAX).max_frame_size(MESSAGE_MAX);
    Ok(upgrade.on_upgrade(move |socket| async move {
        talk(&call.app, &call.who, start, socket).await;
        drop(permit);
    }))
}

async fn talk(app: &App, who: &Identity, start: Start, mut socket: WebSocket) {
    let (sender, mut queue) = mpsc::channel::<Message>(64);
    let out = |epoch: u64, told: Option<&Entry>| {
        let anew = || Utf8Bytes::from_static("{\"event\":\"resync\"}");
        let (sender, message) = (sender.clone(), Message::Text(told.map_or_else(anew, |entry| entry.text(epoch))));
        async move { sender.send(message).await.is_ok() }
    };
    let alive = || {
        let sender = sender.clone();
        async move { sender.send(Message::Ping(Bytes::new())).await.is_ok() }
    };
    let pumped = pump(app, who, start, out, alive);
    tokio::pin!(pumped);
    loop {
        tokio::select! {
            () = &mut pumped => break,
            message = queue.recv() => match message {
                Some(message) => if socket.send(message).await.is_err() { return },
                None => break,
            },
            // Read so that pings are answered and an end is noticed; what a client says is of no interest.
            heard = socket.recv() => match heard {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
    let frame = CloseFrame { code: 1001, reason: "the key does not hold any more, or the server is stopping".into() };
    let _ = socket.send(Message::Close(Some(frame))).await;
}
