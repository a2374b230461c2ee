//! Schedules and their fires as interfaces show them.

use kapelle_api as api;
use kapelle_core::{
    Timestamp,
    schedule::{CatchUp, FIRES_MAX, FireKind, FireOutcome, Missed, Open, Overlap, QUEUED_MAX, Target},
};
use kapelle_store::{FireRow, ScheduleRow};

use crate::to_api;

/// Times to come that a schedule shows.
const NEXT: usize = 5;

/// Returns times to come, as the clocks of the zone show them.
pub(crate) fn next(row: &ScheduleRow, now: Timestamp, count: usize) -> Vec<String> {
    let (Ok(plan), Some(first)) = (row.spec.plan(), row.state.next) else { return Vec::new() };
    // While it is paused, its next time lies in the past.
    let after = Timestamp(first.0 - 1).max(if row.state.paused.is_some() { now } else { Timestamp(i64::MIN) });
    plan.times(after).take(count).map(|at| plan.zone().shown(at)).collect()
}

/// Returns a schedule without its fires.
pub(crate) fn shown(row: &ScheduleRow, now: Timestamp) -> api::Schedule {
    let spec = &row.spec;
    let (workflow, worker) = match &spec.target {
        Target::Workflow(name) => (Some(name.to_string()), None),
        Target::Worker(name) => (None, Some(name.to_string())),
    };
    api::Schedule {
        name: row.name.to_string(),
        cron: spec.cron.to_string(),
        timezone: spec.zone.to_string(),
        workflow,
        worker,
        with: spec.with.clone(),
        catch_up: match spec.catch_up {
            CatchUp::Skip => api::CatchUp::Skip,
            CatchUp::One => api::CatchUp::One,
            CatchUp::All => api::CatchUp::All,
        },
        overlap: match spec.overlap {
            Overlap::Allow => api::Overlap::Allow,
            Overlap::Skip => api::Overlap::Skip,
            Overlap::Queue => api::Overlap::Queue,
            Overlap::CancelRunning => api::Overlap::CancelRunning,
        },
        jitter_ms: spec.jitter.0,
        paused: row.state.paused.is_some(),
        paused_reason: row.state.paused.as_deref().map(str::to_owned),
        next: next(row, now, NEXT),
        queued: u32::try_from(row.state.queued.len()).unwrap_or(u32::MAX),
        file: spec.file.as_deref().map(str::to_owned),
        created_by: spec.by.as_deref().map(str::to_owned),
        created_at: to_api::time(spec.created_at),
        last: None,
        fires: None,
    }
}

/// Explains what became of a time.
pub(crate) fn told(row: &ScheduleRow, fire: &FireRow) -> api::Fire {
    let plan = row.spec.plan().ok();
    let time = |at: Timestamp| plan.as_ref().map_or_else(|| to_api::time(at), |plan| plan.zone().shown(at));
    let id = |open: &Open| match open {
        Open::Run(id) => id.to_string(),
        Open::Task(id) => id.to_string(),
    };
    let times = |passed: &Missed| match passed.count {
        1 => "1 time".to_owned(),
        count => format!("{count} times, to {},", time(passed.last)),
    };
    let (state, explanation) = match &fire.outcome {
        FireOutcome::Started(open) => (api::FireState::Started, format!("started {}", id(open))),
        FireOutcome::Queued(open) => (api::FireState::Queued, format!("waits for the end of {}", id(open))),
        FireOutcome::Overlapped(open) => {
            (api::FireState::Overlapped, format!("skipped, because {} was open (overlap: skip)", id(open)))
        }
        FireOutcome::QueueFull => {
            (api::FireState::Overlapped, format!("skipped, because {QUEUED_MAX} fires wait already (overlap: queue)"))
        }
        FireOutcome::Missed(passed) => {
            let rule = match row.spec.catch_up {
                CatchUp::Skip => "catch_up: skip".to_owned(),
                CatchUp::One => "catch_up: one, which fires the last alone".to_owned(),
                CatchUp::All => format!("catch_up: all, which fires the last {FIRES_MAX}"),
            };
            let what = format!("{} missed, because no server ran or the clock jumped ({rule})", times(passed));
            (api::FireState::Missed, what)
        }
        FireOutcome::Paused(passed) => {
            (api::FireState::Paused, format!("{} passed while the schedule was paused", times(passed)))
        }
        FireOutcome::Refused(why) => (api::FireState::Refused, why.to_string()),
    };
    let (run, task) = match fire.outcome.started() {
        Some(Open::Run(id)) => (Some(id.to_string()), None),
        Some(Open::Task(id)) => (None, Some(id.to_string())),
        None => (None, None),
    };
    let kind = match fire.kind {
        FireKind::Due => api::FireKind::Due,
        FireKind::Manual => api::FireKind::Manual,
    };
    api::Fire { scheduled_at: time(fire.scheduled), at: to_api::time(fire.at), kind, state, explanation, run, task }
}
