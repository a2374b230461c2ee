//! Long polls of worker hosts: each poll is parked here until a task it could claim is ready.

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
    /// Flag that is raised when the host's key is revoked.
    pub(crate) revoked: Arc<AtomicBool>,
    pub(crate) answer: oneshot::Sender<Result<Reply, EngineError>>,
    /// Round in which it last found no work.
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

/// Parked polls.
#[derive(Debug, Default)]
pub(crate) struct LongPolls {
    waiting: VecDeque<Poll>,
    woken: Vec<Poll>,
    /// Releases of tasks whose poll was gone when it was answered.
    returned: Vec<Command>,
    /// Number that every turn raises that may have made a task ready, so that no poll searches one state twice.
    round: u64,
}

impl LongPolls {
    /// Parks a poll that found no work.
    pub(crate) fn park(&mut self, mut poll: Poll) {
        self.waiting.retain(|other| !other.answer.is_closed());
        if !poll.answer.is_closed() {
            poll.looked = self.round;
            self.waiting.push_back(poll);
        }
    }

    /// Records a turn that may have made tasks ready.
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

    /// Releases of tasks, for the next turn.
    pub(crate) fn returned(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.returned)
    }

    /// Whether polls are to be served, or tasks released, in the next turn.
    pub(crate) fn is_awake(&self) -> bool {
        !self.woken.is_empty() || !self.returned.is_empty()
    }

    /// Returns the polls that are to be answered in the next turn.
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
    /// Waits for the answer within that time. Returns `None` after it.
    pub(crate) async fn within(&mut self, wait: std::time::Duration) -> Result<Vec<ClaimedTask>, EngineError> {
        match tokio::time::timeout(wait, &mut self.answer).await {
            Ok(Ok(reply)) => claimed(reply),
            Ok(Err(_)) => Err(EngineError::Stopped),
            Err(_) => self.last_look().map_or(Ok(Vec::new()), claimed),
        }
    }

    /// Takes an answer that came at the last moment.
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
