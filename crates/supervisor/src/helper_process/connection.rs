//! Connection to a running helper.

use std::{
    ffi::OsString,
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::net::{
    AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socketpair,
    sockopt::{Timeout, set_socket_timeout},
};

use super::{
    mark::Owner,
    serve::{HELPER_VERB, MASK},
    wire::{self, Ask, Told},
};
use crate::rlimit::given_mask;

/// Longest time until a helper is ready, and until it answers a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// Program and options of a helper.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    pub(super) program: PathBuf,
    pub(super) args: Vec<OsString>,
}

/// Connection to a running helper.
#[derive(Debug)]
pub(super) struct Connection {
    socket: OwnedFd,
    /// Owner whose marks its workers carry.
    pub(super) owner: Owner,
    pub(super) cgroups: bool,
}

impl Connection {
    /// Starts a helper and waits until it is ready.
    #[expect(clippy::disallowed_methods, reason = "this is the home of processes")]
    pub(super) fn open(recipe: &Recipe) -> io::Result<(Connection, Child)> {
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let mut command = Command::new(&recipe.program);
        command.arg(HELPER_VERB).args(&recipe.args).env_clear();
        if let Some(mask) = given_mask() {
            command.arg(format!("{MASK}{mask:o}"));
        }
        command.stdin(Stdio::from(theirs)).stdout(Stdio::null());
        let mut child = command.spawn()?;
        drop(command);
        set_socket_timeout(&ours, Timeout::Recv, Some(PATIENCE))?;
        set_socket_timeout(&ours, Timeout::Send, Some(PATIENCE))?;
        let mut buffer = vec![0; 4 << 10];
        let hello = wire::receive::<Told>(ours.as_fd(), &mut buffer);
        let Ok(Some((Told::Hello { mark, cgroups }, _))) = hello else {
            let _ = child.kill();
            let _ = child.wait();
            let why = hello.err().map_or_else(|| "it ended at once".to_owned(), |error| error.to_string());
            return Err(io::Error::other(format!("{}: {why}", recipe.program.display())));
        };
        set_socket_timeout(&ours, Timeout::Recv, None)?;
        let (owner, _) = Owner::of(&mark).ok_or_else(|| io::Error::other("it gave a wrong mark"))?;
        Ok((Connection { socket: ours, owner, cgroups }, child))
    }

    /// Sends a request.
    pub(super) fn ask(&self, ask: &Ask, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        wire::send(self.socket.as_fd(), ask, fds)
    }

    /// Receives a message. Returns `None` when the helper is gone.
    pub(super) fn hear(&self, buffer: &mut [u8]) -> Option<Told> {
        wire::receive(self.socket.as_fd(), buffer).ok().flatten().map(|(told, _)| told)
    }

    /// Ends the helper, and with it all workers.
    pub(super) fn close(&self) {
        let _ = shutdown(&self.socket, Shutdown::Both);
    }
}
