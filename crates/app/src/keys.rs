//! Keys.

use std::sync::Arc;

use kapelle_api as api;
use kapelle_core::{Account, Money, TenantId, plain::is_deceptive};
use kapelle_engine::{LimitBy, NO_LIMIT, command};
use kapelle_store::{AccessKey, AccessWrite, EVERY, KeyScope};
use serde_json::json;

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission, Role, tenant_of},
    secrets, submission, to_api,
};

/// Characters of a key's name.
const NAME_MAX: usize = 100;
/// Names in a list of workers or queues.
const LIST_MAX: usize = 1_000;
/// The shortest lifetime of a key, in milliseconds: a second.
const EXPIRES_MIN_MS: u64 = 1_000;

impl App {
    /// Returns the keys of the caller's tenant; of all tenants for the first.
    async fn stored_keys(self: &Arc<Self>, tenant: TenantId) -> Result<Vec<AccessKey>, AppError> {
        let keys = self.list_for(tenant, |app| Ok(app.reader().access_keys()?)).await?;
        Ok(keys.into_iter().filter(|key| key.tenant == tenant || tenant == TenantId::DEFAULT).collect())
    }

    /// Returns the keys, including revoked ones.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keys(self: &Arc<Self>, by: &Caller) -> Result<api::KeyList, AppError> {
        by.allow(Permission::Administer)?;
        Ok(api::KeyList { keys: self.stored_keys(by.tenant).await?.iter().map(to_api::key).collect() })
    }

    /// Makes a key. Its secret is in the answer and nowhere else.
    ///
    /// # Errors
    /// When the name, the role or a restriction is invalid.
    pub async fn create_key(self: &Arc<Self>, by: &Caller, given: api::NewKey) -> Result<api::KeyCreated, AppError> {
        by.allow(Permission::Administer)?;
        let role = Role::from_word(&given.role).ok_or_else(|| {
            let words = Role::ALL.map(Role::as_str).join(", ");
            AppError::input("role", format!("there are {words}"))
        })?;
        let name = given.name.trim();
        let wrong = |c: char| c.is_control() || is_deceptive(c);
        if name.is_empty() || name.chars().count() > NAME_MAX || name.chars().any(wrong) {
            return Err(AppError::input("name", format!("1 to {NAME_MAX} characters are possible")));
        }
        let tenant = tenant(by, given.tenant)?;
        let scope = scope(&given, role)?;
        let limit = given.limit_nanousd.map(limit).transpose()?;
        let span = |ms| submission::span("expires_in_ms", ms, EXPIRES_MIN_MS);
        let expires = given.expires_in_ms.map(span).transpose()?;
        let secret = secrets::fresh().map_err(|error| AppError::internal(error.to_string()))?;
        let sha256 = secrets::digest(&secret);
        let now = self.now();
        let key = AccessKey {
            // Part of the hash: unique, and useless to anybody who sees it.
            id: Arc::from(format!("key_{}", secrets::hex(&sha256[..8]))),
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
            // Set before the key exists: it never spends without its limit.
            let account = Account::Key(key.id.to_string());
            let limit_by = if by.tenant == TenantId::DEFAULT { LimitBy::Owner } else { LimitBy::Tenant };
            let command = command::SetLimit { tenant, account, limit, by: limit_by };
            self.engine.ask(command).await?;
            self.ledger.stir();
        }
        let limited = limit.map_or_else(String::new, |limit| format!(", at most {limit}"));
        let resource = format!("{} ({role} of tenant {}{limited})", key.id, tenant.0, role = role.as_str());
        let write = AccessWrite::Add(key.clone());
        self.act(by, "key.create", &resource, command::Access { write }).await?;
        self.memory.keyring.admit(&key);
        Ok(api::KeyCreated { secret, key: to_api::key(&key) })
    }

    /// Replaces the token of the folder. The former one is refused from now on, and everything that waits with it ends.
    /// Links and tokens of attempts that were made with it stay valid until the server restarts.
    ///
    /// # Errors
    /// When the caller does not administer the server, or the file cannot be written.
    pub async fn rotate_token(self: &Arc<Self>, by: &Caller) -> Result<api::TokenRotated, AppError> {
        by.allow_server(Permission::Administer)?;
        let note = json!({ "event": "token_rotated", "by": by.actor }).to_string();
        self.act(by, "token.rotate", secrets::TOKEN_FILE, command::Note { note: Arc::from(note) }).await?;
        let token = secrets::replace_token(&self.folder);
        let token = token.map_err(|error| AppError::internal(format!("{}: {error}", secrets::TOKEN_FILE)))?;
        self.memory.keyring.replace_owner(&token);
        self.evict_hosts().await;
        Ok(api::TokenRotated { rotated_at: to_api::time(self.now()) })
    }

    /// Revokes a key. Everything that waits with it ends at once, and the tasks of its worker hosts go to others.
    ///
    /// # Errors
    /// When the caller has no such key.
    pub async fn revoke_key(self: &Arc<Self>, by: &Caller, id: &str) -> Result<api::Key, AppError> {
        by.allow(Permission::Administer)?;
        let key = self.stored_keys(by.tenant).await?.into_iter().find(|key| &*key.id == id);
        let mut key = key.ok_or_else(|| AppError::not_found(id.chars().take(40).collect::<String>()))?;
        if key.revoked_at.is_none() {
            let at = self.now();
            let write = AccessWrite::Revoke { id: Arc::clone(&key.id), at };
            self.act(by, "key.revoke", &key.id, command::Access { write }).await?;
            key.revoked_at = Some(at);
        }
        self.memory.keyring.expel(&key.id);
        self.end_sessions_of(by, &key).await?;
        self.evict_hosts().await;
        Ok(to_api::key(&key))
    }
}

/// Returns the tenant whose data a new key opens.
fn tenant(by: &Caller, given: Option<u32>) -> Result<TenantId, AppError> {
    let tenant = TenantId(given.unwrap_or(by.tenant.0));
    if tenant != by.tenant && by.tenant != TenantId::DEFAULT {
        return Err(AppError::input("tenant", "only the first tenant makes keys for others"));
    }
    tenant_of(tenant.0).map_err(|error| AppError::input("tenant", error))
}

/// Returns the further permissions and the restrictions of a new key.
fn scope(given: &api::NewKey, role: Role) -> Result<KeyScope, AppError> {
    let fits = |field: &str, set: bool, roles: &[Role]| {
        if !set || roles.contains(&role) {
            return Ok(());
        }
        let words: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
        let message = format!("only for the role {}; the role is {}", words.join(" or "), role.as_str());
        Err(AppError::input(field, message))
    };
    fits("workers", given.workers.is_some(), &[Role::Worker])?;
    fits("queues", given.queues.is_some(), &[Role::Worker])?;
    fits("ask", given.ask, &[Role::Worker])?;
    fits("submit", given.submit, &[Role::Worker])?;
    fits("approve", given.approve, &[Role::Developer, Role::Viewer])?;
    let listed = |field: &str, list: &Option<Vec<String>>| {
        let Some(list) = list else { return Ok(None) };
        if list.is_empty() || list.len() > LIST_MAX {
            let message = format!("{} names; expected 1 to {LIST_MAX}, or `*` for all", list.len());
            return Err(AppError::input(field, message));
        }
        let names: Vec<String> = list.iter().filter(|name| *name != EVERY).cloned().collect();
        submission::names(field, &names)?;
        Ok(Some(list.clone()))
    };
    Ok(KeyScope {
        workers: listed("workers", &given.workers)?,
        queues: listed("queues", &given.queues)?,
        // A spending limit for a worker key implies that it may ask models.
        ask: given.ask || (role == Role::Worker && given.limit_nanousd.is_some()),
        approve: given.approve,
        submit: given.submit,
    })
}

fn limit(nanousd: u64) -> Result<Money, AppError> {
    let limit = Money(nanousd);
    if limit >= NO_LIMIT {
        return Err(AppError::input("limit_nanousd", format!("{nanousd}; expected 0 to {}", NO_LIMIT.0 - 1)));
    }
    Ok(limit)
}
