//! Keys.

use std::sync::Arc;

use axum::http::StatusCode;
use kapelle::{
    Money,
    core::{Account, TenantId, plain::is_deceptive},
    engine::{LimitBy, NO_LIMIT, command},
    store::{AccessKey, AccessWrite, EVERY, KeyScope},
};
use kapelle_api as api;

use super::{hosts, submission};
use crate::{
    auth::{self, Role},
    call::{Call, json, ok},
    problem::Problem,
    route::Answer,
    shown,
};

/// Characters of a key's name.
const NAME_MAX: usize = 100;
/// Names in a list of workers or queues.
const LIST_MAX: usize = 1_000;
/// The shortest time that a key may be made for: a second.
const EXPIRES_MIN_MS: u64 = 1_000;

/// Keys of the caller's tenant; of all tenants for the first.
async fn all(call: &Call) -> Result<Vec<AccessKey>, Problem> {
    let tenant = call.tenant();
    let keys = call.list(|app| Ok(app.engine().reader().access_keys()?)).await?;
    Ok(keys.into_iter().filter(|key| key.tenant == tenant || tenant == TenantId::DEFAULT).collect())
}

/// `GET /api/v1/keys`
pub async fn list(call: Call) -> Answer {
    ok(&api::KeyList { keys: all(&call).await?.iter().map(shown::key).collect() })
}

/// `POST /api/v1/keys`
pub async fn create(call: Call) -> Answer {
    let given: api::NewKey = call.json()?;
    let role = Role::from_word(&given.role).ok_or_else(|| {
        let words = Role::ALL.map(Role::as_str).join(", ");
        Problem::unprocessable(format!("role: there are {words}"))
    })?;
    let name = given.name.trim();
    if name.is_empty() || name.chars().count() > NAME_MAX || name.chars().any(|c| c.is_control() || is_deceptive(c)) {
        return Err(Problem::unprocessable(format!("name: 1 to {NAME_MAX} characters are possible")));
    }
    let tenant = tenant(&call, given.tenant)?;
    let scope = scope(&given, role)?;
    let limit = given.limit_nanousd.map(limit).transpose()?;
    let now = call.app.now();
    let expires = given.expires_in_ms.map(|ms| submission::span("expires_in_ms", ms, EXPIRES_MIN_MS)).transpose()?;
    let secret = auth::fresh().map_err(|error| Problem::internal(error.to_string()))?;
    let sha256 = auth::digest(&secret);
    let key = AccessKey {
        // Part of the hash: unique, and of no use to who sees it.
        id: Arc::from(format!("key_{}", auth::hex(&sha256[..8]))),
        tenant,
        name: Arc::from(name),
        role: Arc::from(role.as_str()),
        sha256,
        created_at: now,
        expires_at: expires.map(|span| now + span),
        revoked_at: None,
        scope,
    };
    if let Some(limit) = limit {
        // Before the key is there: it never spends without its limit.
        let account = Account::Key(key.id.to_string());
        let by = if call.tenant() == TenantId::DEFAULT { LimitBy::Owner } else { LimitBy::Tenant };
        let command = command::SetLimit { tenant, account, limit, by };
        call.app.engine().ask(command).await?;
        call.app.kapelle.budgets_changed();
    }
    let write = AccessWrite::Add(key.clone());
    let limited = limit.map_or_else(String::new, |limit| format!(", at most {limit}"));
    let resource = format!("{} ({role} of tenant {}{limited})", key.id, tenant.0, role = role.as_str());
    call.app.act(&call.who, "key.create", &resource, command::Access { write }).await?;
    call.app.auth.admit(&key);
    json(StatusCode::CREATED, &api::KeyCreated { secret, key: shown::key(&key) })
}

/// The tenant whose data a new key opens.
fn tenant(call: &Call, given: Option<u32>) -> Result<TenantId, Problem> {
    let tenant = TenantId(given.unwrap_or(call.tenant().0));
    if tenant != call.tenant() && call.tenant() != TenantId::DEFAULT {
        return Err(Problem::unprocessable("tenant: only the first tenant makes keys for others"));
    }
    if tenant.0 == 0 || i32::try_from(tenant.0).is_err() {
        return Err(Problem::unprocessable("tenant: tenants are numbered from 1"));
    }
    Ok(tenant)
}

/// What a new key may do besides its role, and what it is kept to.
fn scope(given: &api::NewKey, role: Role) -> Result<KeyScope, Problem> {
    let fits = |field: &str, set: bool, roles: &[Role]| {
        if !set || roles.contains(&role) {
            return Ok(());
        }
        let words: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
        let detail = format!("{field}: only for the role {}; the role is {}", words.join(" or "), role.as_str());
        Err(Problem::unprocessable(detail))
    };
    fits("workers", given.workers.is_some(), &[Role::Worker])?;
    fits("queues", given.queues.is_some(), &[Role::Worker])?;
    fits("ask", given.ask, &[Role::Worker])?;
    fits("approve", given.approve, &[Role::Developer, Role::Viewer])?;
    let listed = |field: &str, list: &Option<Vec<String>>| {
        let Some(list) = list else { return Ok(None) };
        if list.is_empty() || list.len() > LIST_MAX {
            let detail = format!("{field}: {} names; expected 1 to {LIST_MAX}, or `*` for all", list.len());
            return Err(Problem::unprocessable(detail));
        }
        let names: Vec<String> = list.iter().filter(|name| *name != EVERY).cloned().collect();
        submission::names(field, &names)?;
        Ok(Some(list.clone()))
    };
    Ok(KeyScope {
        workers: listed("workers", &given.workers)?,
        queues: listed("queues", &given.queues)?,
        // Somebody who says how much a worker may spend says that it may spend.
        ask: given.ask || (role == Role::Worker && given.limit_nanousd.is_some()),
        approve: given.approve,
    })
}

fn limit(nanousd: u64) -> Result<Money, Problem> {
    let limit = Money(nanousd);
    if limit >= NO_LIMIT {
        let detail = format!("limit_nanousd: {nanousd}; expected 0 to {}", NO_LIMIT.0 - 1);
        return Err(Problem::unprocessable(detail));
    }
    Ok(limit)
}

/// `DELETE /api/v1/keys/{id}`
pub async fn revoke(call: Call) -> Answer {
    let id = call.param("id");
    let mut key = all(&call).await?.into_iter().find(|key| &*key.id == id);
    let Some(key) = &mut key else {
        return Err(Problem::not_found(id.chars().take(40).collect::<String>()));
    };
    if key.revoked_at.is_none() {
        let at = call.app.now();
        let write = AccessWrite::Revoke { id: Arc::clone(&key.id), at };
        call.app.act(&call.who, "key.revoke", &key.id, command::Access { write }).await?;
        key.revoked_at = Some(at);
    }
    call.app.auth.expel(&key.id);
    hosts::evict(&call.app).await;
    ok(&shown::key(key))
}
