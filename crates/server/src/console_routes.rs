//! The routes of the web console: its files, sessions, and what only people look at.

use axum::http::StatusCode;
use kapelle_api as api;
use kapelle_app::Permission::{Administer, Known, Operate, Public, Read, Submit};

use crate::{
    handlers::{audit, budgets, dead, health, live, runs, scripts, sessions, tasks, ui, workflows},
    parameters::{ITEM_STATES, ITEMS, SEARCH, SERIES, TICKET},
    route::{
        BODY, BODY_CODE, BODY_MANY, Route,
        Scope::{Nobody, Server, Tenant},
    },
    routes::{delete, get, post},
};

const HTML: &str = "text/html";

/// Returns the routes of the console.
pub fn console() -> Vec<Route> {
    [files(), progress(), numbers(), finding(), many(), access()].into_iter().flatten().collect()
}

fn files() -> Vec<Route> {
    let page = |path| Route::new(get(path), Public, Nobody, "The web console", ui::file).media(StatusCode::OK, HTML);
    vec![
        Route::new(get("/"), Public, Nobody, "To the web console", ui::home).media(StatusCode::FOUND, HTML),
        page("/ui"),
        page("/ui/"),
        page("/ui/{*path}"),
    ]
}

/// Routes for progress of runs and tasks, and why they wait.
fn progress() -> Vec<Route> {
    let ok = StatusCode::OK;
    vec![
        Route::new(get("/api/v1/runs/{id}/graph"), Read, Tenant, "The graph of a run, with its states", runs::graph)
            .gives::<api::Graph>(ok),
        Route::new(get("/api/v1/runs/{id}/items"), Read, Tenant, "Items of a fan-out, turns of a loop", runs::items)
            .gives::<api::ItemPage>(ok)
            .query(ITEMS),
        Route::new(
            get("/api/v1/runs/{id}/items/states"),
            Read,
            Tenant,
            "The states of all items, a byte each",
            runs::item_states,
        )
        .media(ok, "application/octet-stream")
        .query(ITEM_STATES),
        Route::new(
            get("/api/v1/workflows/{name}/{number}/graph"),
            Read,
            Tenant,
            "The graph of a version; `newest` is a number, too",
            workflows::graph,
        )
        .gives::<api::Graph>(ok),
    ]
}

/// Routes for numbers, and for changes as they happen.
fn numbers() -> Vec<Route> {
    let ok = StatusCode::OK;
    vec![
        Route::new(get("/api/v1/counts"), Read, Tenant, "Counts of what is under way", live::counts)
            .gives::<api::Counts>(ok),
        Route::new(get("/api/v1/series"), Read, Tenant, "History of counts and gauges", live::series)
            .gives::<api::SeriesReport>(ok)
            .query(SERIES),
        Route::new(get("/api/v1/system"), Read, Server, "What the server and its machine use", live::system)
            .gives::<api::SystemReport>(ok),
        Route::new(get("/api/v1/config"), Administer, Server, "Settings in force, with origins", health::config)
            .gives::<api::ConfigReport>(ok),
        Route::new(get("/api/v1/doctor"), Operate, Server, "Checks of the machine", health::doctor)
            .gives::<api::DoctorReport>(ok),
        Route::new(get("/api/v1/live"), Read, Tenant, "Changes by topic (WebSocket)", live::socket)
            .takes_messages::<api::LiveRequest>()
            .gives::<api::LiveFrame>(StatusCode::SWITCHING_PROTOCOLS)
            .query(TICKET),
    ]
}

/// Routes that find workflows, models and rows.
fn finding() -> Vec<Route> {
    let ok = StatusCode::OK;
    vec![
        Route::new(get("/api/v1/search"), Read, Tenant, "Find by id, number or part of a name", workflows::search)
            .gives::<api::SearchReport>(ok)
            .query(SEARCH),
        Route::new(get("/api/v1/workflows/catalog"), Read, Tenant, "Workflows with files and runs", workflows::catalog)
            .gives::<api::Catalog>(ok),
        Route::new(post("/api/v1/workflows/check"), Read, Tenant, "Check a text, and draw it", workflows::check)
            .takes::<api::CheckSource>(BODY_MANY)
            .gives::<api::Checked>(ok),
        Route::new(get("/api/v1/calls/{id}"), Read, Tenant, "A call of a model, and its answer", budgets::call)
            .gives::<api::CallAnswered>(ok),
        Route::new(get("/api/v1/tasks/{id}/logs"), Read, Tenant, "Lines of its script meanwhile", scripts::of_task)
            .gives::<api::LogLines>(ok),
        Route::new(get("/api/v1/audit/verify"), Administer, Server, "Check the audit trail", audit::verify)
            .gives::<api::AuditCheck>(ok),
        Route::new(get("/api/v1/providers"), Read, Tenant, "Models that workers use", budgets::providers)
            .gives::<api::ProviderReport>(ok),
    ]
}

/// One act on many things.
fn many() -> Vec<Route> {
    let ok = StatusCode::OK;
    vec![
        Route::new(post("/api/v1/runs/bulk"), Submit, Tenant, "One act on many runs", runs::bulk)
            .takes::<api::BulkRuns>(BODY)
            .gives::<api::BulkResult>(ok),
        Route::new(post("/api/v1/tasks/bulk"), Submit, Tenant, "One act on many tasks", tasks::bulk)
            .takes::<api::BulkTasks>(BODY)
            .gives::<api::BulkResult>(ok),
        Route::new(post("/api/v1/dead/bulk"), Operate, Tenant, "One act on many dead letters", dead::bulk)
            .takes::<api::BulkDead>(BODY)
            .gives::<api::BulkResult>(ok),
        Route::new(get("/api/v1/dead/groups"), Read, Tenant, "Dead letters by error", dead::groups)
            .gives::<api::DeadGroups>(ok),
    ]
}

fn access() -> Vec<Route> {
    let created = StatusCode::CREATED;
    vec![
        Route::new(post("/api/v1/sessions"), Public, Nobody, "Exchange a one-time code for a key", sessions::open)
            .takes::<api::OpenSession>(BODY_CODE)
            .gives::<api::SessionStarted>(created),
        Route::new(post("/api/v1/sessions/codes"), Read, Tenant, "A one-time code for the console", sessions::code)
            .gives::<api::SessionCode>(created),
        Route::new(get("/api/v1/me"), Known, Tenant, "The caller and its rights", sessions::me)
            .gives::<api::Me>(StatusCode::OK),
        Route::new(delete("/api/v1/sessions/current"), Known, Tenant, "Revoke the key of this request", sessions::end)
            .gives::<api::SessionEnded>(StatusCode::OK),
    ]
}
