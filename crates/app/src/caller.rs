//! Who calls, and what callers may do.

use kapelle_core::{TenantId, approval::OWNER};
use kapelle_store::KeyScope;

use crate::app_error::AppError;

/// A kind of action that a role allows or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Nothing: also callers without a key. Only for answers that say nothing about anybody's data.
    Public,
    /// Any key will do.
    Known,
    /// See tasks, runs, workers and queues.
    Read,
    /// Submit tasks and start runs, and end them.
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
    /// See, submit, ask models, approve, and keep things going.
    Operator,
    /// See, submit and ask models.
    Developer,
    /// See.
    Viewer,
    /// Claim tasks and report on them, and nothing else.
    Worker,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 5] = [Role::Admin, Role::Operator, Role::Developer, Role::Viewer, Role::Worker];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::Operator => "operator",
            Role::Developer => "developer",
            Role::Viewer => "viewer",
            Role::Worker => "worker",
        }
    }

    /// The role of that word. Returns `None` for another word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == word)
    }

    /// Whether it may do that. It may not do what is not listed.
    #[must_use]
    pub fn may(self, permission: Permission) -> bool {
        use Permission::{Approve, Ask, Known, Operate, Public, Read, Submit, Work};
        match self {
            Role::Admin => true,
            Role::Operator => matches!(permission, Public | Known | Read | Submit | Approve | Operate | Ask),
            Role::Developer => matches!(permission, Public | Known | Read | Submit | Ask),
            Role::Viewer => matches!(permission, Public | Known | Read),
            Role::Worker => matches!(permission, Public | Known | Work),
        }
    }
}

/// Who calls, as a face's authentication found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The tenant whose data is opened.
    pub tenant: TenantId,
    /// What the audit trail calls the caller: `token`, or the id of a key.
    pub actor: String,
    /// What people call the key.
    pub name: String,
    /// The role.
    pub role: Role,
    /// What the key may do besides its role, and what it is kept to.
    pub scope: KeyScope,
    /// The way the call came: `key`, `folder` or `library`.
    pub via: &'static str,
}

impl Caller {
    /// The owner of the folder, who may do everything in tenant 1.
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

    /// Whether the role or the key allows that kind of action.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        let granted = match permission {
            Permission::Ask => self.scope.ask,
            Permission::Approve => self.scope.approve,
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

    /// A reason with the key of the caller beside it. The owner who acts in process is not named.
    pub(crate) fn signed(&self, reason: String) -> String {
        if self.via == "key" { format!("{reason} (by {})", self.actor) } else { reason }
    }

    /// Whether the caller sees all tenants: admins of the first.
    pub(crate) fn sees_all(&self) -> bool {
        self.tenant == TenantId::DEFAULT && self.role == Role::Admin
    }

    /// The key that starts a run. Returns `None` for the owner of the folder.
    pub(crate) fn starter(&self) -> Option<std::sync::Arc<str>> {
        (self.actor != OWNER).then(|| std::sync::Arc::from(self.actor.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
