//! Routes of schedules.

use axum::http::StatusCode;
use kapelle_api as api;
use kapelle_app::Permission::{Operate, Read};

use crate::{
    handlers::schedules,
    parameters::{NEXT, PAGING},
    route::{BODY, Route, Scope::Tenant},
    routes::{delete, get, post},
};

/// Returns the routes of schedules.
pub(crate) fn of_schedules() -> Vec<Route> {
    let ok = StatusCode::OK;
    vec![
        Route::new(get("/api/v1/schedules"), Read, Tenant, "Schedules, by name", schedules::list)
            .gives::<api::SchedulePage>(ok)
            .query(PAGING),
        Route::new(post("/api/v1/schedules"), Operate, Tenant, "Make a schedule", schedules::create)
            .takes::<api::NewSchedule>(BODY)
            .gives::<api::Schedule>(StatusCode::CREATED),
        Route::new(get("/api/v1/schedules/{name}"), Read, Tenant, "A schedule and its last fires", schedules::get)
            .gives::<api::Schedule>(ok),
        Route::new(get("/api/v1/schedules/{name}/next"), Read, Tenant, "Its next times", schedules::next)
            .gives::<api::NextFires>(ok)
            .query(NEXT),
        Route::new(post("/api/v1/schedules/{name}/pause"), Operate, Tenant, "Pause a schedule", schedules::pause)
            .takes::<api::Reason>(BODY)
            .gives::<api::Schedule>(ok),
        Route::new(post("/api/v1/schedules/{name}/resume"), Operate, Tenant, "Resume a schedule", schedules::resume)
            .takes::<api::Reason>(BODY)
            .gives::<api::Schedule>(ok),
        Route::new(post("/api/v1/schedules/{name}/fire"), Operate, Tenant, "Fire a schedule now", schedules::fire)
            .gives::<api::Fire>(ok),
        Route::new(
            post("/api/v1/schedules/{name}/backfill"),
            Operate,
            Tenant,
            "Fire the times of a past range that were not started, or list them",
            schedules::backfill,
        )
        .takes::<api::BackfillRange>(BODY)
        .gives::<api::Backfilled>(ok),
        Route::new(delete("/api/v1/schedules/{name}"), Operate, Tenant, "Delete a schedule", schedules::remove)
            .gives::<api::ScheduleDeleted>(ok),
    ]
}
