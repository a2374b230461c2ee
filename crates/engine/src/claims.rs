//! Claims of worker hosts, and reports that come together.

use std::sync::{Arc, atomic::AtomicBool};

use tokio::sync::{mpsc, oneshot};

use crate::{
    credit::{Credit, TaskStream},
    engine::Engine,
    error::EngineError,
    long_poll::{Awaited, Outlet, Poll},
    runner::{Answer, Message},
    turn::{Ask, ClaimFilter, ClaimedTask, Reply, command},
};

/// The reply to a command, when it has come.
type Replied = oneshot::Receiver<Result<Reply, EngineError>>;

impl Engine {
    /// Gives tasks to a worker host, as soon as there are some. Dropped, it releases what was claimed meanwhile. Once
    /// `revoked` is set, the host is given nothing any more.
    ///
    /// # Errors
    /// When the store fails or the engine stops.
    pub async fn claim(
        &self,
        host: u32,
        wanted: ClaimFilter,
        most: u32,
        wait: std::time::Duration,
        revoked: Arc<AtomicBool>,
    ) -> Result<Vec<ClaimedTask>, EngineError> {
        let (sender, answer) = oneshot::channel();
        let mut awaited = Awaited { inbox: self.inbox().clone(), answer };
        let outlet = Outlet::Once { most, answer: sender };
        self.post(Message::Poll(Box::new(Poll { host, wanted, revoked, outlet, looked: 0, late: false })))?;
        awaited.within(wait).await
    }

    /// Gives tasks to a worker host as they become ready, as far as its credit goes. Dropping the stream releases what
    /// was not taken out of it. Once `revoked` is set, the host is given nothing any more.
    ///
    /// # Errors
    /// When the engine has stopped.
    pub fn claim_stream(
        &self,
        host: u32,
        wanted: ClaimFilter,
        credit: Arc<Credit>,
        revoked: Arc<AtomicBool>,
    ) -> Result<TaskStream, EngineError> {
        let (sender, tasks) = mpsc::unbounded_channel();
        let outlet = Outlet::Stream { credit, tasks: sender };
        self.post(Message::Poll(Box::new(Poll { host, wanted, revoked, outlet, looked: 0, late: false })))?;
        Ok(TaskStream { inbox: self.inbox().clone(), tasks })
    }

    /// Sends reports to the loop together, so that they share a turn, and waits for their replies. With `raised` the
    /// credit of their host has risen, and the same turn gives it further tasks.
    pub async fn report_all(&self, reports: Vec<command::Report>, raised: bool) -> Vec<Result<(), EngineError>> {
        let (commands, replies): (Vec<_>, Vec<Replied>) = reports
            .into_iter()
            .map(|report| {
                let (sender, receiver) = oneshot::channel();
                ((report.into(), Answer::Reply(sender)), receiver)
            })
            .unzip();
        if commands.is_empty() && !raised {
            return Vec::new();
        }
        let looks = commands.is_empty();
        let sent = self.post(if looks { Message::Look } else { Message::Many(commands) });
        let mut results = Vec::with_capacity(replies.len());
        for reply in replies {
            let reply = match &sent {
                Ok(()) => reply.await.unwrap_or(Err(EngineError::Stopped)),
                Err(error) => Err(error.clone()),
            };
            results.push(reply.and_then(|reply| command::Report::reply(reply).ok_or(EngineError::Stopped)));
        }
        results
    }
}
