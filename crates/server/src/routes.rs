//! The table of all routes. Each line also says who may ask.

use axum::http::{Method, StatusCode};
use kapelle_api as api;
use kapelle_app::Permission::{Administer, Approve, Ask, Operate, Public, Read, Scrape, Submit, Work};

use crate::{
    console_routes,
    handlers::{
        approvals, artifacts, audit, budgets, dead, events, export, health, host_duplex, hosts, keys, links, models,
        openapi, queues, results, runs, scripts, tasks, workers, workflows,
    },
    parameters::{
        AFTER, AUDIT_FILTERS, CALLS, COST, DEAD_FILTERS, DETAILS, DIFF, FILE_NAME, JOURNAL, LIVE, LOGS, PAGING,
        RESULTS, RUN_FILTERS, SOCKET, STEPS, SUBMIT, TASK_FILTERS,
    },
    route::{
        BODY, BODY_FILE, BODY_LINK, BODY_MANY, Route,
        Scope::{Nobody, Server, Tenant},
    },
    schedule_routes, subscription_routes,
};

const HTML: &str = "text/html";
const LINES: &str = "application/x-ndjson";
const STREAM: &str = "text/event-stream";

pub(crate) fn get(path: &'static str) -> (Method, &'static str) {
    (Method::GET, path)
}

pub(crate) fn post(path: &'static str) -> (Method, &'static str) {
    (Method::POST, path)
}

pub(crate) fn delete(path: &'static str) -> (Method, &'static str) {
    (Method::DELETE, path)
}

/// Returns all routes.
#[must_use]
pub fn routes() -> Vec<Route> {
    [
        plain(),
        of_tasks(),
        of_files(),
        of_runs(),
        of_workflows(),
        of_workers(),
        schedule_routes::of_schedules(),
        subscription_routes::of_subscriptions(),
        subscription_routes::of_deliveries(),
        of_hosts(),
        of_operation(),
        live(),
        of_models(),
        console_routes::console(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn plain() -> Vec<Route> {
    let ok = StatusCode::OK;
    vec![
        Route::new(get("/livez"), Public, Nobody, "Liveness of the process", health::live)
            .gives::<api::Alive>(StatusCode::OK),
        Route::new(get("/readyz"), Public, Nobody, "Readiness for work", health::ready)
            .gives::<api::Alive>(StatusCode::OK),
        Route::new(get("/health"), Public, Nobody, "Health, with counts of workers", health::health)
            .gives::<api::ServerHealth>(StatusCode::OK),
        Route::new(get("/metrics"), Scrape, Server, "Metrics for Prometheus", health::metrics).media(ok, "text/plain"),
        Route::new(get("/openapi.json"), Public, Nobody, "This interface, as OpenAPI 3.1", openapi::json),
        Route::new(get("/docs"), Public, Nobody, "This interface, as a page", openapi::page).media(ok, HTML),
        Route::new(get("/approve/{link}"), Public, Nobody, "The question of a link", links::show).media(ok, HTML),
        Route::new(post("/approve/{link}"), Public, Nobody, "Answer the question, once", links::answer)
            .takes::<api::LinkAnswer>(BODY_LINK)
            .gives::<api::LinkAnswered>(ok),
        Route::new(get("/workers/status"), Read, Tenant, "State of the workers", workers::status)
            .gives::<api::WorkersStatus>(ok),
        Route::new(post("/workers/restart/{id}"), Operate, Tenant, "Restart a script", scripts::restart)
            .takes::<api::Reason>(BODY)
            .gives::<api::Restarted>(ok),
        Route::new(post("/workers/restart-all"), Operate, Tenant, "Restart all scripts", scripts::restart_all)
            .takes::<api::Reason>(BODY)
            .gives::<api::Restarted>(ok),
        Route::new(get("/workers/logs/{id}"), Read, Tenant, "The log of a script, followed on request", scripts::logs)
            .gives::<api::LogLines>(ok)
            .query(LOGS),
    ]
}

fn of_tasks() -> Vec<Route> {
    let (ok, created) = (StatusCode::OK, StatusCode::CREATED);
    vec![
        Route::new(post("/api/v1/tasks"), Submit, Tenant, "Submit a task", tasks::submit)
            .takes::<api::SubmitTask>(BODY)
            .gives::<api::Submitted>(created)
            .query(SUBMIT),
        Route::new(post("/api/v1/tasks/batch"), Submit, Tenant, "Submit tasks, all or none", tasks::submit_batch)
            .takes::<api::SubmitBatch>(BODY_MANY)
            .gives::<api::BatchSubmitted>(created)
            .query(RESULTS),
        Route::new(get("/api/v1/tasks"), Read, Tenant, "Tasks, newest first", tasks::list)
            .gives::<api::TaskPage>(ok)
            .query(TASK_FILTERS),
        Route::new(get("/api/v1/tasks/{id}"), Read, Tenant, "A task and its answer", tasks::get)
            .gives::<api::Task>(ok)
            .marked()
            .query(DETAILS),
        Route::new(get("/api/v1/tasks/{id}/explain"), Read, Tenant, "Why a task waits", tasks::explain)
            .gives::<api::Explanation>(ok),
        Route::new(post("/api/v1/tasks/{id}/cancel"), Submit, Tenant, "Cancel a task", tasks::cancel)
            .takes::<api::Reason>(BODY)
            .gives::<api::Task>(ok),
        Route::new(post("/api/v1/tasks/{id}/retry"), Operate, Tenant, "Retry a failed task", tasks::retry)
            .gives::<api::Task>(ok),
    ]
}

/// Dead letters and files.
fn of_files() -> Vec<Route> {
    let (ok, created) = (StatusCode::OK, StatusCode::CREATED);
    vec![
        Route::new(get("/api/v1/dead"), Read, Tenant, "Dead letters, newest first", dead::list)
            .gives::<api::TaskPage>(ok)
            .query(DEAD_FILTERS),
        Route::new(post("/api/v1/dead/{id}/retry"), Operate, Tenant, "Retry it, its counts at zero", dead::retry)
            .gives::<api::Task>(ok),
        Route::new(post("/api/v1/dead/{id}/discard"), Operate, Tenant, "Discard a dead letter", dead::discard)
            .takes::<api::Reason>(BODY)
            .gives::<api::Task>(ok),
        Route::new(post("/api/v1/artifacts"), Submit, Tenant, "Upload a file", artifacts::give)
            .takes_bytes(BODY_FILE)
            .gives::<api::Artifact>(created)
            .query(FILE_NAME),
        Route::new(get("/api/v1/artifacts"), Read, Tenant, "The files, by their hash", artifacts::list)
            .gives::<api::ArtifactPage>(ok)
            .query(PAGING),
        Route::new(get("/api/v1/artifacts/{id}"), Read, Tenant, "The bytes of a file, or a range", artifacts::get),
    ]
}

fn of_runs() -> Vec<Route> {
    let ok = StatusCode::OK;
    vec![
        Route::new(post("/api/v1/runs"), Submit, Tenant, "Start a run of a workflow", runs::start)
            .takes::<api::StartRun>(BODY_MANY)
            .gives::<api::StartedRun>(StatusCode::CREATED),
        Route::new(get("/api/v1/runs"), Read, Tenant, "Runs, newest first", runs::list)
            .gives::<api::RunPage>(ok)
            .query(RUN_FILTERS),
        Route::new(get("/api/v1/runs/{id}"), Read, Tenant, "A run and its outputs", runs::get)
            .gives::<api::Run>(ok)
            .marked()
            .query(DETAILS),
        Route::new(post("/api/v1/runs/estimate"), Read, Tenant, "Estimate a run without starting it", runs::estimate)
            .takes::<api::StartRun>(BODY_MANY)
            .gives::<api::Estimate>(ok),
        Route::new(get("/api/v1/runs/{id}/estimate"), Read, Tenant, "Estimate and actual of a run", runs::run_estimate)
            .gives::<api::Estimate>(ok),
        Route::new(get("/api/v1/runs/{id}/explain"), Read, Tenant, "Why steps of a run wait", runs::explain)
            .gives::<api::Explanation>(ok),
        Route::new(get("/api/v1/runs/{id}/steps"), Read, Tenant, "The steps of a run", runs::steps)
            .gives::<api::StepList>(ok)
            .query(STEPS),
        Route::new(get("/api/v1/runs/{id}/journal"), Read, Tenant, "The journal of a run", runs::journal)
            .gives::<api::JournalPage>(ok)
            .query(JOURNAL),
        Route::new(get("/api/v1/runs/{id}/export"), Read, Tenant, "A whole run, one object a line", export::run)
            .media(ok, "application/x-ndjson"),
        Route::new(post("/api/v1/runs/{id}/cancel"), Submit, Tenant, "Cancel a run", runs::cancel)
            .takes::<api::Reason>(BODY)
            .gives::<api::Run>(ok),
        Route::new(post("/api/v1/runs/{id}/pause"), Submit, Tenant, "Pause a run", runs::pause).gives::<api::Run>(ok),
        Route::new(post("/api/v1/runs/{id}/resume"), Submit, Tenant, "Resume a paused run", runs::resume)
            .gives::<api::Run>(ok),
        Route::new(post("/api/v1/runs/{id}/signals/{name}"), Submit, Tenant, "Send a signal to a run", runs::signal)
            .takes::<api::Signal>(BODY_MANY)
            .gives::<api::Run>(ok),
        Route::new(post("/api/v1/runs/{id}/rerun"), Submit, Tenant, "Run again with earlier results", runs::rerun)
            .takes::<api::Rerun>(BODY)
            .gives::<api::StartedRun>(StatusCode::CREATED),
        Route::new(get("/api/v1/approvals"), Read, Tenant, "Steps that wait for a person", approvals::list)
            .gives::<api::ApprovalList>(ok),
        Route::new(post("/api/v1/approvals/{id}/approve"), Approve, Tenant, "Approve a step", approvals::approve)
            .takes::<api::Answer>(BODY)
            .gives::<api::Task>(ok),
        Route::new(post("/api/v1/approvals/{id}/deny"), Approve, Tenant, "Deny a step", approvals::deny)
            .takes::<api::Answer>(BODY)
            .gives::<api::Task>(ok),
    ]
}

fn of_workflows() -> Vec<Route> {
    let (ok, created) = (StatusCode::OK, StatusCode::CREATED);
    vec![
        Route::new(get("/api/v1/workflows"), Read, Tenant, "Versions of workflows, newest first", workflows::list)
            .gives::<api::VersionPage>(ok)
            .query(PAGING),
        Route::new(get("/api/v1/workflows/{name}"), Read, Tenant, "Versions of a workflow", workflows::versions)
            .gives::<api::VersionPage>(ok)
            .query(PAGING),
        Route::new(get("/api/v1/workflows/{name}/{number}"), Read, Tenant, "A version and its text", workflows::get)
            .gives::<api::VersionSource>(ok)
            .marked(),
        Route::new(post("/api/v1/workflows"), Submit, Tenant, "Publish a version", workflows::publish)
            .takes::<api::Publish>(BODY_MANY)
            .gives::<api::Version>(created),
        Route::new(get("/api/v1/workflows/{name}/diff"), Read, Tenant, "Compare versions", workflows::diff)
            .gives::<api::VersionDiff>(ok)
            .query(DIFF),
        Route::new(post("/api/v1/workflows/{name}/rollback"), Submit, Tenant, "Roll back to one", workflows::rollback)
            .takes::<api::Rollback>(BODY)
            .gives::<api::Version>(created),
        Route::new(
            delete("/api/v1/workflows/{name}/{number}"),
            Operate,
            Tenant,
            "Delete a version without runs",
            workflows::remove,
        )
        .gives::<api::VersionDeleted>(StatusCode::OK),
    ]
}

fn of_workers() -> Vec<Route> {
    let ok = StatusCode::OK;
    vec![
        Route::new(get("/api/v1/workers"), Read, Tenant, "The workers that take tasks", workers::list)
            .gives::<api::WorkerList>(ok),
        Route::new(get("/api/v1/workers/status"), Read, Tenant, "State of the workers", workers::status)
            .gives::<api::WorkersStatus>(ok),
        Route::new(get("/api/v1/scripts"), Read, Tenant, "The scripts, started or not, and why", scripts::list)
            .gives::<api::ScriptList>(ok),
        Route::new(post("/api/v1/scripts/{id}/restart"), Operate, Tenant, "Restart a script", scripts::restart)
            .takes::<api::Reason>(BODY)
            .gives::<api::Restarted>(ok),
        Route::new(post("/api/v1/scripts/{id}/scale"), Operate, Tenant, "Scale its processes", scripts::scale)
            .takes::<api::Scale>(BODY)
            .gives::<api::Script>(ok),
        Route::new(get("/api/v1/scripts/{id}/logs"), Read, Tenant, "Its log, followed on request", scripts::logs)
            .gives::<api::LogLines>(ok)
            .query(LOGS),
        Route::new(get("/api/v1/workers/{name}"), Read, Tenant, "A worker", workers::get).gives::<api::Worker>(ok),
        Route::new(delete("/api/v1/workers/{name}"), Operate, Tenant, "Forget a worker of hosts", workers::forget)
            .gives::<api::Forgotten>(StatusCode::OK),
        Route::new(get("/api/v1/queues"), Read, Tenant, "The queues", queues::list).gives::<api::QueueList>(ok),
        Route::new(post("/api/v1/queues/{name}/pause"), Operate, Server, "Pause a queue", queues::pause)
            .takes::<api::Reason>(BODY)
            .gives::<api::Paused>(StatusCode::OK),
        Route::new(post("/api/v1/queues/{name}/resume"), Operate, Server, "Resume a queue", queues::resume)
            .takes::<api::Reason>(BODY)
            .gives::<api::Paused>(StatusCode::OK),
        Route::new(post("/api/v1/workers/{name}/pause"), Operate, Tenant, "Pause a worker", queues::pause_worker)
            .takes::<api::Reason>(BODY)
            .gives::<api::Paused>(StatusCode::OK),
        Route::new(post("/api/v1/workers/{name}/resume"), Operate, Tenant, "Resume it", queues::resume_worker)
            .takes::<api::Reason>(BODY)
            .gives::<api::Paused>(StatusCode::OK),
    ]
}

fn of_hosts() -> Vec<Route> {
    let (ok, created) = (StatusCode::OK, StatusCode::CREATED);
    vec![
        Route::new(post("/api/v1/hosts"), Work, Tenant, "Register a worker host", hosts::register)
            .takes::<api::Register>(BODY)
            .gives::<api::Registered>(created),
        Route::new(delete("/api/v1/hosts/{id}"), Work, Tenant, "Remove a worker host", hosts::leave)
            .gives::<api::HostLeft>(StatusCode::OK),
        Route::new(post("/api/v1/hosts/{id}/claim"), Work, Tenant, "Claim tasks, with a wait", hosts::claim)
            .takes::<api::Claim>(BODY)
            .gives::<api::Claimed>(ok),
        Route::new(post("/api/v1/hosts/{id}/ack"), Work, Tenant, "Acknowledge claimed tasks", hosts::ack)
            .takes::<api::Ack>(BODY)
            .gives::<api::Acknowledged>(StatusCode::OK),
        Route::new(post("/api/v1/hosts/{id}/stream"), Work, Tenant, "Tasks as they become ready", hosts::stream)
            .takes::<api::OpenHostStream>(BODY)
            .gives::<api::HostLine>(ok)
            .sends(LINES),
        Route::new(
            post("/api/v1/hosts/{id}/duplex"),
            Work,
            Tenant,
            "Tasks as they become ready, frames in the body",
            host_duplex::open,
        )
        .takes_bytes(BODY_FILE)
        .gives::<api::HostLine>(ok)
        .sends(LINES),
        Route::new(post("/api/v1/hosts/{id}/frame"), Work, Tenant, "Acknowledge, renew and report", hosts::frame)
            .takes::<api::Frame>(BODY_MANY)
            .gives::<api::FrameAnswer>(ok),
        Route::new(post("/api/v1/hosts/{id}/heartbeat"), Work, Tenant, "Renew leases", hosts::heartbeat)
            .takes::<api::Beat>(BODY)
            .gives::<api::BeatAnswer>(ok),
        Route::new(
            get("/api/v1/files/{id}"),
            Work,
            Tenant,
            "The bytes of a file that a task refers to",
            artifacts::fetch,
        )
        .media(StatusCode::OK, "application/octet-stream"),
        Route::new(post("/api/v1/hosts/{id}/report"), Work, Tenant, "Report the ends of attempts", hosts::report)
            .takes::<api::Reports>(BODY_MANY)
            .gives::<api::ReportAnswer>(ok),
        Route::new(post("/api/v1/tasks/{id}/succeed"), Work, Tenant, "Report an answer", hosts::succeed)
            .takes::<api::SingleReport>(BODY_MANY)
            .gives::<api::ReportResult>(ok),
        Route::new(post("/api/v1/tasks/{id}/fail"), Work, Tenant, "Report an error", hosts::fail)
            .takes::<api::SingleReport>(BODY)
            .gives::<api::ReportResult>(ok),
        Route::new(post("/api/v1/tasks/{id}/release"), Work, Tenant, "Release a task", hosts::release)
            .takes::<api::SingleReport>(BODY)
            .gives::<api::ReportResult>(ok),
    ]
}

fn of_operation() -> Vec<Route> {
    let ok = StatusCode::OK;
    vec![
        Route::new(get("/api/v1/keys"), Administer, Tenant, "The keys", keys::list).gives::<api::KeyList>(ok),
        Route::new(post("/api/v1/keys"), Administer, Tenant, "Make a key", keys::create)
            .takes::<api::NewKey>(BODY)
            .gives::<api::KeyCreated>(StatusCode::CREATED),
        Route::new(delete("/api/v1/keys/{id}"), Administer, Tenant, "Revoke a key", keys::revoke).gives::<api::Key>(ok),
        Route::new(post("/api/v1/token/rotate"), Administer, Server, "Replace the folder's token", keys::rotate)
            .gives::<api::TokenRotated>(ok),
        Route::new(get("/api/v1/audit"), Administer, Tenant, "Administrative acts, newest first", audit::list)
            .gives::<api::AuditPage>(ok)
            .query(AUDIT_FILTERS),
    ]
}

fn live() -> Vec<Route> {
    vec![
        Route::new(get("/api/v1/runs/{id}/events"), Read, Tenant, "Events of a run (SSE), without gaps", events::run)
            .gives::<api::JournalEntry>(StatusCode::OK)
            .sends(STREAM)
            .query(AFTER),
        Route::new(get("/api/v1/events"), Read, Tenant, "All events (SSE)", events::all)
            .gives::<api::LiveEvent>(StatusCode::OK)
            .sends(STREAM)
            .query(LIVE),
        Route::new(post("/api/v1/results"), Read, Tenant, "Ends of many tasks, as they come", results::open)
            .takes::<api::OpenResults>(BODY)
            .gives::<api::ResultLine>(StatusCode::OK)
            .sends(LINES),
        Route::new(post("/api/v1/results/{id}"), Read, Tenant, "Change the tasks of that stream", results::change)
            .takes::<api::ChangeResults>(BODY)
            .gives::<api::OpenedResults>(StatusCode::OK),
        Route::new(get("/api/v1/ws"), Read, Tenant, "All events (WebSocket)", events::socket)
            .gives::<api::LiveEvent>(StatusCode::SWITCHING_PROTOCOLS)
            .query(SOCKET),
        Route::new(post("/api/v1/tickets"), Read, Tenant, "A ticket for opening one stream", events::ticket)
            .gives::<api::Ticket>(StatusCode::CREATED),
    ]
}

fn of_models() -> Vec<Route> {
    let ok = StatusCode::OK;
    vec![
        Route::new(get("/v1/models"), Ask, Tenant, "The available models (OpenAI)", models::list).openai(0),
        Route::new(post("/v1/chat/completions"), Ask, Tenant, "Ask a model (OpenAI)", models::chat).openai(BODY_MANY),
        Route::new(post("/v1/responses"), Ask, Tenant, "Ask a model (OpenAI)", models::responses).openai(BODY_MANY),
        Route::new(post("/v1/embeddings"), Ask, Tenant, "Embed texts (OpenAI)", models::embeddings).openai(BODY_MANY),
        Route::new(post("/v1/messages"), Ask, Tenant, "Ask a model (Anthropic)", models::messages).openai(BODY_MANY),
        Route::new(post("/v1/messages/count_tokens"), Ask, Tenant, "Count tokens (Anthropic)", models::count_tokens)
            .openai(BODY_MANY),
        Route::new(get("/api/v1/budgets"), Read, Tenant, "Budgets and their spending", budgets::list)
            .gives::<api::BudgetList>(ok),
        Route::new(post("/api/v1/budgets"), Administer, Tenant, "Set or raise a budget", budgets::set)
            .takes::<api::SetBudget>(BODY)
            .gives::<api::Budget>(ok),
        Route::new(post("/api/v1/budgets/reset"), Administer, Tenant, "Reset a budget to the file's", budgets::reset)
            .takes::<api::ResetBudget>(BODY)
            .gives::<api::BudgetReset>(ok),
        Route::new(get("/api/v1/cost"), Read, Tenant, "Spending by account and time", budgets::cost)
            .gives::<api::CostReport>(ok)
            .query(COST),
        Route::new(get("/api/v1/calls"), Read, Tenant, "Calls of models, newest first", budgets::calls)
            .gives::<api::CallPage>(ok)
            .query(CALLS),
    ]
}
