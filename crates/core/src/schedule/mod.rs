//! Schedules: spans and lines of `cron`, in a time zone, and what is fired of them.
//!
//! `times` reads a line and searches on a clock without zones. `zone` finds the instants of those times in a time zone
//! (docs/decisions/0023-schedules.md has the rules for daylight saving time). `plan` joins both, `catch_up` decides what
//! is fired now and what was missed, `backfill` lists past times, and `model` holds a schedule and its state.

mod backfill;
mod catch_up;
mod model;
mod plan;
mod times;
mod zone;

pub use backfill::{BACKFILL_MAX, past_times};
pub use catch_up::{Due, FIRES_MAX, GRACE, Missed, due};
pub use model::{
    CatchUp, FireContext, FireKind, FireOutcome, JITTER_MAX, Open, Overlap, QUEUED_MAX, ScheduleSpec, ScheduleState,
    Target, WITH_MAX,
};
pub use plan::{Plan, TIMES_MAX};
pub use times::{Schedule, ScheduleError, Times};
pub use zone::Zone;
