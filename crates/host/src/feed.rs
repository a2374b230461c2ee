//! The tasks that the server pushes to a host, as far as its free slots go.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kapelle_api::{self as api, Client, ClientError, LineSender, LineStream, NotOpened};
use tokio::{
    sync::{Notify, oneshot, watch},
    time::timeout,
};

/// Time in which the first line of a stream must come. A proxy that collects answers lets none through.
const FIRST: Duration = Duration::from_secs(5);
/// Time without data after which a stream counts as cut. The server sends a sign of life at least every 10 seconds.
const SILENCE: Duration = Duration::from_secs(30);
/// Bytes of a line up the stream. A longer frame is a request of its own.
const LINE_MAX: usize = 64 * 1024;
/// Statuses of a server, or of a proxy, that knows no streams, or has too many of them.
const UNKNOWN: [u16; 4] = [404, 405, 429, 501];

/// A transport of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// One connection in both directions.
    Duplex,
    /// A stream down, and a request for each frame up.
    Stream,
    /// Requests that wait for tasks.
    Poll,
}

/// The reason why a stream cannot be used.
#[derive(Debug)]
pub(crate) enum Unheard {
    /// The server, or something on the way to it, offers no such stream. `late` says that the first line did not come in
    /// time, of which a busy server may be the cause.
    NoStream { late: bool, why: String },
    /// The server does not know the host any more.
    Gone,
    /// It was refused for another reason, or the server is not reached.
    Client(ClientError),
}

/// A way for reports and credit to the server.
pub(crate) enum Sent {
    /// Sent up the stream, which answers later.
    Line(oneshot::Receiver<Result<api::FrameAnswer, ClientError>>),
    /// To be sent by a request, with the credit of that stream.
    Frame { stream: String, credit: u64 },
    /// To be sent by a request, without a stream.
    Report,
}

/// The slots of a host, and the stream on which the server learns of free ones.
pub(crate) struct Feed {
    state: Mutex<State>,
    free: watch::Sender<u32>,
    woken: Notify,
}

#[derive(Default)]
struct State {
    /// Number of tasks that the server may have pushed since the stream was opened. It begins with the free slots and
    /// rises by one for each slot that becomes free.
    credit: u64,
    /// The credit that the server knows.
    told: u64,
    open: Option<Open>,
    /// The host of the last stream that began.
    known: String,
}

/// A stream whose first line has come.
struct Open {
    id: String,
    up: Option<LineSender>,
    frames: HashMap<u64, oneshot::Sender<Result<api::FrameAnswer, ClientError>>>,
    number: u64,
}

/// An open stream, as its host hears it. Dropped, it is closed.
pub(crate) struct Hearing<'a> {
    feed: &'a Feed,
    client: &'a Client,
    lines: LineStream,
}

impl Hearing<'_> {
    /// Returns the next tasks, and the lease tokens of attempts that must stop; `None` once the stream has ended or is
    /// cut. Hands over answers to frames meanwhile.
    pub(crate) async fn next(&mut self) -> Option<(Vec<api::ClaimedTask>, Vec<String>)> {
        loop {
            let line = timeout(SILENCE, self.lines.next::<api::HostLine>()).await.ok()?.ok()??;
            if let Some(n) = line.n {
                self.feed.answered(self.client, n, line.answer, line.error);
            } else if line.end.is_some() {
                return None;
            } else if !line.tasks.is_empty() || !line.cancel.is_empty() {
                return Some((line.tasks, line.cancel));
            }
        }
    }
}

impl Drop for Hearing<'_> {
    fn drop(&mut self) {
        self.feed.close();
    }
}

/// A slot that works on a task. Dropped, it is free again.
pub(crate) struct Slot(Arc<Feed>);

impl Drop for Slot {
    fn drop(&mut self) {
        // Under the lock, so that a stream that is opened meanwhile counts the slot once.
        let mut state = self.0.lock();
        state.credit += 1;
        self.0.free.send_modify(|free| *free += 1);
    }
}

impl Feed {
    pub(crate) fn new(slots: u32) -> Feed {
        Feed { state: Mutex::default(), free: watch::channel(slots).0, woken: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of free slots.
    pub(crate) fn free(&self) -> u32 {
        *self.free.borrow()
    }

    /// Waits until that number of slots is free.
    pub(crate) async fn until_free(&self, least: u32) {
        // The feed holds the sender, so that the wait ends only with the number.
        let _ = self.free.subscribe().wait_for(|free| *free >= least).await;
    }

    /// Takes a slot for a task. Returns `None` when all work, which a server respects.
    pub(crate) fn slot(self: &Arc<Feed>) -> Option<Slot> {
        let taken = self.free.send_if_modified(|free| {
            let some = *free > 0;
            *free = free.saturating_sub(1);
            some
        });
        taken.then(|| Slot(Arc::clone(self)))
    }

    /// Says whether the server knows of fewer free slots than there are.
    pub(crate) fn is_behind(&self) -> bool {
        let state = self.lock();
        state.open.is_some() && state.credit > state.told
    }

    /// Wakes the reporter, so that the server learns of free slots without a report.
    pub(crate) fn wake(&self) {
        self.woken.notify_one();
    }

    /// Waits for [`Feed::wake`].
    pub(crate) async fn woken(&self) {
        self.woken.notified().await;
    }

    /// Sends reports with the credit up the stream, if there is one and they are not too long for it.
    pub(crate) fn send(&self, reports: &mut Vec<api::Report>) -> Sent {
        let mut state = self.lock();
        let credit = state.credit;
        let Some(open) = &mut state.open else { return Sent::Report };
        if let Some(up) = &open.up {
            open.number += 1;
            let mut line = api::FrameLine { n: open.number, credit: Some(credit), ..api::FrameLine::default() };
            std::mem::swap(&mut line.reports, reports);
            let written = serde_json::to_vec(&line);
            *reports = line.reports;
            if let Some(written) = written.ok().filter(|written| written.len() <= LINE_MAX)
                && up.send_bytes(written).is_ok()
            {
                let (answer, answered) = oneshot::channel();
                open.frames.insert(line.n, answer);
                state.told = credit;
                return Sent::Line(answered);
            }
        }
        Sent::Frame { stream: open.id.clone(), credit }
    }

    /// Notes that the server has a request with that credit.
    pub(crate) fn told(&self, stream: &str, credit: u64) {
        let mut state = self.lock();
        if state.open.as_ref().is_some_and(|open| open.id == stream) {
            state.told = state.told.max(credit);
        }
    }

    /// Forgets the stream. Its frames without an answer fail.
    fn close(&self) {
        self.lock().open = None;
    }

    /// Opens a stream, in place of an earlier one.
    ///
    /// # Errors
    /// When it does not begin.
    pub(crate) async fn open<'a>(&'a self, way: Way, client: &'a Client, host: &str) -> Result<Hearing<'a>, Unheard> {
        let open = {
            let mut state = self.lock();
            state.open = None;
            state.credit = u64::from(self.free());
            state.told = state.credit;
            api::OpenHostStream { credit: state.credit }
        };
        let late = |_| Unheard::NoStream { late: true, why: format!("no line of a stream came within {FIRST:?}") };
        let begun = timeout(FIRST, begin(way, client, host, &open)).await.map_err(late)?;
        let (lines, up, first) = begun.map_err(|refused| self.refused(host, refused))?;
        let mut state = self.lock();
        state.open = Some(Open { id: first.stream.unwrap_or_default(), up, frames: HashMap::new(), number: 0 });
        host.clone_into(&mut state.known);
        drop(state);
        // Slots may have become free since the credit was counted.
        self.wake();
        Ok(Hearing { feed: self, client, lines })
    }

    /// Judges the refusal of a stream.
    fn refused(&self, host: &str, refused: NotOpened) -> Unheard {
        let status = refused.status.unwrap_or_default();
        // A host that had a stream is unknown to a restarted server. One that never had may ask for something unknown.
        if status == 404 && self.lock().known == host {
            return Unheard::Gone;
        }
        if UNKNOWN.contains(&status) {
            return Unheard::NoStream { late: false, why: format!("a stream was answered with status {status}") };
        }
        Unheard::Client(refused.error)
    }

    /// Hands over the answer to a frame.
    fn answered(
        &self,
        client: &Client,
        n: u64,
        answer: Option<Box<api::FrameAnswer>>,
        error: Option<Box<api::Problem>>,
    ) {
        let Some(waiting) = self.lock().open.as_mut().and_then(|open| open.frames.remove(&n)) else { return };
        let _ = waiting.send(match (answer, error) {
            (Some(answer), _) => Ok(*answer),
            (None, Some(problem)) => Err(ClientError::Refused(problem)),
            (None, None) => Err(cut(client)),
        });
    }
}

/// Opens a stream, and returns it with its first line.
async fn begin(
    way: Way,
    client: &Client,
    host: &str,
    open: &api::OpenHostStream,
) -> Result<(LineStream, Option<LineSender>, api::HostLine), NotOpened> {
    let (mut lines, up) = match way {
        Way::Duplex => {
            let (lines, up) = client.duplex(&format!("/api/v1/hosts/{host}/duplex"), open).await?;
            (lines, Some(up))
        }
        Way::Stream | Way::Poll => (client.lines(&format!("/api/v1/hosts/{host}/stream"), open).await?, None),
    };
    match lines.next().await {
        Ok(Some(first)) => Ok((lines, up, first)),
        Ok(None) => Err(NotOpened { status: None, error: cut(client) }),
        Err(error) => Err(NotOpened { status: None, error }),
    }
}

/// The error of a frame whose stream was cut before its answer.
pub(crate) fn cut(client: &Client) -> ClientError {
    ClientError::Unreachable { address: client.base().to_owned(), message: "the stream was cut".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(feed: &Feed, up: Option<LineSender>) {
        feed.lock().open = Some(Open { id: "s_1".to_owned(), up, frames: HashMap::new(), number: 0 });
    }

    #[test]
    fn a_slot_that_becomes_free_raises_the_credit_once() {
        let feed = Arc::new(Feed::new(1));
        let slot = feed.slot().unwrap();
        assert!(feed.slot().is_none());
        open(&feed, None);
        assert!(!feed.is_behind());
        drop(slot);
        assert_eq!((feed.free(), feed.is_behind()), (1, true));
        let Sent::Frame { stream, credit } = feed.send(&mut Vec::new()) else { panic!("no frame") };
        assert_eq!((stream.as_str(), credit), ("s_1", 1));
        assert!(feed.is_behind(), "a request that may fail tells nothing yet");
        feed.told("s_other", 1);
        assert!(feed.is_behind());
        feed.told(&stream, credit);
        assert!(!feed.is_behind());
        feed.close();
        assert!(matches!(feed.send(&mut Vec::new()), Sent::Report));
    }

    #[test]
    fn only_a_host_that_had_a_stream_is_gone_when_there_is_none() {
        let feed = Feed::new(1);
        let refused = |status| NotOpened {
            status: Some(status),
            error: ClientError::Unreachable { address: String::new(), message: String::new() },
        };
        assert!(matches!(feed.refused("host_1", refused(404)), Unheard::NoStream { late: false, .. }));
        feed.lock().known = "host_1".to_owned();
        assert!(matches!(feed.refused("host_1", refused(404)), Unheard::Gone));
        assert!(matches!(feed.refused("host_1", refused(501)), Unheard::NoStream { .. }));
        assert!(matches!(feed.refused("host_1", refused(503)), Unheard::Client(_)));
    }
}
