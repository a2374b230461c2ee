//! A schedule, its state, and what became of its times.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{catch_up::Missed, plan::Plan, times::ScheduleError};
use crate::{
    expr::{Context, ExprError, Shared, Template},
    id::{RunId, TaskId},
    name::Name,
    time::{DurationMs, Timestamp},
};

/// Fires that wait for the one before, at most.
pub const QUEUED_MAX: usize = 100;
/// Bytes of the inputs. They are evaluated within a turn, so they are small; large data belongs into a file.
pub const WITH_MAX: usize = 4_096;
/// Longest random delay of a fire.
pub const JITTER_MAX: DurationMs = DurationMs(3_600_000);

/// A schedule as it was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct ScheduleSpec {
    /// A line of `cron` or a span.
    pub cron: Arc<str>,
    /// Name of the time zone.
    pub zone: Arc<str>,
    pub target: Target,
    /// Inputs of the run or task, with expressions over `fire`.
    pub with: Json,
    pub catch_up: CatchUp,
    pub overlap: Overlap,
    /// Longest random delay of a fire.
    pub jitter: DurationMs,
    /// Seed of the delays.
    pub seed: u64,
    /// Key that made it and pays for its runs. `None`: the owner of the folder.
    pub by: Option<Arc<str>>,
    /// File of a workflow that it belongs to. It is changed and removed with that file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Arc<str>>,
    pub created_at: Timestamp,
}

/// Start of a fire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A run of the newest version of a workflow.
    Workflow(Name),
    /// A task of a worker.
    Worker(Name),
}

/// Rule for times that were missed because no server ran, or the clock jumped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// None is fired.
    #[default]
    Skip,
    /// The last one is fired.
    One,
    /// All are fired, at most the last [`super::FIRES_MAX`].
    All,
}

impl CatchUp {
    /// All of them, in the order of the format.
    pub const ALL: [CatchUp; 3] = [CatchUp::Skip, CatchUp::One, CatchUp::All];
}

/// Rule for a fire while the run or task of an earlier one is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// Both work at the same time.
    Allow,
    /// The new fire starts nothing.
    #[default]
    Skip,
    /// The new fire starts when the earlier one has ended.
    Queue,
    /// The earlier one is cancelled.
    CancelRunning,
}

impl Overlap {
    /// All of them, in the order of the format.
    pub const ALL: [Overlap; 4] = [Overlap::Allow, Overlap::Skip, Overlap::Queue, Overlap::CancelRunning];
}

/// A started run or task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Open {
    /// A run.
    Run(RunId),
    /// A task.
    Task(TaskId),
}

/// The changing part of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ScheduleState {
    /// The next time, without its delay. `None`: it never comes again.
    pub next: Option<Timestamp>,
    /// Reason of the pause, while it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Arc<str>>,
    /// The last start, which may have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Open>,
    /// Times that wait for the end of `last`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queued: Vec<(Timestamp, FireKind)>,
}

/// Origin of a fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum FireKind {
    /// A time of the schedule, in time or caught up.
    Due = 0,
    /// A fire by hand.
    Manual = 1,
}

/// Outcome of a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FireOutcome {
    /// A run or task was started.
    Started(Open),
    /// It waits for the end of an earlier one.
    Queued(Open),
    /// Nothing was started, because an earlier one was open.
    Overlapped(Open),
    /// Nothing was started, because as many as possible wait already.
    QueueFull,
    /// Nothing was started for these times: no server ran, or the clock jumped.
    Missed(Missed),
    /// Nothing was started for these times: the schedule was paused.
    Paused(Missed),
    /// The start was refused.
    Refused(Arc<str>),
}

impl FireOutcome {
    /// Tells whether a run or task was started.
    #[must_use]
    pub fn started(&self) -> Option<Open> {
        match self {
            FireOutcome::Started(open) => Some(*open),
            _ => None,
        }
    }

    /// Tells whether the time was started, or will be: a backfill leaves it out.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        matches!(self, FireOutcome::Started(_) | FireOutcome::Queued(_))
    }
}

impl ScheduleSpec {
    /// Returns its times.
    ///
    /// # Errors
    /// The faulty part of the line or of the zone.
    pub fn plan(&self) -> Result<Plan, ScheduleError> {
        Plan::parse(&self.cron, &self.zone)
    }

    /// Tells whether both differ at most in their seed and their age.
    #[must_use]
    pub fn says_as(&self, other: &ScheduleSpec) -> bool {
        let ScheduleSpec { seed, created_at, .. } = other;
        ScheduleSpec { seed: *seed, created_at: *created_at, ..self.clone() } == *other
    }

    /// Returns the delay of a time. It depends on the seed alone, so that a repeated turn finds it again.
    #[must_use]
    pub fn jitter_of(&self, at: Timestamp) -> DurationMs {
        // SplitMix64.
        let mut mixed = (self.seed ^ at.0.cast_unsigned()).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        DurationMs((mixed ^ mixed >> 31) % self.jitter.0.saturating_add(1).max(1))
    }

    /// Evaluates the inputs of a fire.
    ///
    /// # Errors
    /// The first expression that fails, with its field.
    pub fn inputs(&self, fire: &FireContext<'_>) -> Result<Json, ExprError> {
        Template::compile(&self.with)?.render(&fire.context())
    }

    /// Makes a schedule for tests.
    #[cfg(any(test, feature = "mutants"))]
    #[must_use]
    pub fn example() -> ScheduleSpec {
        ScheduleSpec {
            cron: "@daily".into(),
            zone: "UTC".into(),
            target: Target::Workflow(Name::new("w")),
            with: json!({}),
            catch_up: CatchUp::Skip,
            overlap: Overlap::Skip,
            jitter: DurationMs::ZERO,
            seed: 0,
            by: None,
            file: None,
            created_at: Timestamp(0),
        }
    }
}

/// The values that the inputs of a fire refer to as `fire`.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct FireContext<'a> {
    pub schedule: &'a Name,
    /// Planned time.
    pub scheduled: Timestamp,
    /// Time of the start.
    pub time: Timestamp,
    pub plan: &'a Plan,
}

impl FireContext<'_> {
    fn context(&self) -> Context {
        let zone = self.plan.zone();
        let fire = json!({
            "schedule": self.schedule.as_str(),
            "scheduled": zone.shown(self.scheduled),
            "time": zone.shown(self.time),
            "date": zone.date(self.scheduled),
        });
        Context::new().with("fire", Shared::from_json(&fire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_see_the_fire() {
        let with = json!({ "day": "${{ fire.date }}", "all": "${{ fire.schedule }} at ${{ fire.scheduled }}", "n": 1 });
        let spec = ScheduleSpec { with, zone: "Asia/Tokyo".into(), ..ScheduleSpec::example() };
        let plan = spec.plan().unwrap();
        // 2026-12-01T00:00:00Z.
        let at = Timestamp(1_796_083_200_000);
        let fire = FireContext { schedule: &Name::new("s"), scheduled: at, time: at, plan: &plan };
        let wanted = json!({ "day": "2026-12-01", "all": "s at 2026-12-01T09:00:00+09:00", "n": 1 });
        assert_eq!(spec.inputs(&fire).unwrap(), wanted);
        let wrong = ScheduleSpec { with: json!({ "a": "${{ fire.tim }}" }), ..spec };
        assert!(wrong.inputs(&fire).unwrap_err().to_string().contains("tim"));
    }
}
