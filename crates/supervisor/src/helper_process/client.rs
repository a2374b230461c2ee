//! The server's side: one connection, and a thread that receives the helper's messages.

use std::{
    collections::HashMap,
    ffi::OsString,
    io,
    os::fd::{AsFd as _, OwnedFd},
    path::PathBuf,
    process::Child,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    net::unix::pipe::{Receiver, Sender},
    sync::{oneshot, watch},
};

use super::{
    connection::{Connection, Recipe},
    launch::{Launch, LaunchError},
    leftovers, process,
    process::{Guard, Handle, Process},
    serve::NO_CGROUPS,
    spawn,
    wire::{self, Ask, Told},
};
use crate::machine::{Cause, Exit};

/// The helper process, and access to it for starting workers. When the last of its clones and of its processes is
/// dropped, it ends with all workers.
#[derive(Debug, Clone)]
pub struct Helper {
    shared: Arc<Shared>,
}

/// State shared by the helper's user and its processes.
#[derive(Debug)]
pub(super) struct Shared {
    recipe: Recipe,
    next: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    connection: Option<Arc<Connection>>,
    slots: HashMap<u64, Slot>,
}

/// A known process.
#[derive(Debug)]
struct Slot {
    spawned: Option<oneshot::Sender<Result<i32, LaunchError>>>,
    exit: watch::Sender<Option<Exit>>,
}

impl Helper {
    /// Starts the helper: `program`, which must call [`super::helper_main`] when its first argument is
    /// [`super::HELPER_VERB`]. Must be called before the process has threads. From then on, other processes of this
    /// user cannot read the start environment of this process.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(program: impl Into<PathBuf>) -> io::Result<Helper> {
        Helper::with(program.into(), Vec::new())
    }

    /// Starts the helper without control groups, as on systems that do not allow them.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_without_cgroups(program: impl Into<PathBuf>) -> io::Result<Helper> {
        Helper::with(program.into(), vec![NO_CGROUPS.into()])
    }

    fn with(program: PathBuf, args: Vec<OsString>) -> io::Result<Helper> {
        spawn::hide();
        let recipe = Recipe { program, args };
        let shared = Arc::new(Shared { recipe, next: AtomicU64::new(1), state: Mutex::default() });
        shared.connection(&mut shared.lock())?;
        Ok(Helper { shared })
    }

    /// Returns the helper's process id. Returns `None` while there is no helper.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.shared.lock().connection.as_ref().map(|connection| connection.owner.pid)
    }

    /// Tells whether each worker has a control group.
    #[must_use]
    pub fn has_cgroups(&self) -> bool {
        self.shared.lock().connection.as_ref().is_some_and(|connection| connection.cgroups)
    }

    /// Starts a program. If the helper is gone, another is started first. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the system refuses, or there is no helper.
    pub async fn spawn(&self, launch: Launch) -> Result<Process, LaunchError> {
        let refused = |error: io::Error| LaunchError::Refused(error.to_string());
        let (child_stdin, stdin) = io::pipe().map_err(refused)?;
        let (stdout, child_stdout) = io::pipe().map_err(refused)?;
        let (stderr, child_stderr) = io::pipe().map_err(refused)?;
        let theirs: [OwnedFd; 3] = [child_stdin.into(), child_stdout.into(), child_stderr.into()];
        let (spawned, answer) = oneshot::channel();
        let (exit, exited) = watch::channel(None);
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        self.shared.order(id, launch, &theirs, Slot { spawned: Some(spawned), exit })?;
        drop(theirs);
        let pid = answer.await.unwrap_or_else(|_| Err(LaunchError::NoHelper("it died".to_owned())))?;
        let handle = process::Handle { id, pid, shared: Arc::clone(&self.shared), exit: exited };
        Ok(Process {
            guard: Guard(Handle::clone(&handle)),
            handle,
            stdin: Sender::from_owned_fd(stdin.into()).map_err(refused)?,
            stdout: Receiver::from_owned_fd(stdout.into()).map_err(refused)?,
            stderr: Receiver::from_owned_fd(stderr.into()).map_err(refused)?,
        })
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the connection, and opens one if it is closed.
    fn connection(self: &Arc<Self>, state: &mut State) -> io::Result<Arc<Connection>> {
        if let Some(connection) = &state.connection {
            return Ok(Arc::clone(connection));
        }
        let (connection, child) = Connection::open(&self.recipe)?;
        let connection = Arc::new(connection);
        let (shared, heard) = (Arc::downgrade(self), Arc::clone(&connection));
        let thread = std::thread::Builder::new().name("kapelle-helper".to_owned());
        thread.spawn(move || hear(&shared, &heard, child))?;
        state.connection = Some(Arc::clone(&connection));
        Ok(connection)
    }

    fn order(self: &Arc<Self>, id: u64, launch: Launch, streams: &[OwnedFd; 3], slot: Slot) -> Result<(), LaunchError> {
        let connection = {
            let mut state = self.lock();
            let connection = self.connection(&mut state).map_err(|error| LaunchError::NoHelper(error.to_string()))?;
            state.slots.insert(id, slot);
            connection
        };
        // The state is unlocked meanwhile: the helper's messages must be received, or neither side would make progress.
        let [stdin, stdout, stderr] = streams;
        let fds = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
        let asked = connection.ask(&Ask::Spawn { id, launch: Box::new(launch) }, &fds);
        asked.map_err(|error| {
            self.lock().slots.remove(&id);
            LaunchError::Refused(error.to_string())
        })
    }

    pub(super) fn terminate(&self, id: u64) {
        self.tell(&Ask::Terminate { id });
    }

    pub(super) fn kill(&self, id: u64) {
        self.tell(&Ask::Kill { id });
    }

    fn tell(&self, ask: &Ask) {
        let connection = self.lock().connection.clone();
        if let Some(connection) = connection {
            // Without a helper the process does not exist either.
            let _ = connection.ask(ask, &[]);
        }
    }

    fn heard(&self, told: Told) {
        let mut state = self.lock();
        match told {
            Told::Hello { .. } => {}
            Told::Spawned { id, pid } => {
                let spawned = state.slots.get_mut(&id).and_then(|slot| slot.spawned.take());
                let waits = spawned.is_some_and(|spawned| spawned.send(Ok(pid)).is_ok());
                drop(state);
                if !waits {
                    // The requester has left.
                    self.kill(id);
                }
            }
            Told::Refused { id, message } => {
                let slot = state.slots.remove(&id);
                if let Some(spawned) = slot.and_then(|slot| slot.spawned) {
                    let _ = spawned.send(Err(LaunchError::Refused(message)));
                }
            }
            Told::Exited { id, exit } => {
                if let Some(slot) = state.slots.remove(&id) {
                    slot.exit.send_replace(Some(exit));
                }
            }
        }
    }

    fn lost(&self, connection: &Arc<Connection>) {
        let mut state = self.lock();
        if state.connection.as_ref().is_some_and(|current| Arc::ptr_eq(current, connection)) {
            state.connection = None;
        }
        for (_, slot) in state.slots.drain() {
            if let Some(spawned) = slot.spawned {
                let _ = spawned.send(Err(LaunchError::NoHelper("it died".to_owned())));
            }
            slot.exit.send_replace(Some(Exit::because(Cause::HelperLost)));
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(connection) = self.lock().connection.take() {
            connection.close();
        }
    }
}

/// Receives the helper's messages until it is gone; then reaps it and kills its leftovers.
fn hear(shared: &Weak<Shared>, connection: &Arc<Connection>, mut helper: Child) {
    let mut buffer = vec![0; wire::MESSAGE_MAX];
    while let Some(told) = connection.hear(&mut buffer) {
        let Some(shared) = shared.upgrade() else { break };
        shared.heard(told);
    }
    // If this side left first, the helper ends its workers before itself.
    connection.close();
    let _ = helper.wait();
    let _ = leftovers::sweep_of(&connection.owner);
    if let Some(shared) = shared.upgrade() {
        shared.lost(connection);
    }
}
