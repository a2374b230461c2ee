//! The stream of a run: its journal without gaps, and on request the text of its models, by offset.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use axum::extract::ws::{Message, Utf8Bytes};
use bytes::Bytes;
use kapelle_api::{LiveEvent, LiveKind};
use kapelle_app::{App, Identity, TextPlace as Place};
use kapelle_core::{RunId, TaskId};
use serde_json::Value;
use tokio::{sync::mpsc, time::Instant};

use crate::{site::Site, stream};

/// Entries read at a time.
const PAGE: u32 = 256;
/// Interval between checks of a stream for missed changes.
const LOOK: Duration = Duration::from_secs(1);
/// Checks between two keep-alive messages.
const LOOKS_PER_SIGN: u32 = 15;
/// Interval between two reads of texts. Text of one interval is one event, so that fast models do not flood clients.
const TEXT_EVERY: Duration = Duration::from_millis(40);
/// Texts whose read position fits into an event id. Further texts are sent from their beginning after an interruption.
const NAMED_MAX: usize = 16;

/// The position of a follower.
#[derive(Debug, Default)]
pub struct Standing {
    /// The number of the next entry of the journal.
    next: u64,
    texts: BTreeMap<TaskId, Place>,
}

impl Standing {
    /// Returns the position after an entry of the journal.
    pub fn behind(entry: Option<u64>) -> Standing {
        let next = entry.map_or(0, |seen| seen.saturating_add(1)).min(i64::MAX as u64);
        Standing { next, texts: BTreeMap::new() }
    }

    /// Parses the id of an event: the number of an entry, then the open texts with their read positions, as
    /// `12~task_7.1.1.345`.
    pub fn parse(id: &str) -> Option<Standing> {
        let mut words = id.split('~');
        let entry = match words.next()? {
            "" => None,
            number => Some(number.parse().ok()?),
        };
        let mut standing = Standing::behind(entry);
        for word in words.take(NAMED_MAX) {
            let mut fields = word.split('.');
            let task = fields.next()?.parse().ok()?;
            let mut number = || fields.next()?.parse::<u32>().ok();
            let (attempt, part, offset) = (number()?, number()?, number()?);
            if fields.next().is_some() {
                return None;
            }
            standing.texts.insert(task, Place { attempt, part, offset: offset as usize });
        }
        Some(standing)
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(seen) = self.next.checked_sub(1) {
            write!(f, "{seen}")?;
        }
        for (task, place) in self.texts.iter().rev().take(NAMED_MAX) {
            write!(f, "~{task}.{}.{}.{}", place.attempt, place.part, place.offset)?;
        }
        Ok(())
    }
}

/// The destination of events.
pub enum Out {
    /// Server-sent events.
    Sse(mpsc::Sender<Bytes>),
    /// A WebSocket.
    Socket(mpsc::Sender<Message>),
}

impl Out {
    async fn tell(&self, id: &str, mut body: Value) -> bool {
        match self {
            Out::Sse(sender) => {
                let kind = body["event"].as_str().unwrap_or("event").to_owned();
                sender.send(stream::event(id, &kind, &body)).await.is_ok()
            }
            Out::Socket(sender) => {
                body["cursor"] = Value::from(id);
                sender.send(Message::Text(Utf8Bytes::from(body.to_string()))).await.is_ok()
            }
        }
    }

    /// Sends a keep-alive message. Returns whether the client is still connected. A client with unread events needs no
    /// message.
    fn alive(&self) -> bool {
        match self {
            Out::Sse(sender) => sender.try_send(stream::alive()).is_ok() || !sender.is_closed(),
            Out::Socket(sender) => sender.try_send(Message::Ping(Bytes::new())).is_ok() || !sender.is_closed(),
        }
    }

    async fn closed(&self) {
        match self {
            Out::Sse(sender) => sender.closed().await,
            Out::Socket(sender) => sender.closed().await,
        }
    }
}

/// One follower of one run.
struct Follower {
    app: Arc<App>,
    who: Arc<Identity>,
    run: RunId,
    standing: Standing,
    /// Texts that were read to their end, or had ended before anybody followed. `None` before the first look.
    through: Option<HashSet<(TaskId, u32)>>,
    out: Out,
}

/// Sends the journal of a run as it grows, and with `texts` the output of its models, until the run has ended, the
/// client has left, or its key is revoked or expired.
pub async fn follow(site: Arc<Site>, who: Arc<Identity>, run: RunId, (standing, texts): (Standing, bool), out: Out) {
    let over = stream::over(&site, &who);
    let (app, follower_who) = (Arc::clone(&site.app), Arc::clone(&who));
    let mut follower = Follower { app, who: follower_who, run, standing, through: None, out };
    if texts {
        let ended = follower.app.live_output().of_run(run).into_iter().filter(|text| text.has_ended());
        let unread = ended.filter(|text| !follower.standing.texts.contains_key(&text.task));
        follower.through = Some(unread.map(|text| (text.task, text.attempt)).collect());
    }
    tokio::select! {
        () = follower.work() => {}
        () = over => {}
    }
}

impl Follower {
    async fn work(&mut self) {
        let mut events = self.app.watch_runs();
        // While somebody watches, calls from outside of this process are asked as streams, too.
        let mut changes = self.through.is_some().then(|| self.app.live_output().watch());
        let (run, mut looks) = (self.run, 0);
        loop {
            let next = self.standing.next;
            let tenant = self.who.tenant;
            let journal = move |app: &App| app.entries(tenant, run, next, PAGE);
            let entries = self.app.list_for(tenant, journal).await;
            let Ok(entries) = entries else { return };
            // Text is sent before the end of its step.
            if !self.tell_texts().await {
                return;
            }
            for entry in &entries {
                self.standing.next = entry.seq + 1;
                let id = self.standing.to_string();
                let body = serde_json::to_value(entry).unwrap_or_default();
                if !self.out.tell(&id, serde_json::to_value(body).unwrap_or_default()).await {
                    return;
                }
            }
            if entries.len() == PAGE as usize {
                continue;
            }
            match self.app.run_end(tenant, run) {
                Ok(Some((true, seq))) if seq <= self.standing.next => return,
                Ok(Some((_, seq))) if seq > self.standing.next => continue,
                Ok(Some(_)) => {}
                _ => return,
            }
            let woken = Instant::now() + LOOK;
            loop {
                let look = Instant::now() + TEXT_EVERY;
                let changed = async {
                    let Some(changes) = &mut changes else { return std::future::pending::<()>().await };
                    tokio::time::sleep_until(look).await;
                    // The sender lives in the engine.
                    let _ = changes.changed().await;
                };
                tokio::select! {
                    () = self.out.closed() => return,
                    () = events.of(run) => break,
                    () = changed => {
                        if !self.tell_texts().await {
                            return;
                        }
                    }
                    () = tokio::time::sleep_until(woken) => {
                        looks += 1;
                        if looks % LOOKS_PER_SIGN == 0 && !self.out.alive() {
                            return;
                        }
                        break;
                    }
                }
            }
        }
    }

    /// Sends the text since the last call.
    async fn tell_texts(&mut self) -> bool {
        let Some(through) = &mut self.through else { return true };
        let mut told = Vec::new();
        for text in self.app.live_output().of_run(self.run) {
            if through.contains(&(text.task, text.attempt)) {
                continue;
            }
            // Read before the text, so that text before the end is not missed.
            let ended = text.has_ended();
            let known = self.standing.texts.get(&text.task).copied();
            if let Some(piece) = text.since(known) {
                self.standing.texts.insert(text.task, piece.next());
                let Place { attempt, part, offset } = piece.place;
                told.push(LiveEvent {
                    task: Some(text.task.to_string()),
                    step: text.step.as_deref().map(str::to_owned),
                    attempt: Some(attempt),
                    part: Some(part),
                    offset: Some(offset),
                    text: Some(piece.text),
                    ..LiveEvent::of(LiveKind::Text)
                });
            }
            if ended {
                through.insert((text.task, text.attempt));
            }
        }
        for body in told {
            let id = self.standing.to_string();
            if !self.out.tell(&id, serde_json::to_value(body).unwrap_or_default()).await {
                return false;
            }
        }
        let through = self.through.iter().flatten();
        for (task, attempt) in through {
            if self.standing.texts.get(task).is_some_and(|place| place.attempt == *attempt) {
                self.standing.texts.remove(task);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_where_one_was_and_nothing_else_is_one() {
        for id in ["", "0", "12", "12~task_7.1.2.345", "~task_9.2.1.0~task_7.1.2.345"] {
            assert_eq!(Standing::parse(id).unwrap().to_string(), id);
        }
        for id in [
            "x",
            "-1",
            "1~",
            "1~task_7",
            "1~task_7.1.1",
            "1~task_7.1.1.1.1",
            "1~run_7.1.1.1",
            "1~task_7.1.1.x",
            "1~task_7.1.1.-5",
        ] {
            assert!(Standing::parse(id).is_none(), "{id}");
        }
        let many: String = (1..100).map(|task| format!("~task_{task}.1.1.1")).collect();
        assert_eq!(Standing::parse(&many).unwrap().texts.len(), NAMED_MAX);
    }
}
