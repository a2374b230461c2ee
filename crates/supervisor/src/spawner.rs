//! One thread that lives as long as the process and starts every child.
//!
//! Linux delivers the parent-death signal when the *thread* that forked ends, not the process. The threads of an async
//! runtime come and go, so a child started on one of them could be killed for no reason. The thread also keeps the fork
//! of a large process off the threads that serve requests.

use std::{
    io,
    sync::{OnceLock, mpsc},
    thread,
};

use tokio::{
    process::{Child, Command},
    runtime::Handle,
    sync::oneshot,
};

use crate::group::Group;

/// A child and its group. The group comes first, so that it is killed whole before its leader is reaped.
pub(crate) struct Started {
    /// Kills the group when dropped, also on the way to a caller that has left.
    pub group: Group,
    pub child: Child,
}

struct Order {
    command: Command,
    runtime: Handle,
    reply: oneshot::Sender<io::Result<Started>>,
}

static SPAWNER: OnceLock<Option<mpsc::Sender<Order>>> = OnceLock::new();

/// Starts the command from the spawner thread; the child belongs to the caller's runtime.
pub(crate) async fn spawn(command: Command) -> io::Result<Started> {
    let gone = || io::Error::other("the thread that starts processes has ended");
    let spawner = SPAWNER.get_or_init(start).as_ref().ok_or_else(gone)?;
    let (reply, answer) = oneshot::channel();
    spawner.send(Order { command, runtime: Handle::current(), reply }).map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?
}

fn start() -> Option<mpsc::Sender<Order>> {
    let (orders, inbox) = mpsc::channel::<Order>();
    let run = move || {
        for Order { mut command, runtime, reply } in inbox {
            let _inside = runtime.enter();
            let started = command.spawn().map(|child| Started { group: Group::of(child.id()), child });
            // When the caller has left, the child is returned in the error and is killed as it drops.
            let _ = reply.send(started);
        }
    };
    thread::Builder::new().name("kapelle-spawner".to_owned()).spawn(run).ok().map(|_| orders)
}
