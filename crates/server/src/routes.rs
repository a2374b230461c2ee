//! Every route there is. What does not stand here is not served; who may ask is part of the line.

use axum::http::{Method, StatusCode};
use kapelle_api as api;

use crate::{
    handlers::{
        approvals, audit, events, health, hosts, keys, links, openapi, queues, reports, runs, tasks, workers, workflows,
    },
    route::{
        BODY, BODY_MANY,
        Permission::{Administer, Operate, Public, Read, Submit, Work},
        Route,
        Scope::{Nobody, Server, Tenant},
    },
};

const HTML: &str = "text/html";
const STREAM: &str = "text/event-stream";
const PAGING: &[(&str, &str)] =
    &[("limit", "Rows at most, 1 to 1,000"), ("cursor", "`next_cursor` of the page before")];
const WAIT: &[(&str, &str)] = &[("wait_ms", "Wait that long for the end, at most 60,000")];
const TASK_FILTERS: &[(&str, &str)] = &[
    ("state", "Only tasks in this state"),
    ("queue", "Only tasks of this queue"),
    ("worker", "Only tasks for this worker"),
    ("dead", "`true`: only tasks that killed their workers"),
    ("steps", "`true`: also the steps of runs"),
    ("limit", "Rows at most, 1 to 1,000"),
    ("cursor", "`next_cursor` of the page before"),
];
const RUN_FILTERS: &[(&str, &str)] = &[
    ("workflow", "Only runs of this workflow"),
    ("open", "`true`: only runs that have not ended"),
    ("limit", "Rows at most, 1 to 1,000"),
    ("cursor", "`next_cursor` of the page before"),
];
const JOURNAL: &[(&str, &str)] = &[("from", "The number of the first entry"), ("limit", "Entries at most, 1 to 1,000")];
const AFTER: &[(&str, &str)] = &[("after", "Begin behind this entry; the header Last-Event-ID does the same")];
const LIVE: &[(&str, &str)] =
    &[("cursor", "Go on behind this event"), ("ticket", "A pass, for those who send no headers")];

fn get(path: &'static str) -> (Method, &'static str) {
    (Method::GET, path)
}

fn post(path: &'static str) -> (Method, &'static str) {
    (Method::POST, path)
}

fn delete(path: &'static str) -> (Method, &'static str) {
    (Method::DELETE, path)
}

/// Every route there is.
#[must_use]
pub fn routes() -> Vec<Route> {
    [plain(), of_tasks(), of_runs(), of_workers(), of_hosts(), of_operation(), live()].into_iter().flatten().collect()
}

fn plain() -> Vec<Route> {
    let ok = StatusCode::OK;
    vec![
        Route::new(get("/livez"), Public, Nobody, "Whether the process answers", health::live),
        Route::new(get("/readyz"), Public, Nobody, "Whether it takes work", health::ready),
        Route::new(get("/health"), Public, Nobody, "How it is, with counts of workers", health::health),
        Route::new(get("/metrics"), Read, Server, "Metrics for Prometheus", health::metrics)
            .media(ok, "application/openmetrics-text"),
        Route::new(get("/openapi.json"), Public, Nobody, "This interface, as OpenAPI 3.1", openapi::json),
        Route::new(get("/docs"), Public, Nobody, "This interface, as a page", openapi::page).media(ok, HTML),
        Route::new(get("/approve/{link}"), Public, Nobody, "A question, for who has its link", links::show)
            .media(ok, HTML),
        Route::new(post("/approve/{link}"), Public, Nobody, "Answer it, once", links::answer)
            .takes::<api::LinkAnswer>(BODY)
            .gives::<api::LinkAnswered>(ok),
        Route::new(get("/workers/status"), Read, Tenant, "How the workers are doing", workers::status)
            .gives::<api::WorkersStatus>(ok),
    ]
}

fn of_tasks() -> Vec<Route> {
    let (ok, created) = (StatusCode::OK, StatusCode::CREATED);
    vec![
        Route::new(post("/api/v1/tasks"), Submit, Tenant, "Submit a task", tasks::submit)
            .takes::<api::SubmitTask>(BODY)
            .gives::<api::Submitted>(created)
            .query(WAIT),
        Route::new(post("/api/v1/tasks/batch"), Submit, Tenant, "Submit tasks, all or none", tasks::submit_batch)
            .takes::<api::SubmitBatch>(BODY_MANY)
            .gives::<api::BatchSubmitted>(created),
        Route::new(get("/api/v1/tasks"), Read, Tenant, "Tasks, newest first", tasks::list)
            .gives::<api::TaskPage>(ok)
            .query(TASK_FILTERS),
        Route::new(get("/api/v1/tasks/{id}"), Read, Tenant, "A task and its answer", tasks::get)
            .gives::<api::Task>(ok)
            .marked()
            .query(WAIT),
        Route::new(post("/api/v1/tasks/{id}/cancel"), Submit, Tenant, "End a task", tasks::cancel)
            .takes::<api::Reason>(BODY)
            .gives::<api::Task>(ok),
        Route::new(post("/api/v1/tasks/{id}/retry"), Operate, Tenant, "Put a failed task back", tasks::retry)
            .gives::<api::Task>(ok),
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
            .query(WAIT),
        Route::new(get("/api/v1/runs/{id}/steps"), Read, Tenant, "The steps of a run", runs::steps)
            .gives::<api::StepList>(ok)
            .query(PAGING),
        Route::new(get("/api/v1/runs/{id}/journal"), Read, Tenant, "What happened to a run", runs::journal)
            .gives::<api::JournalPage>(ok)
            .query(JOURNAL),
        Route::new(post("/api/v1/runs/{id}/cancel"), Submit, Tenant, "End a run", runs::cancel)
            .takes::<api::Reason>(BODY)
            .gives::<api::Run>(ok),
        Route::new(post("/api/v1/runs/{id}/pause"), Submit, Tenant, "Begin nothing further of a run", runs::pause)
            .gives::<api::Run>(ok),
        Route::new(post("/api/v1/runs/{id}/resume"), Submit, Tenant, "Go on with a paused run", runs::resume)
            .gives::<api::Run>(ok),
        Route::new(post("/api/v1/runs/{id}/signals/{name}"), Submit, Tenant, "Send a signal to a run", runs::signal)
            .takes::<api::Signal>(BODY_MANY)
            .gives::<api::Run>(ok),
        Route::new(post("/api/v1/runs/{id}/rerun"), Submit, Tenant, "Run again with earlier results", runs::rerun)
            .takes::<api::Rerun>(BODY)
            .gives::<api::StartedRun>(StatusCode::CREATED),
        Route::new(get("/api/v1/approvals"), Read, Tenant, "Steps that wait for a person", approvals::list)
            .gives::<api::ApprovalList>(ok),
        Route::new(post("/api/v1/approvals/{id}/approve"), Submit, Tenant, "Say yes", approvals::approve)
            .takes::<api::Answer>(BODY)
            .gives::<api::Task>(ok),
        Route::new(post("/api/v1/approvals/{id}/deny"), Submit, Tenant, "Say no", approvals::deny)
            .takes::<api::Answer>(BODY)
            .gives::<api::Task>(ok),
        Route::new(get("/api/v1/workflows"), Read, Tenant, "Versions of workflows, newest first", workflows::list)
            .gives::<api::VersionPage>(ok)
            .query(PAGING),
        Route::new(get("/api/v1/workflows/{name}"), Read, Tenant, "Versions of a workflow", workflows::versions)
            .gives::<api::VersionPage>(ok)
            .query(PAGING),
        Route::new(get("/api/v1/workflows/{name}/{number}"), Read, Tenant, "A version and its text", workflows::get)
            .gives::<api::VersionSource>(ok)
            .marked(),
    ]
}

fn of_workers() -> Vec<Route> {
    let ok = StatusCode::OK;
    vec![
        Route::new(get("/api/v1/workers"), Read, Tenant, "The workers tasks can be submitted for", workers::list)
            .gives::<api::WorkerList>(ok),
        Route::new(get("/api/v1/workers/status"), Read, Tenant, "How the workers are doing", workers::status)
            .gives::<api::WorkersStatus>(ok),
        Route::new(get("/api/v1/workers/{name}"), Read, Tenant, "A worker", workers::get).gives::<api::Worker>(ok),
        Route::new(get("/api/v1/queues"), Read, Tenant, "The queues", queues::list).gives::<api::QueueList>(ok),
        Route::new(post("/api/v1/queues/{name}/pause"), Operate, Server, "Start no more of its tasks", queues::pause),
        Route::new(post("/api/v1/queues/{name}/resume"), Operate, Server, "Start its tasks again", queues::resume),
    ]
}

fn of_hosts() -> Vec<Route> {
    let (ok, created) = (StatusCode::OK, StatusCode::CREATED);
    vec![
        Route::new(post("/api/v1/hosts"), Work, Tenant, "Register a worker host", hosts::register)
            .takes::<api::Register>(BODY)
            .gives::<api::Registered>(created),
        Route::new(delete("/api/v1/hosts/{id}"), Work, Tenant, "A worker host goes away", hosts::leave),
        Route::new(post("/api/v1/hosts/{id}/claim"), Work, Tenant, "Take tasks, waiting for some", hosts::claim)
            .takes::<api::Claim>(BODY)
            .gives::<api::Claimed>(ok),
        Route::new(post("/api/v1/hosts/{id}/ack"), Work, Tenant, "Claimed tasks have arrived", hosts::ack)
            .takes::<api::Ack>(BODY),
        Route::new(post("/api/v1/hosts/{id}/heartbeat"), Work, Tenant, "Keep leases alive", hosts::heartbeat)
            .takes::<api::Beat>(BODY)
            .gives::<api::BeatAnswer>(ok),
        Route::new(post("/api/v1/hosts/{id}/report"), Work, Tenant, "Report the ends of attempts", reports::many)
            .takes::<api::Reports>(BODY_MANY)
            .gives::<api::ReportAnswer>(ok),
        Route::new(post("/api/v1/tasks/{id}/succeed"), Work, Tenant, "Report an answer", reports::succeed)
            .takes::<api::SingleReport>(BODY_MANY)
            .gives::<api::ReportResult>(ok),
        Route::new(post("/api/v1/tasks/{id}/fail"), Work, Tenant, "Report an error", reports::fail)
            .takes::<api::SingleReport>(BODY)
            .gives::<api::ReportResult>(ok),
        Route::new(post("/api/v1/tasks/{id}/release"), Work, Tenant, "Give a task back", reports::release)
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
        Route::new(delete("/api/v1/keys/{id}"), Administer, Tenant, "Take a key back", keys::revoke)
            .gives::<api::Key>(ok),
        Route::new(get("/api/v1/audit"), Administer, Tenant, "Administrative acts, newest first", audit::list)
            .gives::<api::AuditPage>(ok)
            .query(PAGING),
    ]
}

fn live() -> Vec<Route> {
    vec![
        Route::new(get("/api/v1/runs/{id}/events"), Read, Tenant, "A run as it goes (SSE), without gaps", events::run)
            .media(StatusCode::OK, STREAM)
            .query(AFTER),
        Route::new(get("/api/v1/events"), Read, Tenant, "Everything as it goes (SSE)", events::all)
            .media(StatusCode::OK, STREAM)
            .query(LIVE),
        Route::new(get("/api/v1/ws"), Read, Tenant, "Everything as it goes (WebSocket)", events::socket)
            .media(StatusCode::SWITCHING_PROTOCOLS, "application/json")
            .query(LIVE),
        Route::new(post("/api/v1/tickets"), Read, Tenant, "A pass for opening one stream", events::ticket)
            .gives::<api::Ticket>(StatusCode::CREATED),
    ]
}
