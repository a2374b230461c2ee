//! Keys.

use std::sync::Arc;

use axum::http::StatusCode;
use kapelle::{
    core::{TenantId, Timestamp},
    engine::Command,
    store::{AccessKey, AccessWrite},
};
use kapelle_api as api;

use crate::{
    auth::{self, Role},
    call::{Call, json, ok},
    problem::Problem,
    route::Answer,
    shown,
};

/// Characters of a key's name.
const NAME_MAX: usize = 100;

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
    if name.is_empty() || name.chars().count() > NAME_MAX || name.chars().any(char::is_control) {
        return Err(Problem::unprocessable(format!("name: 1 to {NAME_MAX} characters are possible")));
    }
    let tenant = TenantId(given.tenant.unwrap_or(call.tenant().0));
    if tenant != call.tenant() && call.tenant() != TenantId::DEFAULT {
        return Err(Problem::unprocessable("tenant: only the first tenant makes keys for others"));
    }
    if tenant.0 == 0 || i32::try_from(tenant.0).is_err() {
        return Err(Problem::unprocessable("tenant: tenants are numbered from 1"));
    }
    let now = call.app.now();
    let secret = auth::fresh().map_err(|error| Problem::internal(error.to_string()))?;
    let sha256 = auth::digest(&secret);
    let expires = given.expires_in_ms.map(|ms| Timestamp(now.0.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX))));
    let key = AccessKey {
        // Part of the hash: unique, and of no use to who sees it.
        id: Arc::from(format!("key_{}", auth::hex(&sha256[..8]))),
        tenant,
        name: Arc::from(name),
        role: Arc::from(role.as_str()),
        sha256,
        created_at: now,
        expires_at: expires,
        revoked_at: None,
    };
    let write = AccessWrite::Add(key.clone());
    let resource = format!("{} ({role} of tenant {})", key.id, tenant.0, role = role.as_str());
    call.app.act(&call.who, "key.create", &resource, Command::Access { write }).await?;
    call.app.auth.admit(&key);
    json(StatusCode::CREATED, &api::KeyCreated { secret, key: shown::key(&key) })
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
        call.app.act(&call.who, "key.revoke", &key.id, Command::Access { write }).await?;
        key.revoked_at = Some(at);
    }
    call.app.auth.expel(&key.id);
    ok(&shown::key(key))
}
