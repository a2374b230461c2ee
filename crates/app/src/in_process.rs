//! The use cases in process, as an implementation of [`kapelle_api::Api`].

use std::{str::FromStr, sync::Arc, time::Duration};

use kapelle_api::{self as api, Api, Asked, ClientError};

use crate::{app::App, app_error::AppError, caller::Caller};

/// The use cases of an open folder, in the name of one caller.
#[derive(Clone)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct InProcess {
    pub app: Arc<App>,
    pub caller: Caller,
}

impl From<AppError> for ClientError {
    fn from(error: AppError) -> ClientError {
        ClientError::Refused(Box::new(error.problem()))
    }
}

/// Parses an id. Any other text is answered as not found.
fn id<T: FromStr>(text: &str) -> Result<T, AppError> {
    text.parse().map_err(|_| AppError::not_found(text.chars().take(40).collect::<String>()))
}

fn wait(ms: u64) -> Option<Duration> {
    (ms > 0).then(|| Duration::from_millis(ms))
}

macro_rules! in_process {
    ($(fn $name:ident($($arg:ident: $kind:ty),*) -> $answer:ty = $app:ident $by:ident => $ask:expr;)*) => {
        impl Api for InProcess {
            $(fn $name<'a>(&'a self, $($arg: $kind),*) -> Asked<'a, $answer> {
                let ($app, $by) = (&self.app, &self.caller);
                Box::pin(async move { Ok($ask) })
            })*
        }
    };
}

in_process! {
    fn submit(request: api::SubmitTask, key: Option<&'a str>) -> api::Submitted = app by => app.submit(by, request, key).await?;
    fn submit_and_wait(request: api::SubmitTask, key: Option<&'a str>, wait_ms: u64) -> api::Task = app by => {
        let watched = app.submit_watched(by, request, key).await?;
        app.ended(by, watched, Duration::from_millis(wait_ms)).await?
    };
    fn submit_batch(request: api::SubmitBatch, key: Option<&'a str>) -> api::BatchSubmitted
        = app by => app.submit_batch(by, request, key).await?;
    fn task(text: &'a str, wait_ms: u64) -> api::Task = app by => app.task(by, id(text)?, wait(wait_ms)).await?.0;
    fn task_details(text: &'a str) -> api::Task = app by => app.task_details(by, id(text)?)?;
    fn explain_task(text: &'a str) -> api::Explanation = app by => app.explain_task(by, id(text)?)?;
    fn tasks(query: api::TaskQuery) -> api::TaskPage = app by => app.tasks(by, query).await?;
    fn cancel_task(text: &'a str, why: api::Reason) -> api::Task = app by => app.cancel_task(by, id(text)?, why).await?;
    fn retry_task(text: &'a str) -> api::Task = app by => app.retry_task(by, id(text)?, None).await?;

    fn start(request: api::StartRun, key: Option<&'a str>) -> api::StartedRun = app by => app.start(by, request, key).await?;
    fn estimate(request: api::StartRun) -> api::Estimate = app by => app.estimate(by, request).await?;
    fn run_estimate(text: &'a str) -> api::Estimate = app by => app.run_estimate(by, id(text)?).await?;
    fn run(text: &'a str, wait_ms: u64) -> api::Run = app by => app.run(by, id(text)?, wait(wait_ms)).await?.0;
    fn run_details(text: &'a str) -> api::Run = app by => app.run_details(by, id(text)?).await?;
    fn explain_run(text: &'a str) -> api::Explanation = app by => app.explain_run(by, id(text)?).await?;
    fn runs(query: api::RunQuery) -> api::RunPage = app by => app.runs(by, query).await?;
    fn steps(text: &'a str, page: api::Paging) -> api::StepList = app by => app.steps(by, id(text)?, page.into()).await?;
    fn journal(text: &'a str, query: api::JournalQuery) -> api::JournalPage
        = app by => app.journal(by, id(text)?, query).await?;
    fn cancel_run(text: &'a str, why: api::Reason) -> api::Run = app by => app.cancel_run(by, id(text)?, why).await?;
    fn pause_run(text: &'a str) -> api::Run = app by => app.pause_run(by, id(text)?).await?;
    fn resume_run(text: &'a str) -> api::Run = app by => app.resume_run(by, id(text)?).await?;
    fn signal(text: &'a str, name: &'a str, signal: api::Signal) -> api::Run
        = app by => app.signal(by, id(text)?, (name, signal), None).await?;
    fn rerun(text: &'a str, request: api::Rerun) -> api::StartedRun = app by => {
        let run = app.rerun(by, id(text)?, request, None).await?;
        api::StartedRun { id: run.to_string(), state: api::RunState::Running }
    };

    fn approvals() -> api::ApprovalList = app by => app.approvals(by).await?;
    fn answer(text: &'a str, approved: bool, answer: api::Answer) -> api::Task
        = app by => app.answer(by, id(text)?, approved, answer).await?;

    fn queues() -> api::QueueList = app by => app.queues(by).await?;
    fn pause_queue(name: &'a str, why: api::Reason) -> api::Paused = app by => app.pause_queue(by, name, why).await?;
    fn resume_queue(name: &'a str, why: api::Reason) -> api::Paused = app by => app.resume_queue(by, name, why).await?;
    fn pause_worker(name: &'a str, why: api::Reason) -> api::Paused = app by => app.pause_worker(by, name, why).await?;
    fn resume_worker(name: &'a str, why: api::Reason) -> api::Paused = app by => app.resume_worker(by, name, why).await?;

    fn dead_letters(query: api::DeadQuery) -> api::TaskPage = app by => app.dead_letters(by, query).await?;
    fn retry_dead(text: &'a str) -> api::Task = app by => app.retry_dead(by, id(text)?, None).await?;
    fn discard_dead(text: &'a str, why: api::Reason) -> api::Task = app by => app.discard_dead(by, id(text)?, why).await?;

    fn workers() -> api::WorkerList = app by => app.workers(by)?;
    fn worker(name: &'a str) -> api::Worker = app by => app.worker(by, name)?;
    fn forget_worker(name: &'a str) -> api::Forgotten = app by => app.forget_worker(by, name).await?;
    fn workers_status() -> api::WorkersStatus = app by => app.workers_status(by).await?;

    fn scripts() -> api::ScriptList = app by => app.scripts(by).await?;
    fn restart_script(id: &'a str, why: api::Reason) -> api::Restarted = app by => app.restart_script(by, id, why).await?;
    fn restart_scripts(why: api::Reason) -> api::Restarted = app by => app.restart_scripts(by, why).await?;
    fn scale_script(id: &'a str, scale: api::Scale) -> api::Script = app by => app.scale_script(by, id, scale).await?;
    fn script_logs(id: &'a str, tail: usize) -> api::LogLines = app by => app.script_tail(by, id, Some(tail))?;

    fn workflows(page: api::Paging) -> api::VersionPage = app by => app.workflows(by, page).await?;
    fn versions(name: &'a str, page: api::Paging) -> api::VersionPage = app by => app.versions(by, name, page).await?;
    fn version(name: &'a str, number: u32) -> api::VersionSource
        = app by => app.version(by, name, &number.to_string()).await?;
    fn publish(request: api::Publish) -> api::Version = app by => app.publish(by, request).await?;
    fn rollback(name: &'a str, request: api::Rollback) -> api::Version = app by => app.rollback(by, name, request).await?;
    fn diff(name: &'a str, query: api::DiffQuery) -> api::VersionDiff = app by => app.diff(by, name, query).await?;
    fn delete_version(name: &'a str, number: u32) -> api::VersionDeleted
        = app by => app.delete_version(by, name, &number.to_string()).await?;

    fn schedules(page: api::Paging) -> api::SchedulePage = app by => app.schedules(by, page).await?;
    fn schedule(name: &'a str) -> api::Schedule = app by => app.schedule(by, name).await?;
    fn create_schedule(request: api::NewSchedule) -> api::Schedule = app by => app.create_schedule(by, request).await?;
    fn pause_schedule(name: &'a str, why: api::Reason) -> api::Schedule = app by => app.pause_schedule(by, name, why).await?;
    fn resume_schedule(name: &'a str, why: api::Reason) -> api::Schedule = app by => app.resume_schedule(by, name, why).await?;
    fn delete_schedule(name: &'a str) -> api::ScheduleDeleted = app by => app.delete_schedule(by, name).await?;
    fn next_fires(name: &'a str, query: api::NextQuery) -> api::NextFires = app by => app.next_fires(by, name, query).await?;
    fn fire_schedule(name: &'a str, key: Option<&'a str>) -> api::Fire
        = app by => app.fire_schedule(by, name, key).await?;
    fn backfill_schedule(name: &'a str, range: api::BackfillRange) -> api::Backfilled
        = app by => app.backfill_schedule(by, name, range).await?;

    fn subscriptions() -> api::SubscriptionList = app by => app.subscriptions(by).await?;
    fn subscription(name: &'a str) -> api::Subscription = app by => app.subscription(by, name).await?;
    fn create_subscription(request: api::NewSubscription) -> api::SubscriptionCreated
        = app by => app.create_subscription(by, request).await?;
    fn change_subscription(name: &'a str, change: api::ChangeSubscription) -> api::Subscription
        = app by => app.change_subscription(by, name, change).await?;
    fn pause_subscription(name: &'a str, why: api::Reason) -> api::Subscription
        = app by => app.pause_subscription(by, name, why).await?;
    fn resume_subscription(name: &'a str, why: api::Reason) -> api::Subscription
        = app by => app.resume_subscription(by, name, why).await?;
    fn delete_subscription(name: &'a str) -> api::SubscriptionDeleted
        = app by => app.delete_subscription(by, name).await?;
    fn rotate_secret(name: &'a str, request: api::RotateSecret) -> api::SubscriptionCreated
        = app by => app.rotate_secret(by, name, request).await?;
    fn test_subscription(name: &'a str) -> api::Delivery = app by => app.test_subscription(by, name).await?;
    fn deliveries(name: &'a str, query: api::DeliveryQuery) -> api::DeliveryPage
        = app by => app.deliveries(by, name, query).await?;
    fn replay_delivery(name: &'a str, text: &'a str) -> api::Delivery
        = app by => app.replay_delivery(by, name, text).await?;

    fn budgets() -> api::BudgetList = app by => app.budgets(by).await?;
    fn set_budget(request: api::SetBudget) -> api::Budget = app by => app.set_budget(by, request).await?;
    fn reset_budget(request: api::ResetBudget) -> api::BudgetReset = app by => app.reset_budget(by, request).await?;
    fn cost(query: api::CostQuery) -> api::CostReport = app by => app.cost(by, query).await?;
    fn calls(query: api::CallQuery) -> api::CallPage = app by => app.calls(by, query).await?;
    fn call(id: &'a str) -> api::CallAnswered = app by => app.call(by, self::id(id)?).await?;
    fn providers() -> api::ProviderReport = app by => app.providers(by)?;
    fn search(query: api::SearchQuery) -> api::SearchReport = app by => app.search(by, query).await?;
    fn bulk_runs(request: api::BulkRuns) -> api::BulkResult = app by => app.bulk_runs(by, request).await?;
    fn bulk_tasks(request: api::BulkTasks) -> api::BulkResult = app by => app.bulk_tasks(by, request).await?;
    fn dead_groups() -> api::DeadGroups = app by => app.dead_groups(by).await?;

    fn artifacts(page: api::Paging) -> api::ArtifactPage = app by => app.artifacts(by, page).await?;
    fn keys() -> api::KeyList = app by => app.keys(by).await?;
    fn create_key(request: api::NewKey) -> api::KeyCreated = app by => app.create_key(by, request).await?;
    fn revoke_key(id: &'a str) -> api::Key = app by => app.revoke_key(by, id).await?;
    fn rotate_token() -> api::TokenRotated = app by => app.rotate_token(by).await?;
    fn audit(query: api::AuditQuery) -> api::AuditPage = app by => app.audit(by, query).await?;
    fn health() -> api::ServerHealth = app _by => app.health();
}
