//! Callers, and their permissions.

use kapelle_core::{TenantId, approval::OWNER};
use kapelle_store::KeyScope;

use crate::app_error::AppError;

/// A kind of action that a role allows or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Allows callers without a key. Only for answers that reveal nobody's data.
    Public,
    /// Requires any key.
    Known,
    /// See tasks, runs, workers and queues.
    Read,
    /// Read the metrics.
    Scrape,
    /// Submit tasks and start runs, and cancel them.
    Submit,
    /// Answer steps that wait for a person.
    Approve,
    /// Pause, resume, retry.
    Operate,
    /// Claim tasks and report on them.
    Work,
    /// Ask models.
    Ask,
    /// Keys, budgets and the audit trail.
    Administer,
}

/// A role of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Everything.
    Admin,
    /// See, submit, ask models, approve, and operate.
    Operator,
    /// See, submit and ask models.
    Developer,
    /// See.
    Viewer,
    /// Claim tasks and report on them, and nothing else.
    Worker,
    /// Read the metrics, and nothing else.
    Metrics,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 6] =
        [Role::Admin, Role::Operator, Role::Developer, Role::Viewer, Role::Worker, Role::Metrics];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::Operator => "operator",
            Role::Developer => "developer",
            Role::Viewer => "viewer",
            Role::Worker => "worker",
            Role::Metrics => "metrics",
        }
    }

    /// The role of that word. Returns `None` for another word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == word)
    }

    /// Says whether the role has the permission. Anything not listed is refused.
    #[must_use]
    pub fn may(self, permission: Permission) -> bool {
        use Permission::{Approve, Ask, Known, Operate, Public, Read, Scrape, Submit, Work};
        match self {
            Role::Admin => true,
            Role::Operator => matches!(permission, Public | Known | Read | Scrape | Submit | Approve | Operate | Ask),
            Role::Developer => matches!(permission, Public | Known | Read | Scrape | Submit | Ask),
            Role::Viewer => matches!(permission, Public | Known | Read | Scrape),
            Role::Worker => matches!(permission, Public | Known | Work),
            Role::Metrics => matches!(permission, Public | Known | Scrape),
        }
    }
}

/// The caller, as authenticated by the interface.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Caller {
    /// The tenant whose data it opens.
    pub tenant: TenantId,
    /// The actor in the audit trail: `token`, or the id of a key.
    pub actor: String,
    /// The key's name for people.
    pub name: String,
    pub role: Role,
    /// The key's further permissions and its restrictions.
    pub scope: KeyScope,
    /// The way the call came: `key`, `folder` or `library`.
    pub via: &'static str,
}

impl Caller {
    /// Returns the owner of the folder, who may do everything in tenant 1.
    #[must_use]
    pub fn owner(via: &'static str) -> Caller {
        Caller {
            tenant: TenantId::DEFAULT,
            actor: OWNER.to_owned(),
            name: OWNER.to_owned(),
            role: Role::Admin,
            scope: KeyScope::default(),
            via,
        }
    }

    /// Says whether the role or the key has the permission.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        let granted = match permission {
            Permission::Ask => self.scope.ask,
            Permission::Approve => self.scope.approve,
            Permission::Submit | Permission::Read => self.scope.submit,
            _ => false,
        };
        granted || self.role.may(permission)
    }

    /// Refuses a caller without a permission.
    ///
    /// # Errors
    /// When neither the role nor the key allows it.
    pub fn allow(&self, permission: Permission) -> Result<(), AppError> {
        if self.may(permission) {
            return Ok(());
        }
        Err(AppError::forbidden(format!("a key with the role {} may not do this", self.role.as_str())))
    }

    /// Refuses callers of other tenants than the first, who do not see the server as a whole.
    ///
    /// # Errors
    /// When a permission is missing, or the tenant is not the first.
    pub fn allow_server(&self, permission: Permission) -> Result<(), AppError> {
        match self.tenant {
            TenantId::DEFAULT => self.allow(permission),
            _ => Err(AppError::forbidden(format!("a key with the role {} may not do this", self.role.as_str()))),
        }
    }

    /// Returns a reason followed by the caller's key. The owner in process is not named.
    pub(crate) fn signed(&self, reason: String) -> String {
        if self.via == "key" { format!("{reason} (by {})", self.actor) } else { reason }
    }

    /// Says whether the caller sees all tenants: admins of the first.
    pub(crate) fn sees_all(&self) -> bool {
        self.tenant == TenantId::DEFAULT && self.role == Role::Admin
    }

    /// Returns the tenant that a list is asked for: the caller's own by default, `None` for all. Only admins of the
    /// first tenant name another one, or all.
    ///
    /// # Errors
    /// When the caller does not see the tenant, its number is invalid, or both are given.
    pub(crate) fn listed_tenant(&self, tenant: Option<u32>, all: bool) -> Result<Option<TenantId>, AppError> {
        let of = match (tenant, all) {
            (Some(_), true) => {
                return Err(AppError::parameter("all", "given with `tenant`; expected one of the two"));
            }
            (Some(number), false) => Some(tenant_of(number).map_err(|error| AppError::parameter("tenant", error))?),
            (None, true) => None,
            (None, false) => Some(self.tenant),
        };
        if of == Some(self.tenant) || self.sees_all() {
            return Ok(of);
        }
        Err(AppError::forbidden("tenant: only admins of tenant 1 see other tenants"))
    }

    /// Returns the key that starts a run; `None` for the owner of the folder.
    pub(crate) fn starter(&self) -> Option<std::sync::Arc<str>> {
        (self.actor != OWNER).then(|| std::sync::Arc::from(self.actor.as_str()))
    }
}

/// Returns the tenant of a number that a caller gave.
///
/// # Errors
/// When the number is not one of a tenant.
pub(crate) fn tenant_of(number: u32) -> Result<TenantId, String> {
    if number == 0 || i32::try_from(number).is_err() {
        return Err(format!("{number}: tenants are numbered from 1 to {}", i32::MAX));
    }
    Ok(TenantId(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_admins_of_the_first_tenant_list_other_tenants() {
        let first = Caller::owner("key");
        let (second, viewer) =
            (Caller { tenant: TenantId(2), ..first.clone() }, Caller { role: Role::Viewer, ..first.clone() });
        assert_eq!(first.listed_tenant(None, false).unwrap(), Some(TenantId(1)));
        assert_eq!(first.listed_tenant(Some(2), false).unwrap(), Some(TenantId(2)));
        assert_eq!(first.listed_tenant(None, true).unwrap(), None);
        assert_eq!(second.listed_tenant(None, false).unwrap(), Some(TenantId(2)));
        assert_eq!(second.listed_tenant(Some(2), false).unwrap(), Some(TenantId(2)));
        for (by, tenant, all) in [(&second, Some(1), false), (&second, None, true), (&viewer, Some(2), false)] {
            assert_eq!(by.listed_tenant(tenant, all).unwrap_err().status(), 403);
        }
        for (tenant, all) in [(Some(0), false), (Some(u32::MAX), false), (Some(1), true)] {
            assert_eq!(first.listed_tenant(tenant, all).unwrap_err().status(), 400);
        }
    }

    #[test]
    fn a_key_may_do_what_its_role_or_its_scope_says() {
        let viewer = Caller { role: Role::Viewer, ..Caller::owner("key") };
        assert!(viewer.allow(Permission::Read).is_ok());
        assert!(viewer.allow(Permission::Approve).is_err());
        let scope = KeyScope { approve: true, ..KeyScope::default() };
        assert!(Caller { scope, ..viewer }.allow(Permission::Approve).is_ok());
        let other = Caller { tenant: TenantId(2), ..Caller::owner("key") };
        assert!(other.allow(Permission::Operate).is_ok() && other.allow_server(Permission::Operate).is_err());
    }
}
