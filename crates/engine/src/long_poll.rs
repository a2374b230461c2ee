//! Claims of worker hosts that wait: each is parked here until a task that it could take is ready. A long poll gets one
//! answer; a stream stays, and gets tasks as far as its credit goes.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use kapelle_core::task::Report;
use tokio::sync::{mpsc, oneshot};

use crate::{
    credit::Credit,
    error::EngineError,
    runner::Inbox,
    turn::{ClaimFilter, ClaimedTask, Command, LoopState, Reply, Reported, command},
};

/// Limit of parked claims that are decided at the end of a turn. Others wait for the turn after it.
const LATE_MAX: usize = 64;

/// A waiting claim of a worker host.
#[derive(Debug)]
pub(crate) struct Poll {
    pub(crate) host: u32,
    pub(crate) wanted: ClaimFilter,
    /// Flag that is raised when the host's key is revoked.
    pub(crate) revoked: Arc<AtomicBool>,
    pub(crate) outlet: Outlet,
    /// Round in which it last found no work.
    pub(crate) looked: u64,
    /// Whether it is decided at the end of its turn.
    pub(crate) late: bool,
}

/// Receiver of the tasks of a waiting claim.
#[derive(Debug)]
pub(crate) enum Outlet {
    /// Gets one answer.
    Once { most: u32, answer: oneshot::Sender<Result<Reply, EngineError>> },
    /// Gets tasks as they come.
    Stream { credit: Arc<Credit>, tasks: mpsc::UnboundedSender<Vec<ClaimedTask>> },
}

impl Poll {
    pub(crate) fn command(&self) -> Command {
        let mut wanted = self.wanted.clone();
        if self.revoked.load(Ordering::Acquire) {
            wanted.workers = Arc::from([]);
        }
        command::Claim { host: self.host, wanted, most: self.room(), late: self.late }.into()
    }

    /// Returns how many tasks the host takes now.
    fn room(&self) -> u32 {
        match &self.outlet {
            Outlet::Once { most, .. } => *most,
            Outlet::Stream { credit, .. } => credit.room(),
        }
    }

    fn is_closed(&self) -> bool {
        match &self.outlet {
            Outlet::Once { answer, .. } => answer.is_closed(),
            Outlet::Stream { tasks, .. } => tasks.is_closed(),
        }
    }
}

/// Parked claims.
#[derive(Debug, Default)]
pub(crate) struct LongPolls {
    waiting: VecDeque<Poll>,
    woken: Vec<Poll>,
    /// Claims that found nothing at the end of the turn. They keep their places in front.
    unserved: Vec<Poll>,
    /// Releases of tasks whose host was gone when they were given to it.
    returned: Vec<Command>,
    /// Number that every turn raises that may have made a task ready, so that no claim searches one state twice.
    round: u64,
}

impl LongPolls {
    /// Parks a claim that found no work.
    fn park(&mut self, mut poll: Poll) {
        if std::mem::take(&mut poll.late) {
            self.unserved.push(poll);
        } else {
            poll.looked = self.round;
            self.waiting.push_back(poll);
        }
    }

    /// Answers a claim. Tasks for a host that is gone are released; a claim without tasks, and a stream, stay.
    pub(crate) fn answer(&mut self, mut poll: Poll, reply: Result<Reply, EngineError>) {
        let late = poll.late;
        match (reply, poll.outlet) {
            (Ok(Reply::Claim(tasks)), outlet) if tasks.is_empty() => self.park(Poll { outlet, ..poll }),
            // A turn that failed is nothing that a parked claim asked for.
            (Err(_), outlet) if late => self.park(Poll { outlet, ..poll }),
            (reply, Outlet::Once { answer, .. }) => {
                if let Err(Ok(Reply::Claim(tasks))) = answer.send(reply) {
                    self.give_back(&tasks);
                }
            }
            (Ok(Reply::Claim(claimed)), Outlet::Stream { credit, tasks }) => {
                credit.use_up(claimed.len());
                if let Err(mpsc::error::SendError(claimed)) = tasks.send(claimed) {
                    return self.give_back(&claimed);
                }
                (poll.outlet, poll.late, poll.looked) = (Outlet::Stream { credit, tasks }, false, 0);
                self.waiting.push_back(poll);
            }
            (_, outlet @ Outlet::Stream { .. }) => self.park(Poll { outlet, ..poll }),
        }
    }

    /// Records a turn that may have made tasks ready.
    pub(crate) fn stirred(&mut self) {
        self.round += 1;
    }

    /// Takes out the claims that waited longest, to be decided at the end of the coming turn.
    pub(crate) fn late(&mut self) -> Vec<Poll> {
        let mut late = Vec::new();
        for _ in 0..self.waiting.len().min(LATE_MAX) {
            let Some(mut poll) = self.waiting.pop_front() else { break };
            if poll.is_closed() {
                continue;
            }
            if poll.room() == 0 {
                self.waiting.push_back(poll);
                continue;
            }
            poll.late = true;
            late.push(poll);
        }
        late
    }

    /// Wakes as many claims as there is work for, those that waited longest first.
    pub(crate) fn wake(&mut self, state: &LoopState) {
        for poll in self.unserved.drain(..).rev() {
            self.waiting.push_front(poll);
        }
        if self.waiting.is_empty() {
            return;
        }
        let mut taken = HashMap::new();
        let mut still = VecDeque::with_capacity(self.waiting.len());
        for poll in self.waiting.drain(..) {
            if poll.is_closed() {
                continue;
            }
            let room = poll.room();
            if poll.looked < self.round && room > 0 && state.on_offer(&poll.wanted, room, &mut taken) > 0 {
                self.woken.push(poll);
            } else {
                still.push_back(poll);
            }
        }
        self.waiting = still;
    }

    /// The host of these tasks left while they were claimed for it. The next turn releases them, however much else there
    /// is to do: under steady traffic a moment of rest may be long in coming, and until then they belong to nobody.
    fn give_back(&mut self, tasks: &[ClaimedTask]) {
        self.returned.extend(undelivered(tasks).map(Command::from));
    }

    /// Releases of tasks, for the next turn.
    pub(crate) fn returned(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.returned)
    }

    /// Whether claims are to be served, or tasks released, in the next turn.
    pub(crate) fn is_awake(&self) -> bool {
        !self.woken.is_empty() || !self.returned.is_empty()
    }

    /// Returns the claims that are to be answered in the next turn.
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

/// The other end of a long poll. Dropped before its answer was taken, it releases what was claimed.
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
