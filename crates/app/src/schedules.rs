//! Schedules.

use std::{collections::BTreeSet, sync::Arc};

use kapelle_api as api;
use kapelle_core::{
    DurationMs, Name, Timestamp,
    expr::Template,
    schedule::{
        CatchUp, FireKind, JITTER_MAX, Overlap, Plan, ScheduleError, ScheduleSpec, Target, WITH_MAX, past_times,
    },
};
use kapelle_engine::command;
use kapelle_store::{FireRow, ScheduleRow};
use serde_json::json;

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
    cursor, idempotency,
    schedule_view::{next, shown, told},
    secrets, submission, to_api, workflow_files,
};

/// Fires that a schedule shows: all that are kept.
const FIRES: u32 = kapelle_store::FIRES_KEPT as u32;
/// Times that a query gets by default, and may ask for.
const NEXT_USUAL: u32 = 5;
const NEXT_MAX: u32 = 1_000;
const REASON_MAX: usize = 500;

impl App {
    /// Returns schedules by name.
    ///
    /// # Errors
    /// When the page is invalid, or the store fails.
    pub async fn schedules(self: &Arc<Self>, by: &Caller, given: api::Paging) -> Result<api::SchedulePage, AppError> {
        by.allow(Permission::Read)?;
        let most = cursor::page_of(given.limit, None)?.most;
        let after = given.cursor.as_deref().map(Name::parse).transpose();
        let after = after.map_err(|_| AppError::invalid("invalid cursor; expected `next_cursor`, unchanged"))?;
        let (tenant, now) = (by.tenant, self.now());
        let listed = self.list_for(tenant, move |app| {
            let rows = app.reader().schedules(tenant, after.as_ref(), most)?;
            let next_cursor = rows.last().filter(|_| rows.len() >= most as usize).map(|row| row.name.to_string());
            let with_last = |row: &ScheduleRow| {
                let last = app.reader().fires(tenant, &row.name, 1)?.first().map(|fire| told(row, fire));
                Ok(api::Schedule { last, ..shown(row, now) })
            };
            let schedules = rows.iter().map(with_last).collect::<Result<_, AppError>>()?;
            Ok(api::SchedulePage { schedules, next_cursor })
        });
        listed.await
    }

    /// Returns a schedule with its last fires.
    ///
    /// # Errors
    /// When the tenant has no such schedule.
    pub async fn schedule(self: &Arc<Self>, by: &Caller, name: &str) -> Result<api::Schedule, AppError> {
        by.allow(Permission::Read)?;
        let (tenant, now, name) = (by.tenant, self.now(), parsed(name)?);
        let found = self.list_for(tenant, move |app| {
            let row = app.reader().schedule(tenant, &name)?.ok_or_else(|| missing(&name))?;
            let fires = app.reader().fires(tenant, &name, FIRES)?;
            let fires: Vec<api::Fire> = fires.iter().map(|fire| told(&row, fire)).collect();
            Ok(api::Schedule { last: fires.first().cloned(), fires: Some(fires), ..shown(&row, now) })
        });
        found.await
    }

    /// Makes a schedule.
    ///
    /// # Errors
    /// An invalid field; an unknown workflow or worker; inputs that do not fit; a name that is taken.
    pub async fn create_schedule(
        self: &Arc<Self>,
        by: &Caller,
        given: api::NewSchedule,
    ) -> Result<api::Schedule, AppError> {
        by.allow(Permission::Operate)?;
        let name = Name::parse(&given.name).map_err(|error| AppError::input("name", error))?;
        let replace = given.replace;
        let (tenant, now, starter) = (by.tenant, self.now(), by.starter());
        let seed = seed()?;
        let spec = self.list_for(tenant, move |app| {
            let spec = spec(given, (now, starter, seed))?;
            app.check_target(tenant, &spec)?;
            Ok(spec)
        });
        let command = command::PutSchedule { tenant, name: name.clone(), spec: Arc::new(spec.await?), replace };
        self.act(by, "schedule.create", name.as_str(), command).await?;
        self.schedule(by, name.as_str()).await
    }

    /// Checks that the workflow or worker exists and takes the inputs, as far as they are known before a fire.
    fn check_target(&self, tenant: kapelle_core::TenantId, spec: &ScheduleSpec) -> Result<(), AppError> {
        let template = Template::compile(&spec.with).map_err(|error| AppError::input("with", error))?;
        let unknown = template.references().into_iter().find(|path| {
            let path = path.to_string();
            !["fire.schedule", "fire.scheduled", "fire.time", "fire.date"].contains(&path.as_str())
        });
        if let Some(path) = unknown {
            let message =
                format!("`{path}` is unknown; expected fire.scheduled, fire.time, fire.date or fire.schedule");
            return Err(AppError::input("with", message));
        }
        let constant = template.as_constant().cloned();
        match &spec.target {
            Target::Worker(worker) => {
                self.known(tenant, worker)?;
                let Some(input) = constant else { return Ok(()) };
                let worker = worker.to_string();
                let task = api::SubmitTask { worker, input, ..api::SubmitTask::default() };
                submission::task(self, tenant, task).map(drop).map_err(|error| error.within("with"))
            }
            Target::Workflow(workflow) => {
                let given = api::StartRun { workflow: Some(workflow.to_string()), ..api::StartRun::default() };
                let (_, definition) = self.version_of(tenant, &given)?;
                match constant {
                    Some(mut inputs) => workflow_files::check_inputs(&definition, &mut inputs)
                        .map_err(|error| AppError::input("with", error)),
                    None => Ok(()),
                }
            }
        }
    }

    /// Pauses a schedule: nothing is fired until it is resumed.
    ///
    /// # Errors
    /// When the tenant has no such schedule.
    pub async fn pause_schedule(
        self: &Arc<Self>,
        by: &Caller,
        name: &str,
        why: api::Reason,
    ) -> Result<api::Schedule, AppError> {
        self.set_paused(by, name, (true, why)).await
    }

    /// Resumes a schedule. The times that passed are not fired.
    ///
    /// # Errors
    /// When the tenant has no such schedule.
    pub async fn resume_schedule(
        self: &Arc<Self>,
        by: &Caller,
        name: &str,
        why: api::Reason,
    ) -> Result<api::Schedule, AppError> {
        self.set_paused(by, name, (false, why)).await
    }

    async fn set_paused(
        self: &Arc<Self>,
        by: &Caller,
        name: &str,
        (paused, why): (bool, api::Reason),
    ) -> Result<api::Schedule, AppError> {
        by.allow(Permission::Operate)?;
        let name = parsed(name)?;
        let reason = match why.reason.filter(|reason| !reason.trim().is_empty()) {
            Some(reason) => by.signed(reason.chars().take(REASON_MAX).collect()),
            None => format!("by {}", by.actor),
        };
        let command = command::PauseSchedule { tenant: by.tenant, name: name.clone(), paused, reason: reason.into() };
        let action = if paused { "schedule.pause" } else { "schedule.resume" };
        self.act(by, action, name.as_str(), command).await?;
        self.schedule(by, name.as_str()).await
    }

    /// Deletes a schedule. Its runs and tasks continue.
    ///
    /// # Errors
    /// When the tenant has no such schedule.
    pub async fn delete_schedule(self: &Arc<Self>, by: &Caller, name: &str) -> Result<api::ScheduleDeleted, AppError> {
        by.allow(Permission::Operate)?;
        let name = parsed(name)?;
        let command = command::DeleteSchedule { tenant: by.tenant, name: name.clone() };
        self.act(by, "schedule.delete", name.as_str(), command).await?;
        Ok(api::ScheduleDeleted { name: name.to_string() })
    }

    /// Returns the next times of a schedule.
    ///
    /// # Errors
    /// When the tenant has no such schedule, or the count is out of bounds.
    pub async fn next_fires(
        self: &Arc<Self>,
        by: &Caller,
        name: &str,
        query: api::NextQuery,
    ) -> Result<api::NextFires, AppError> {
        by.allow(Permission::Read)?;
        let count = query.count.unwrap_or(NEXT_USUAL);
        if !(1..=NEXT_MAX).contains(&count) {
            return Err(AppError::parameter("count", format!("{count}; expected 1 to {NEXT_MAX}")));
        }
        let (tenant, now, name) = (by.tenant, self.now(), parsed(name)?);
        let found = self.list_for(tenant, move |app| {
            let row = app.reader().schedule(tenant, &name)?.ok_or_else(|| missing(&name))?;
            Ok(api::NextFires { times: next(&row, now, count as usize) })
        });
        found.await
    }

    /// Fires a schedule now, whatever its times, also a paused one.
    ///
    /// # Errors
    /// When the tenant has no such schedule, or the idempotency key was used for another request.
    pub async fn fire_schedule(
        self: &Arc<Self>,
        by: &Caller,
        name: &str,
        key: Option<&str>,
    ) -> Result<api::Fire, AppError> {
        by.allow(Permission::Operate)?;
        self.accepting()?;
        let name = parsed(name)?;
        let key = idempotency::key(&format!("/api/v1/schedules/{name}/fire"), key, &())?;
        let command = command::FireSchedule { tenant: by.tenant, name: name.clone(), key };
        let fired = self.act(by, "schedule.fire", name.as_str(), command).await?;
        let row = self.reader().schedule(by.tenant, &name)?.ok_or_else(|| missing(&name))?;
        Ok(told(&row, &fire_row(&row, fired, FireKind::Manual)))
    }

    /// Fires the times of a past range that were not started, one after another. With `dry_run` it only lists them.
    ///
    /// # Errors
    /// When the tenant has no such schedule; a range that has not passed or has more than 100 times.
    pub async fn backfill_schedule(
        self: &Arc<Self>,
        by: &Caller,
        name: &str,
        range: api::BackfillRange,
    ) -> Result<api::Backfilled, AppError> {
        by.allow(Permission::Operate)?;
        self.accepting()?;
        let name = parsed(name)?;
        let (from, to) = (instant("from", &range.from)?, instant("to", &range.to)?);
        if from > to {
            return Err(AppError::input("from", "later than `to`; expected the earlier time"));
        }
        if range.dry_run {
            let times = self.unstarted(by.tenant, name, (from, to)).await?;
            return Ok(api::Backfilled { dry_run: true, times, fires: Vec::new() });
        }
        let resource = format!("{name} ({} to {})", to_api::time(from), to_api::time(to));
        let command = command::Backfill { tenant: by.tenant, name: name.clone(), from, to };
        let fired = self.act(by, "schedule.backfill", &resource, command).await?;
        let row = self.reader().schedule(by.tenant, &name)?.ok_or_else(|| missing(&name))?;
        let told = |fired| told(&row, &fire_row(&row, fired, FireKind::Due));
        let fires: Vec<api::Fire> = fired.into_iter().map(told).collect();
        let times = fires.iter().map(|fire| fire.scheduled_at.clone()).collect();
        Ok(api::Backfilled { dry_run: false, times, fires })
    }

    /// Lists the times that a backfill of a range would fire.
    async fn unstarted(
        self: &Arc<Self>,
        tenant: kapelle_core::TenantId,
        name: Name,
        range: (Timestamp, Timestamp),
    ) -> Result<Vec<String>, AppError> {
        let now = self.now();
        let listed = self.list_for(tenant, move |app| {
            let row = app.reader().schedule(tenant, &name)?.ok_or_else(|| missing(&name))?;
            let plan = row.spec.plan().map_err(|error| AppError::input("cron", error))?;
            let times = past_times(&plan, range, now).map_err(AppError::unprocessable)?;
            let known = app.reader().fires(tenant, &name, FIRES)?.into_iter();
            let taken = known.filter(|fire| fire.kind == FireKind::Due && fire.outcome.is_taken());
            let taken: BTreeSet<Timestamp> = taken.map(|fire| fire.scheduled).collect();
            Ok(times.into_iter().filter(|at| !taken.contains(at)).map(|at| plan.zone().shown(at)).collect())
        });
        listed.await
    }
}

fn fire_row(row: &ScheduleRow, fired: command::Fired, kind: FireKind) -> FireRow {
    let command::Fired { scheduled, at, outcome } = fired;
    FireRow { tenant: row.tenant, schedule: row.name.clone(), scheduled, kind, at, outcome }
}

fn parsed(name: &str) -> Result<Name, AppError> {
    Name::parse(name)
        .map_err(|_| AppError::not_found(format!("schedule {}", name.chars().take(40).collect::<String>())))
}

fn missing(name: &Name) -> AppError {
    AppError::not_found(format!("schedule {name}"))
}

/// Draws the seed of the random delays.
pub(crate) fn seed() -> Result<u64, AppError> {
    let drawn = secrets::fresh().map_err(|error| AppError::internal(error.to_string()))?;
    Ok(secrets::digest(&drawn).iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte)))
}

fn instant(field: &str, text: &str) -> Result<Timestamp, AppError> {
    let parsed = text.parse::<jiff::Timestamp>().map_err(|_| {
        let shown: String = text.chars().take(60).collect();
        AppError::input(field, format!("`{shown}` is not an RFC 3339 time; expected one such as 2026-12-01T10:00:00Z"))
    });
    parsed.map(|at| Timestamp(at.as_millisecond()))
}

fn spec(
    given: api::NewSchedule,
    (created_at, by, seed): (Timestamp, Option<Arc<str>>, u64),
) -> Result<ScheduleSpec, AppError> {
    let target = match (&given.workflow, &given.worker) {
        (Some(workflow), None) => {
            Target::Workflow(Name::parse(workflow).map_err(|error| AppError::input("workflow", error))?)
        }
        (None, Some(worker)) => Target::Worker(Name::parse(worker).map_err(|error| AppError::input("worker", error))?),
        (Some(_), Some(_)) => return Err(AppError::input("worker", "given with `workflow`; expected one of the two")),
        (None, None) => return Err(AppError::input("workflow", "missing; expected a workflow or a worker")),
    };
    if given.jitter_ms > JITTER_MAX.0 {
        return Err(AppError::input("jitter_ms", format!("{}; expected at most {}", given.jitter_ms, JITTER_MAX.0)));
    }
    let with = if given.with.is_null() { json!({}) } else { given.with };
    if with.to_string().len() > WITH_MAX {
        let message = format!("{} bytes of JSON; expected at most {WITH_MAX}", with.to_string().len());
        return Err(AppError::input("with", message).next("name a file or an id, and let a step read it"));
    }
    let zone = given.timezone.unwrap_or_else(|| "UTC".to_owned());
    let wrong = |field: &'static str| move |error: ScheduleError| AppError::input(field, error);
    kapelle_core::schedule::Zone::parse(&zone).map_err(wrong("timezone"))?;
    Plan::parse(&given.cron, &zone).map_err(wrong("cron")).map_err(|error| {
        error.next("expected `MINUTE HOUR DAY MONTH WEEKDAY`, seconds in front of it, @daily, or a span such as 15m")
    })?;
    Ok(ScheduleSpec {
        cron: given.cron.trim().into(),
        zone: zone.into(),
        target,
        with,
        catch_up: match given.catch_up {
            None | Some(api::CatchUp::Skip) => CatchUp::Skip,
            Some(api::CatchUp::One) => CatchUp::One,
            Some(api::CatchUp::All) => CatchUp::All,
        },
        overlap: match given.overlap {
            None | Some(api::Overlap::Skip) => Overlap::Skip,
            Some(api::Overlap::Allow) => Overlap::Allow,
            Some(api::Overlap::Queue) => Overlap::Queue,
            Some(api::Overlap::CancelRunning) => Overlap::CancelRunning,
        },
        jitter: DurationMs(given.jitter_ms),
        seed,
        by,
        file: None,
        created_at,
    })
}
