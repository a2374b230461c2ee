//! The life of one supervised process, as rules without a clock and without a system: events in, actions out, time as a
//! value.
//!
//! | state | event | next state | effects |
//! |---|---|---|---|
//! | Stopped, Finished, Crashed, Parked | start, restart | Spawning | spawn |
//! | Waiting | start, restart, its time | Spawning | spawn |
//! | Waiting, Finished, Crashed, Parked | stop | Stopped | |
//! | Spawning | spawned | Starting, or Running when it needs no readiness | |
//! | Spawning | refused | Waiting, or Crashed after the last try | |
//! | Spawning, told to stop | spawned | Stopping | terminate |
//! | Starting | ready | Running | |
//! | Starting | its time | Stopping, which counts as a failure | terminate |
//! | Starting | exited | Waiting or Crashed: it ended before it was ready | |
//! | Running | exited well | Finished; Waiting when it has a schedule or always runs | |
//! | Running | exited otherwise | Waiting or Crashed | |
//! | Starting, Running | exited without money | Parked | |
//! | Starting, Running | stop, restart | Stopping | terminate |
//! | Stopping | its time | Stopping | kill |
//! | Stopping | exited | Stopped, Spawning (restart), or as after a failure | spawn on restart |
//! | any | close | as for stop, and later starts or restarts have no effect | terminate |
//! | any with a process | lost (the helper is gone) | Waiting for no time; Stopped when it was to stop | |

mod event;
mod exit;
mod life;
mod policy;

pub use event::{Effect, Event};
pub use exit::{Cause, Exit};
pub use life::{Machine, State, Then};
pub use policy::{Policy, Restart};
