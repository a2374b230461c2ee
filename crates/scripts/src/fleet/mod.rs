//! The processes of all scripts of a folder: started, watched, restarted, given tasks, stopped.
//!
//! Every process has a task of its own ([`instance`]) that drives its [`kapelle_supervisor::machine::Machine`]; a group
//! ([`group`]) is a script with its processes; the fleet scans the folder and keeps the groups in step with the files.

mod apply;
mod event;
mod group;
mod handle;
mod instance;
mod pool;
mod probe;
mod process;
mod status;
mod task;
mod worker;
mod worker_sink;

pub use event::FleetEvent;
pub use handle::{Fleet, FleetOptions, Keeps};
pub(crate) use probe::is_local_url;
pub use status::{Counts, ProcessStatus, ScriptStatus};
pub use worker_sink::{NoWorkerSink, WorkerSink};
