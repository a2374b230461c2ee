//! Worker hosts that wait for work: each poll is kept here until a task it could take is ready.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use kapelle_core::task::Report;
use tokio::sync::oneshot;

use crate::{
    error::EngineError,
    runner::Inbox,
    turn::{ClaimFilter, ClaimedTask, Command, LoopState, Reply, Reported, command},
};

/// A poll of a worker host.
#[derive(Debug)]
pub(crate) struct Poll {
    pub(crate) host: u32,
    pub(crate) wanted: ClaimFilter,
    pub(crate) most: u32,
    /// Raised when the host's key was revoked.
    pub(crate) revoked: Arc<AtomicBool>,
    pub(crate) answer: oneshot::Sender<Result<Reply, EngineError>>,
    /// The round in which it last looked for work and found none.
    pub(crate) looked: u64,
}

impl Poll {
    pub(crate) fn command(&self) -> Command {
        let mut wanted = self.wanted.clone();
        if self.revoked.load(Ordering::Acquire) {
            wanted.workers = Arc::from([]);
        }
        command::Claim { host: self.host, wanted, most: self.most }.into()
    }
}

/// The polls that wait.
#[derive(Debug, Default)]
pub(crate) struct LongPolls {
    waiting: VecDeque<Poll>,
    woken: Vec<Poll>,
    /// What releases tasks whose poll was gone when it was to be answered.
    returned: Vec<Command>,
    /// Raised by every turn that may have made something ready, so that no poll looks twice at the same state.
    round: u64,
}

impl LongPolls {
    /// A poll found nothing: it waits.
    pub(crate) fn park(&mut self, mut poll: Poll) {
        self.waiting.retain(|other| !other.answer.is_closed());
        if !poll.answer.is_closed() {
            poll.looked = self.round;
            self.waiting.push_back(poll);
        }
    }

    /// A turn is over that may have made tasks ready.
    pub(crate) fn stirred(&mut self) {
        self.round += 1;
    }

    /// Wakes as many polls as there is work for, those that waited longest first.
    pub(crate) fn wake(&mut self, state: &LoopState) {
        if self.waiting.is_empty() {
            return;
        }
        let mut taken = HashMap::new();
        let mut still = VecDeque::with_capacity(self.waiting.len());
        for poll in self.waiting.drain(..) {
            if poll.answer.is_closed() {
                continue;
            }
            if poll.looked < self.round && state.on_offer(&poll.wanted, poll.most, &mut taken) > 0 {
                self.woken.push(poll);
            } else {
                still.push_back(poll);
            }
        }
        self.waiting = still;
    }

    /// The host of these tasks left while they were claimed for it. The next turn releases them, however much else there
    /// is to do: under steady traffic a moment of rest may be long in coming, and until then they belong to nobody.
    pub(crate) fn give_back(&mut self, tasks: &[ClaimedTask]) {
        self.returned.extend(undelivered(tasks).map(Command::from));
    }

    /// What releases tasks, for the next turn.
    pub(crate) fn returned(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.returned)
    }

    /// Whether polls are to be served, or tasks released, in the next turn.
    pub(crate) fn is_awake(&self) -> bool {
        !self.woken.is_empty() || !self.returned.is_empty()
    }

    /// The polls that are to be served in the next turn.
    pub(crate) fn woken(&mut self) -> Vec<Poll> {
        std::mem::take(&mut self.woken)
    }
}

/// The commands that release tasks which their host will never hear of.
pub(crate) fn undelivered(tasks: &[ClaimedTask]) -> impl Iterator<Item = command::Report> + '_ {
    tasks.iter().map(|task| command::Report {
        tenant: task.tenant,
        report: Report { task: task.id, epoch: task.lease.epoch, nonce: task.lease.nonce },
        reported: Reported::Release,
    })
}

/// The other end of a poll. Dropped before its answer was taken, it releases what was claimed.
pub(crate) struct Awaited {
    pub(crate) inbox: Inbox,
    pub(crate) answer: oneshot::Receiver<Result<Reply, EngineError>>,
}

impl Awaited {
    /// What came within that time; none when nothing did.
    pub(crate) async fn within(&mut self, wait: std::time::Duration) -> Result<Vec<ClaimedTask>, EngineError> {
        match tokio::time::timeout(wait, &mut self.answer).await {
            Ok(Ok(reply)) => claimed(reply),
            Ok(Err(_)) => Err(EngineError::Stopped),
            Err(_) => self.last_look().map_or(Ok(Vec::new()), claimed),
        }
    }

    /// An answer that came at the last moment.
    fn last_look(&mut self) -> Option<Result<Reply, EngineError>> {
        self.answer.close();
        self.answer.try_recv().ok()
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        if let Some(Ok(Reply::Claim(tasks))) = self.last_look() {
            undelivered(&tasks).for_each(|command| self.inbox.send(command));
        }
    }
}

fn claimed(reply: Result<Reply, EngineError>) -> Result<Vec<ClaimedTask>, EngineError> {
    match reply? {
        Reply::Claim(tasks) => Ok(tasks),
        _ => Err(EngineError::Stopped),
    }
}
