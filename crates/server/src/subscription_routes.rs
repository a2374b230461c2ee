//! Routes of subscriptions.

use axum::http::StatusCode;
use kapelle_api as api;
use kapelle_app::Permission::{Administer, Operate};

use crate::{
    handlers::subscriptions,
    parameters::DELIVERY_FILTERS,
    route::{BODY, Route, Scope::Tenant},
    routes::{delete, get, post},
};

/// Returns the routes of subscriptions.
pub(crate) fn of_subscriptions() -> Vec<Route> {
    let ok = StatusCode::OK;
    vec![
        Route::new(get("/api/v1/subscriptions"), Operate, Tenant, "Subscriptions to events", subscriptions::list)
            .gives::<api::SubscriptionList>(ok),
        Route::new(
            post("/api/v1/subscriptions"),
            Administer,
            Tenant,
            "Subscribe to events; the answer has the secret",
            subscriptions::create,
        )
        .takes::<api::NewSubscription>(BODY)
        .gives::<api::SubscriptionCreated>(StatusCode::CREATED),
        Route::new(get("/api/v1/subscriptions/{name}"), Operate, Tenant, "A subscription", subscriptions::get)
            .gives::<api::Subscription>(ok),
        Route::new(
            post("/api/v1/subscriptions/{name}/change"),
            Administer,
            Tenant,
            "Change a subscription",
            subscriptions::change,
        )
        .takes::<api::ChangeSubscription>(BODY)
        .gives::<api::Subscription>(ok),
        Route::new(
            post("/api/v1/subscriptions/{name}/pause"),
            Operate,
            Tenant,
            "Pause a subscription: events wait",
            subscriptions::pause,
        )
        .takes::<api::Reason>(BODY)
        .gives::<api::Subscription>(ok),
        Route::new(
            post("/api/v1/subscriptions/{name}/resume"),
            Operate,
            Tenant,
            "Resume a subscription",
            subscriptions::resume,
        )
        .takes::<api::Reason>(BODY)
        .gives::<api::Subscription>(ok),
        Route::new(
            post("/api/v1/subscriptions/{name}/rotate"),
            Administer,
            Tenant,
            "Give it a new secret; the former one signs, too, for some hours",
            subscriptions::rotate,
        )
        .takes::<api::RotateSecret>(BODY)
        .gives::<api::SubscriptionCreated>(ok),
        Route::new(
            delete("/api/v1/subscriptions/{name}"),
            Administer,
            Tenant,
            "Delete a subscription with its deliveries",
            subscriptions::remove,
        )
        .gives::<api::SubscriptionDeleted>(ok),
    ]
}

/// Returns the routes of deliveries.
pub(crate) fn of_deliveries() -> Vec<Route> {
    let ok = StatusCode::OK;
    vec![
        Route::new(
            post("/api/v1/subscriptions/{name}/test"),
            Operate,
            Tenant,
            "Send it an event to try it",
            subscriptions::test,
        )
        .gives::<api::Delivery>(ok),
        Route::new(
            get("/api/v1/subscriptions/{name}/deliveries"),
            Operate,
            Tenant,
            "Its deliveries, newest first",
            subscriptions::deliveries,
        )
        .gives::<api::DeliveryPage>(ok)
        .query(DELIVERY_FILTERS),
        Route::new(
            post("/api/v1/subscriptions/{name}/deliveries/{id}/replay"),
            Operate,
            Tenant,
            "Send the event of a delivery once more",
            subscriptions::replay,
        )
        .gives::<api::Delivery>(ok),
    ]
}
