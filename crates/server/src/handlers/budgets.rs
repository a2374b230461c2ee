//! Budgets, cost and calls.

use crate::{
    call::{Call, ok},
    route::Answer,
};

/// `GET /api/v1/budgets`
pub async fn list(call: Call) -> Answer {
    ok(&call.app.budgets(&call.who).await?)
}

/// `POST /api/v1/budgets`
pub async fn set(call: Call) -> Answer {
    ok(&call.app.set_budget(&call.who, call.json()?).await?)
}

/// `POST /api/v1/budgets/reset`
pub async fn reset(call: Call) -> Answer {
    ok(&call.app.reset_budget(&call.who, call.json()?).await?)
}

/// `GET /api/v1/cost`
pub async fn cost(call: Call) -> Answer {
    ok(&call.app.cost(&call.who, call.query()?).await?)
}

/// `GET /api/v1/calls`
pub async fn calls(call: Call) -> Answer {
    ok(&call.app.calls(&call.who, call.query()?).await?)
}

/// `GET /api/v1/calls/{id}`
pub async fn call(call: Call) -> Answer {
    ok(&call.app.call(&call.who, call.id()?).await?)
}

/// `GET /api/v1/providers`
pub async fn providers(call: Call) -> Answer {
    ok(&call.app.providers(&call.who)?)
}
