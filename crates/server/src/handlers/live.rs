//! The socket of the console: one for a tab, with topics to subscribe to.

use std::{collections::BTreeMap, sync::Arc};

use axum::extract::{
    FromRequestParts,
    ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade},
};
use bytes::Bytes;
use kapelle_api::{self as api, LiveFrame, LiveRequest, RefusedTopic};
use kapelle_app::{Identity, LiveFeed, describe_line};
use kapelle_scripts::log::Line;
use serde::Deserialize;
use tokio::{
    sync::broadcast::{Receiver, error::TryRecvError},
    time::{Duration, Interval, MissedTickBehavior, interval},
};

use crate::{
    call::{Call, ok},
    problem::Problem,
    route::Answer,
    site::Site,
    stream,
};

/// The longest message of a client, in bytes.
const MESSAGE_MAX: usize = 16 * 1024;
/// Interval between looks at the logs.
const LOGS_EVERY: Duration = Duration::from_millis(100);
/// Interval between keep-alive messages.
const SIGN: Duration = Duration::from_secs(15);
/// Logs that one client follows.
const LOGS: usize = 16;
/// Lines of one message.
const LINES: usize = 500;

/// The query of the socket.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    #[expect(dead_code, reason = "redeemed at the door")]
    ticket: Option<String>,
}

/// `GET /api/v1/live`
pub async fn socket(mut call: Call) -> Answer {
    let upgrade = WebSocketUpgrade::from_request_parts(&mut call.parts, &()).await;
    let upgrade = upgrade.map_err(|error| Problem::invalid(format!("this is for WebSockets: {error}")))?;
    let Query { .. } = call.query()?;
    let feed = call.app.live_feed(&call.who)?;
    let permit = stream::permit(&call.site, &call.who)?;
    let upgrade = upgrade.max_message_size(MESSAGE_MAX).max_frame_size(MESSAGE_MAX);
    Ok(upgrade.on_upgrade(move |mut socket| async move {
        let end = talk(&call.site, &call.who, feed, &mut socket).await;
        if let Some((code, reason)) = end {
            let _ = socket.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
        }
        drop(permit);
    }))
}

/// `GET /api/v1/counts`
pub async fn counts(call: Call) -> Answer {
    ok(&*call.app.counts(&call.who).await?)
}

/// `GET /api/v1/series`
pub async fn series(call: Call) -> Answer {
    ok(&call.app.series(&call.who, call.query()?).await?)
}

/// `GET /api/v1/system`
pub async fn system(call: Call) -> Answer {
    ok(&call.app.system(&call.who).await?)
}

/// Serves a client until it leaves, its key ends, or the server stops. Returns the code and the reason of a close.
async fn talk(
    site: &Arc<Site>,
    who: &Arc<Identity>,
    mut feed: LiveFeed,
    socket: &mut WebSocket,
) -> Option<(u16, &'static str)> {
    let mut logs = Logs::new(site, who);
    let mut sign = interval(SIGN);
    let mut draining = site.app.draining();
    let gone = stream::gone(site, who);
    let stopping = async {
        let _ = draining.wait_for(|draining| *draining).await;
    };
    tokio::pin!(gone, stopping);
    loop {
        // Nothing is sent while others are waited for: a client that does not read only holds up itself.
        let next = tokio::select! {
            () = &mut gone => Next::End(1008, "the key was revoked or has expired"),
            () = &mut stopping => Next::End(1001, "the server is stopping"),
            frames = feed.frames() => Next::Frames(frames),
            frames = logs.frames() => Next::Frames(frames),
            _ = sign.tick() => Next::Sign,
            heard = socket.recv() => match heard {
                Some(Ok(Message::Text(text))) => Next::Heard(text),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => continue,
            },
        };
        let frames = match next {
            Next::End(code, reason) => return Some((code, reason)),
            Next::Frames(frames) => frames,
            Next::Heard(text) => match serde_json::from_str::<LiveRequest>(&text) {
                Ok(request) => vec![answer(&mut feed, &mut logs, request)],
                Err(error) => return close_for(socket, &error).await,
            },
            Next::Sign => {
                if socket.send(Message::Ping(Bytes::new())).await.is_err() {
                    return None;
                }
                continue;
            }
        };
        for frame in &frames {
            let text = serde_json::to_string(frame).unwrap_or_default();
            if socket.send(Message::Text(Utf8Bytes::from(text))).await.is_err() {
                return None;
            }
        }
    }
}

/// Next act of a socket.
enum Next {
    /// Close, with a code and a reason.
    End(u16, &'static str),
    Frames(Vec<LiveFrame>),
    Heard(Utf8Bytes),
    Sign,
}

/// Tells what was wrong with a message, before the close.
async fn close_for(socket: &mut WebSocket, error: &serde_json::Error) -> Option<(u16, &'static str)> {
    let detail = format!("message: {error}; expected an object with `subscribe`, `unsubscribe` and `cursor`");
    let refused = vec![RefusedTopic { topic: String::new(), detail }];
    let frame = LiveFrame { refused, ..LiveFrame::default() };
    let _ = socket.send(Message::Text(Utf8Bytes::from(serde_json::to_string(&frame).unwrap_or_default()))).await;
    Some((1007, "the message is not a request"))
}

/// Takes a message: logs are followed here, everything else by the feed.
fn answer(feed: &mut LiveFeed, logs: &mut Logs, mut request: LiveRequest) -> LiveFrame {
    let refused = logs.hear(&mut request);
    let mut frame = feed.hear(&request, logs.topics());
    frame.refused.extend(refused);
    frame
}

/// Logs of scripts that a client follows.
struct Logs {
    site: Arc<Site>,
    who: Arc<Identity>,
    followed: BTreeMap<String, Receiver<Arc<Line>>>,
    /// Lines that were there when a log was followed.
    first: Vec<LiveFrame>,
    tick: Interval,
}

fn topic(id: &str) -> String {
    format!("logs:{id}")
}

impl Logs {
    fn new(site: &Arc<Site>, who: &Arc<Identity>) -> Logs {
        let mut tick = interval(LOGS_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Logs { site: Arc::clone(site), who: Arc::clone(who), followed: BTreeMap::new(), first: Vec::new(), tick }
    }

    fn topics(&self) -> Vec<String> {
        self.followed.keys().map(|id| topic(id)).collect()
    }

    /// Takes the topics of logs out of a message. Returns those that cannot be followed.
    fn hear(&mut self, request: &mut LiveRequest) -> Vec<RefusedTopic> {
        request.unsubscribe.retain(|text| match text.strip_prefix("logs:") {
            Some(id) => {
                self.followed.remove(id);
                false
            }
            None => true,
        });
        let mut refused = Vec::new();
        let (logs, rest) =
            std::mem::take(&mut request.subscribe).into_iter().partition(|text| text.starts_with("logs:"));
        request.subscribe = rest;
        let logs: Vec<String> = logs;
        for text in logs {
            let id = text.trim_start_matches("logs:").to_owned();
            if let Err(detail) = self.follow(id) {
                refused.push(RefusedTopic { topic: text.chars().take(100).collect(), detail });
            }
        }
        refused
    }

    fn follow(&mut self, id: String) -> Result<(), String> {
        if self.followed.contains_key(&id) {
            return Ok(());
        }
        if self.followed.len() >= LOGS {
            return Err(format!("{LOGS} logs are followed already; expected fewer; unsubscribe from one"));
        }
        let found = self.site.app.script_logs(&self.who, &id, None);
        let (found, coming) = found.map_err(|error| error.to_string())?;
        self.first.push(LiveFrame { topic: topic(&id), lines: found.lines, ..LiveFrame::default() });
        self.followed.insert(id, coming);
        Ok(())
    }

    /// Waits for lines.
    async fn frames(&mut self) -> Vec<LiveFrame> {
        loop {
            if self.followed.is_empty() && self.first.is_empty() {
                std::future::pending::<()>().await;
            }
            self.tick.tick().await;
            let mut frames = std::mem::take(&mut self.first);
            for (id, coming) in &mut self.followed {
                let (lines, missed) = read(coming);
                if !lines.is_empty() || missed.is_some() {
                    frames.push(LiveFrame { topic: topic(id), lines, missed, ..LiveFrame::default() });
                }
            }
            if !frames.is_empty() {
                return frames;
            }
        }
    }
}

fn read(coming: &mut Receiver<Arc<Line>>) -> (Vec<api::LogLine>, Option<u64>) {
    let (mut lines, mut missed) = (Vec::new(), None);
    while lines.len() < LINES {
        match coming.try_recv() {
            Ok(line) => lines.push(describe_line(&line)),
            Err(TryRecvError::Lagged(count)) => missed = Some(missed.unwrap_or(0) + count),
            Err(TryRecvError::Empty | TryRecvError::Closed) => break,
        }
    }
    (lines, missed)
}
