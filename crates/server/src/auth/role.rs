//! Roles and what they may do.

use crate::route::Permission;

/// What a key may do.
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

    /// The role of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == word)
    }

    /// Whether it may do that. What is not listed, it may not.
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
