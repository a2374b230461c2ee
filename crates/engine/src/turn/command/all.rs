//! All commands, and the types that match commands with replies.

use kapelle_core::TenantId;
use kapelle_store::{Act, StoreError};
use serde::{Deserialize, Serialize};

use super::*;
use crate::{
    error::EngineError,
    turn::{audited, state::LoopState},
};

/// Number that matches a reply with its command.
pub type Ticket = u64;

/// A command and the ticket under which its reply is given.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input {
    /// The ticket.
    pub ticket: Ticket,
    /// The command.
    pub command: Command,
}

/// A command as callers see it: data with its own type of reply.
pub trait Ask: Into<Command> + Send {
    /// Type of the reply.
    type Reply: Send + 'static;

    /// Returns the reply to this command. Returns `None` when the reply is to another command.
    fn reply(reply: Reply) -> Option<Self::Reply>;
}

/// A command as the loop sees it. Implemented beside the rules of its noun.
pub(in crate::turn) trait Decide: Ask {
    /// Decides the command. The outer error is the store's and ends the turn; the inner one is the reply.
    fn decide(&self, state: &mut LoopState) -> Result<Result<Self::Reply, EngineError>, StoreError>;
}

/// An administrative act: the command and its entry in the audit trail are one commit. An act that is refused or
/// changes nothing is not recorded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Audited<C> {
    /// Actor and act.
    pub act: Act,
    /// Command to execute.
    pub command: C,
}

impl<C: Ask> Ask for Audited<C> {
    type Reply = C::Reply;

    fn reply(reply: Reply) -> Option<C::Reply> {
        C::reply(reply)
    }
}

impl<C: Into<Command>> From<Audited<C>> for Command {
    fn from(audited: Audited<C>) -> Command {
        Command::Audited(Box::new(Audited { act: audited.act, command: audited.command.into() }))
    }
}

/// Any command: its reply is any reply.
impl Ask for Command {
    type Reply = Reply;

    fn reply(reply: Reply) -> Option<Reply> {
        Some(reply)
    }
}

macro_rules! commands {
    ($($name:ident),* $(,)?) => {
        /// Any command.
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[expect(missing_docs, reason = "each type says what it asks for")]
        pub enum Command {
            $($name($name),)*
            Audited(Box<Audited<Command>>),
        }

        /// The reply to any command, by the name of the command.
        #[derive(Debug, Clone, PartialEq)]
        #[expect(missing_docs, reason = "each command says what it is answered with")]
        pub enum Reply {
            $($name(<$name as Ask>::Reply),)*
        }

        $(impl From<$name> for Command {
            fn from(command: $name) -> Command {
                Command::$name(command)
            }
        })*

        impl LoopState {
            /// Decides one command. The outer error is the store's and ends the turn; the inner one is the reply.
            pub(in crate::turn) fn apply(
                &mut self,
                command: &Command,
            ) -> Result<Result<Reply, EngineError>, StoreError> {
                match command {
                    $(Command::$name(command) => Ok(command.decide(self)?.map(Reply::$name)),)*
                    Command::Audited(audited) => audited::audited(self, &audited.act, &audited.command),
                }
            }
        }
    };
}

commands!(
    Submit,
    Cancel,
    RetryByHand,
    Discard,
    StartRun,
    CancelRun,
    PauseRun,
    ResumeRun,
    Signal,
    Approve,
    BeginStep,
    CloseScope,
    FinishRun,
    StoreVersion,
    DeleteVersion,
    PutSchedule,
    ApplyFiles,
    PauseSchedule,
    DeleteSchedule,
    FireSchedule,
    Backfill,
    PutSubscription,
    PauseSubscription,
    DeleteSubscription,
    RotateSecret,
    TestSubscription,
    ReplayDelivery,
    Delivered,
    Announce,
    Claim,
    Heartbeat,
    Report,
    Evict,
    LimitQueue,
    Pause,
    Access,
    Serve,
    ForgetWorker,
    GiveAgain,
    Give,
    KeepMemos,
    Note,
    SessionWritten,
    WorkersChanged,
    Tick,
    Expire,
    Reserve,
    Spend,
    Settle,
    Record,
    Keep,
    Short,
    SetLimit,
);

/// Declares the reply of each command.
macro_rules! replies {
    ($($name:ident => $reply:ty),* $(,)?) => {
        $(impl Ask for $name {
            type Reply = $reply;

            fn reply(reply: Reply) -> Option<$reply> {
                match reply {
                    Reply::$name(reply) => Some(reply),
                    _ => None,
                }
            }
        })*
    };
}

replies!(
    Submit => Made,
    Cancel => (),
    RetryByHand => (),
    Discard => (),
    StartRun => Started,
    CancelRun => (),
    PauseRun => (),
    ResumeRun => (),
    Signal => (),
    Approve => (),
    BeginStep => (),
    CloseScope => (),
    FinishRun => (),
    StoreVersion => i64,
    DeleteVersion => kapelle_store::Deletion,
    PutSchedule => (),
    ApplyFiles => Vec<kapelle_core::Name>,
    PauseSchedule => (),
    DeleteSchedule => (),
    FireSchedule => Fired,
    Backfill => Vec<Fired>,
    PutSubscription => (),
    PauseSubscription => (),
    DeleteSubscription => (),
    RotateSecret => (),
    TestSubscription => i64,
    ReplayDelivery => i64,
    Delivered => (),
    Announce => (),
    Claim => Vec<crate::turn::ClaimedTask>,
    Heartbeat => Vec<bool>,
    Report => (),
    Evict => (),
    LimitQueue => (),
    Pause => (),
    Access => (),
    Serve => (),
    ForgetWorker => (),
    GiveAgain => (),
    Give => (),
    KeepMemos => bool,
    Note => (),
    SessionWritten => (),
    WorkersChanged => (),
    Tick => (),
    Expire => bool,
    Reserve => Reserved,
    Spend => (),
    Settle => (),
    Record => (),
    Keep => (),
    Short => (),
    SetLimit => (),
);

impl Command {
    /// Returns the tenant and the version of a workflow that the command contains or names.
    #[must_use]
    pub fn version(&self) -> Option<(TenantId, &VersionRef)> {
        match self {
            Command::StartRun(start) => Some((start.tenant, &start.run.version)),
            Command::StoreVersion(store) => Some((store.tenant, &store.version)),
            Command::Audited(audited) => audited.command.version(),
            _ => None,
        }
    }
}
