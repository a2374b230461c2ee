//! The interface that every face speaks: one table of use cases. The application implements it in process, `Client`
//! over HTTP, so that a program written against [`Api`] works the same against a folder and against a server.

use std::{future::Future, pin::Pin};

#[cfg(feature = "client")]
use crate::request_path::{DETAILS, Nothing, Path, verb};
use crate::{
    Answer, ApprovalList, ArtifactPage, AuditPage, AuditQuery, BackfillRange, Backfilled, BatchSubmitted, Budget,
    BudgetList, BudgetReset, BulkResult, BulkRuns, BulkTasks, CallAnswered, CallPage, CallQuery, ChangeSubscription,
    ClientError, CostQuery, CostReport, DeadGroups, DeadQuery, Delivery, DeliveryPage, DeliveryQuery, DiffQuery,
    Estimate, Explanation, Fire, Forgotten, JournalPage, JournalQuery, Key, KeyCreated, KeyList, LogLines, NewKey,
    NewSchedule, NewSubscription, NextFires, NextQuery, Paging, Paused, ProviderReport, Publish, QueueList, Reason,
    Rerun, ResetBudget, Restarted, Rollback, RotateSecret, Run, RunPage, RunQuery, Scale, Schedule, ScheduleDeleted,
    SchedulePage, Script, ScriptList, SearchQuery, SearchReport, ServerHealth, SetBudget, Signal, StartRun, StartedRun,
    StepList, SubmitBatch, SubmitTask, Submitted, Subscription, SubscriptionCreated, SubscriptionDeleted,
    SubscriptionList, Task, TaskPage, TaskQuery, TokenRotated, Version, VersionDeleted, VersionDiff, VersionPage,
    VersionSource, Worker, WorkerList, WorkersStatus,
};

/// The pending answer of a use case.
pub type Asked<'a, T> = Pin<Box<dyn Future<Output = Result<T, ClientError>> + Send + 'a>>;

macro_rules! interface {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $kind:ty),*) -> $answer:ty = $client:ident $path:ident => $ask:expr;)*) => {
        /// Every use case, with requests and answers of this crate. An invalid id is answered as not found.
        pub trait Api: Send + Sync {
            $($(#[$doc])* fn $name<'a>(&'a self, $($arg: $kind),*) -> Asked<'a, $answer>;)*
        }

        #[cfg(feature = "client")]
        impl Api for crate::Client {
            $(fn $name<'a>(&'a self, $($arg: $kind),*) -> Asked<'a, $answer> {
                let ($client, $path) = (self, Path::default());
                Box::pin(async move { $ask.await })
            })*
        }
    };
}

interface! {
    /// Submits a task. With a key it takes effect once, however often it is sent.
    fn submit(request: SubmitTask, key: Option<&'a str>) -> Submitted
        = client path => client.post_once(&path.of("/api/v1/tasks"), key, &request);
    /// Submits a task, and waits at most `wait_ms` for its end.
    fn submit_and_wait(request: SubmitTask, key: Option<&'a str>, wait_ms: u64) -> Task
        = client path => client.post_once(&path.of("/api/v1/tasks").with("wait_ms", wait_ms), key, &request);
    /// Submits tasks, all or none, in order.
    fn submit_batch(request: SubmitBatch, key: Option<&'a str>) -> BatchSubmitted
        = client path => client.post_once(&path.of("/api/v1/tasks/batch"), key, &request);
    /// Returns a task with its output, once it has ended or `wait_ms` has passed.
    fn task(id: &'a str, wait_ms: u64) -> Task
        = client path => client.get(&path.of("/api/v1/tasks").at(id).with("wait_ms", wait_ms));
    /// Returns a task with its output, its input and its failed attempts.
    fn task_details(id: &'a str) -> Task = client path => client.get(&path.of("/api/v1/tasks").at(id).query(&DETAILS));
    /// Explains why a task has its state, and what ends its wait.
    fn explain_task(id: &'a str) -> Explanation
        = client path => client.get(&path.of("/api/v1/tasks").at(id).of("/explain"));
    /// Returns tasks, newest first.
    fn tasks(query: TaskQuery) -> TaskPage = client path => client.get(&path.of("/api/v1/tasks").query(&query));
    /// Cancels a task.
    fn cancel_task(id: &'a str, why: Reason) -> Task
        = client path => client.post(&path.of("/api/v1/tasks").at(id).of("/cancel"), &why);
    /// Retries a failed task.
    fn retry_task(id: &'a str) -> Task
        = client path => client.post(&path.of("/api/v1/tasks").at(id).of("/retry"), &Nothing {});

    /// Starts a run. With a key it takes effect once, however often it is sent.
    fn start(request: StartRun, key: Option<&'a str>) -> StartedRun
        = client path => client.post_once(&path.of("/api/v1/runs"), key, &request);
    /// Estimates a run without starting it.
    fn estimate(request: StartRun) -> Estimate = client path => client.post(&path.of("/api/v1/runs/estimate"), &request);
    /// Returns the estimate of a run from what was known before it, and what it took.
    fn run_estimate(id: &'a str) -> Estimate
        = client path => client.get(&path.of("/api/v1/runs").at(id).of("/estimate"));
    /// Returns a run with its outputs, once it has ended or `wait_ms` has passed.
    fn run(id: &'a str, wait_ms: u64) -> Run
        = client path => client.get(&path.of("/api/v1/runs").at(id).with("wait_ms", wait_ms));
    /// Returns a run with its outputs, its inputs, its version, and counts of its steps.
    fn run_details(id: &'a str) -> Run = client path => client.get(&path.of("/api/v1/runs").at(id).query(&DETAILS));
    /// Explains why the steps of a run have their states, and what ends their waits.
    fn explain_run(id: &'a str) -> Explanation
        = client path => client.get(&path.of("/api/v1/runs").at(id).of("/explain"));
    /// Returns runs, newest first.
    fn runs(query: RunQuery) -> RunPage = client path => client.get(&path.of("/api/v1/runs").query(&query));
    /// Returns the steps of a run that have begun or been skipped.
    fn steps(id: &'a str, page: Paging) -> StepList
        = client path => client.get(&path.of("/api/v1/runs").at(id).of("/steps").query(&page));
    /// Returns entries of the journal of a run.
    fn journal(id: &'a str, query: JournalQuery) -> JournalPage
        = client path => client.get(&path.of("/api/v1/runs").at(id).of("/journal").query(&query));
    /// Cancels a run.
    fn cancel_run(id: &'a str, why: Reason) -> Run
        = client path => client.post(&path.of("/api/v1/runs").at(id).of("/cancel"), &why);
    /// Pauses a run: nothing further begins until it is resumed.
    fn pause_run(id: &'a str) -> Run
        = client path => client.post(&path.of("/api/v1/runs").at(id).of("/pause"), &Nothing {});
    /// Resumes a paused run.
    fn resume_run(id: &'a str) -> Run
        = client path => client.post(&path.of("/api/v1/runs").at(id).of("/resume"), &Nothing {});
    /// Sends a signal to a run.
    fn signal(id: &'a str, name: &'a str, signal: Signal) -> Run
        = client path => client.post(&path.of("/api/v1/runs").at(id).of("/signals").at(name), &signal);
    /// Reruns a run, with the results of steps that succeeded.
    fn rerun(id: &'a str, request: Rerun) -> StartedRun
        = client path => client.post(&path.of("/api/v1/runs").at(id).of("/rerun"), &request);

    /// Returns the steps that wait for a person, oldest first.
    fn approvals() -> ApprovalList = client path => client.get(&path.of("/api/v1/approvals"));
    /// Answers a step that waits for a person.
    fn answer(id: &'a str, approved: bool, answer: Answer) -> Task
        = client path => client.post(&path.of("/api/v1/approvals").at(id).of(verb(approved)), &answer);

    /// Returns the queues.
    fn queues() -> QueueList = client path => client.get(&path.of("/api/v1/queues"));
    /// Pauses a queue.
    fn pause_queue(name: &'a str, why: Reason) -> Paused
        = client path => client.post(&path.of("/api/v1/queues").at(name).of("/pause"), &why);
    /// Resumes a queue.
    fn resume_queue(name: &'a str, why: Reason) -> Paused
        = client path => client.post(&path.of("/api/v1/queues").at(name).of("/resume"), &why);
    /// Pauses a worker.
    fn pause_worker(name: &'a str, why: Reason) -> Paused
        = client path => client.post(&path.of("/api/v1/workers").at(name).of("/pause"), &why);
    /// Resumes a worker.
    fn resume_worker(name: &'a str, why: Reason) -> Paused
        = client path => client.post(&path.of("/api/v1/workers").at(name).of("/resume"), &why);

    /// Returns dead letters, newest first.
    fn dead_letters(query: DeadQuery) -> TaskPage
        = client path => client.get(&path.of("/api/v1/dead").query(&query));
    /// Retries a dead letter, its counts at zero.
    fn retry_dead(id: &'a str) -> Task
        = client path => client.post(&path.of("/api/v1/dead").at(id).of("/retry"), &Nothing {});
    /// Discards a dead letter.
    fn discard_dead(id: &'a str, why: Reason) -> Task
        = client path => client.post(&path.of("/api/v1/dead").at(id).of("/discard"), &why);

    /// Returns the workers that tasks can be submitted to.
    fn workers() -> WorkerList = client path => client.get(&path.of("/api/v1/workers"));
    /// Returns a worker.
    fn worker(name: &'a str) -> Worker = client path => client.get(&path.of("/api/v1/workers").at(name));
    /// Forgets a worker of hosts.
    fn forget_worker(name: &'a str) -> Forgotten
        = client path => client.delete(&path.of("/api/v1/workers").at(name));
    /// Returns the state of the workers, hosts and scripts.
    fn workers_status() -> WorkersStatus = client path => client.get(&path.of("/api/v1/workers/status"));

    /// Returns the scripts of the folder of workers.
    fn scripts() -> ScriptList = client path => client.get(&path.of("/api/v1/scripts"));
    /// Restarts a script or one of its processes.
    fn restart_script(id: &'a str, why: Reason) -> Restarted
        = client path => client.post(&path.of("/api/v1/scripts").at(id).of("/restart"), &why);
    /// Restarts every script that is started.
    fn restart_scripts(why: Reason) -> Restarted
        = client path => client.post(&path.of("/workers/restart-all"), &why);
    /// Changes the number of processes of a script.
    fn scale_script(id: &'a str, scale: Scale) -> Script
        = client path => client.post(&path.of("/api/v1/scripts").at(id).of("/scale"), &scale);
    /// Returns the last lines of a script.
    fn script_logs(id: &'a str, tail: usize) -> LogLines
        = client path => client.get(&path.of("/api/v1/scripts").at(id).of("/logs").with("tail", tail as u64));

    /// Returns versions of workflows, newest first.
    fn workflows(page: Paging) -> VersionPage
        = client path => client.get(&path.of("/api/v1/workflows").query(&page));
    /// Returns versions of a workflow, newest first.
    fn versions(name: &'a str, page: Paging) -> VersionPage
        = client path => client.get(&path.of("/api/v1/workflows").at(name).query(&page));
    /// Returns a version and its text.
    fn version(name: &'a str, number: u32) -> VersionSource
        = client path => client.get(&path.of("/api/v1/workflows").at(name).at(&number.to_string()));
    /// Publishes a version.
    fn publish(request: Publish) -> Version
        = client path => client.post(&path.of("/api/v1/workflows"), &request);
    /// Makes an earlier version the newest.
    fn rollback(name: &'a str, request: Rollback) -> Version
        = client path => client.post(&path.of("/api/v1/workflows").at(name).of("/rollback"), &request);
    /// Compares two versions.
    fn diff(name: &'a str, query: DiffQuery) -> VersionDiff
        = client path => client.get(&path.of("/api/v1/workflows").at(name).of("/diff").query(&query));
    /// Deletes a version that has no runs.
    fn delete_version(name: &'a str, number: u32) -> VersionDeleted
        = client path => client.delete(&path.of("/api/v1/workflows").at(name).at(&number.to_string()));

    /// Returns schedules by name.
    fn schedules(page: Paging) -> SchedulePage
        = client path => client.get(&path.of("/api/v1/schedules").query(&page));
    /// Returns a schedule with its last fires.
    fn schedule(name: &'a str) -> Schedule = client path => client.get(&path.of("/api/v1/schedules").at(name));
    /// Makes a schedule.
    fn create_schedule(request: NewSchedule) -> Schedule
        = client path => client.post(&path.of("/api/v1/schedules"), &request);
    /// Pauses a schedule: nothing is fired until it is resumed.
    fn pause_schedule(name: &'a str, why: Reason) -> Schedule
        = client path => client.post(&path.of("/api/v1/schedules").at(name).of("/pause"), &why);
    /// Resumes a schedule. The times that passed are not fired.
    fn resume_schedule(name: &'a str, why: Reason) -> Schedule
        = client path => client.post(&path.of("/api/v1/schedules").at(name).of("/resume"), &why);
    /// Deletes a schedule. Its runs and tasks continue.
    fn delete_schedule(name: &'a str) -> ScheduleDeleted
        = client path => client.delete(&path.of("/api/v1/schedules").at(name));
    /// Returns the next times of a schedule.
    fn next_fires(name: &'a str, query: NextQuery) -> NextFires
        = client path => client.get(&path.of("/api/v1/schedules").at(name).of("/next").query(&query));
    /// Fires a schedule now, whatever its times.
    fn fire_schedule(name: &'a str, key: Option<&'a str>) -> Fire
        = client path => client.post_once(&path.of("/api/v1/schedules").at(name).of("/fire"), key, &Nothing {});
    /// Fires the times of a past range that were not started, one after another.
    fn backfill_schedule(name: &'a str, range: BackfillRange) -> Backfilled
        = client path => client.post(&path.of("/api/v1/schedules").at(name).of("/backfill"), &range);

    /// Returns the subscriptions to events, by name.
    fn subscriptions() -> SubscriptionList = client path => client.get(&path.of("/api/v1/subscriptions"));
    /// Returns a subscription.
    fn subscription(name: &'a str) -> Subscription
        = client path => client.get(&path.of("/api/v1/subscriptions").at(name));
    /// Makes a subscription.
    fn create_subscription(request: NewSubscription) -> SubscriptionCreated
        = client path => client.post(&path.of("/api/v1/subscriptions"), &request);
    /// Changes a subscription.
    fn change_subscription(name: &'a str, change: ChangeSubscription) -> Subscription
        = client path => client.post(&path.of("/api/v1/subscriptions").at(name).of("/change"), &change);
    /// Pauses a subscription: events are recorded and wait.
    fn pause_subscription(name: &'a str, why: Reason) -> Subscription
        = client path => client.post(&path.of("/api/v1/subscriptions").at(name).of("/pause"), &why);
    /// Resumes a subscription that was paused or that its receiver ended.
    fn resume_subscription(name: &'a str, why: Reason) -> Subscription
        = client path => client.post(&path.of("/api/v1/subscriptions").at(name).of("/resume"), &why);
    /// Deletes a subscription with its deliveries.
    fn delete_subscription(name: &'a str) -> SubscriptionDeleted
        = client path => client.delete(&path.of("/api/v1/subscriptions").at(name));
    /// Gives a subscription a new secret; the former one signs, too, for some hours.
    fn rotate_secret(name: &'a str, request: RotateSecret) -> SubscriptionCreated
        = client path => client.post(&path.of("/api/v1/subscriptions").at(name).of("/rotate"), &request);
    /// Sends a subscription an event to try it.
    fn test_subscription(name: &'a str) -> Delivery
        = client path => client.post(&path.of("/api/v1/subscriptions").at(name).of("/test"), &Nothing {});
    /// Returns deliveries of a subscription, newest first.
    fn deliveries(name: &'a str, query: DeliveryQuery) -> DeliveryPage
        = client path => client.get(&path.of("/api/v1/subscriptions").at(name).of("/deliveries").query(&query));
    /// Sends the event of a delivery once more.
    fn replay_delivery(name: &'a str, id: &'a str) -> Delivery
        = client path => client.post(
            &path.of("/api/v1/subscriptions").at(name).of("/deliveries").at(id).of("/replay"),
            &Nothing {},
        );

    /// Returns budgets, and what is spent of them.
    fn budgets() -> BudgetList = client path => client.get(&path.of("/api/v1/budgets"));
    /// Sets or raises a budget.
    fn set_budget(request: SetBudget) -> Budget
        = client path => client.post(&path.of("/api/v1/budgets"), &request);
    /// Gives a budget the limit of the configuration file again.
    fn reset_budget(request: ResetBudget) -> BudgetReset
        = client path => client.post(&path.of("/api/v1/budgets/reset"), &request);
    /// Returns a report of spending.
    fn cost(query: CostQuery) -> CostReport = client path => client.get(&path.of("/api/v1/cost").query(&query));
    /// Returns calls of models, newest first.
    fn calls(query: CallQuery) -> CallPage = client path => client.get(&path.of("/api/v1/calls").query(&query));
    /// Returns a call of a model with its recorded answer.
    fn call(id: &'a str) -> CallAnswered = client path => client.get(&path.of("/api/v1/calls").at(id));
    /// Returns names of models, and how providers fare.
    fn providers() -> ProviderReport = client path => client.get(&path.of("/api/v1/providers"));
    /// Finds by an id, a number or a part of a name.
    fn search(query: SearchQuery) -> SearchReport = client path => client.get(&path.of("/api/v1/search").query(&query));
    /// Does one act on many runs.
    fn bulk_runs(request: BulkRuns) -> BulkResult = client path => client.post(&path.of("/api/v1/runs/bulk"), &request);
    /// Does one act on many tasks outside of runs.
    fn bulk_tasks(request: BulkTasks) -> BulkResult
        = client path => client.post(&path.of("/api/v1/tasks/bulk"), &request);
    /// Returns dead letters by worker and error.
    fn dead_groups() -> DeadGroups = client path => client.get(&path.of("/api/v1/dead/groups"));

    /// Returns the files, by hash.
    fn artifacts(page: Paging) -> ArtifactPage
        = client path => client.get(&path.of("/api/v1/artifacts").query(&page));
    /// Returns the keys.
    fn keys() -> KeyList = client path => client.get(&path.of("/api/v1/keys"));
    /// Makes a key.
    fn create_key(request: NewKey) -> KeyCreated = client path => client.post(&path.of("/api/v1/keys"), &request);
    /// Revokes a key.
    fn revoke_key(id: &'a str) -> Key = client path => client.delete(&path.of("/api/v1/keys").at(id));
    /// Replaces the token of the folder.
    fn rotate_token() -> TokenRotated = client path => client.post(&path.of("/api/v1/token/rotate"), &Nothing {});
    /// Returns administrative acts, newest first.
    fn audit(query: AuditQuery) -> AuditPage
        = client path => client.get(&path.of("/api/v1/audit").query(&query));
    /// Returns the overall health.
    fn health() -> ServerHealth = client path => client.get(&path.of("/health"));
}
