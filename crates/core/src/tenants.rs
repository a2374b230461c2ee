//! Tenants that may use a part of the folder.

use serde::{Deserialize, Serialize};

use crate::id::TenantId;

/// Tenants that may use a worker. The tenant of the folder is always one of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tenants {
    /// Every tenant.
    #[default]
    All,
    /// The tenant of the folder, and these.
    Only(Vec<TenantId>),
}

impl Tenants {
    /// Returns the tenant of the folder alone.
    #[must_use]
    pub fn owner() -> Tenants {
        Tenants::Only(Vec::new())
    }

    /// Tells whether a tenant is one of them.
    #[must_use]
    pub fn admits(&self, tenant: TenantId) -> bool {
        match self {
            Tenants::All => true,
            Tenants::Only(others) => tenant == TenantId::DEFAULT || others.contains(&tenant),
        }
    }

    /// Tells whether every tenant is admitted.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Tenants::All
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_always_admitted_and_others_when_they_are_named() {
        let second = Tenants::Only(vec![TenantId(2)]);
        for (tenants, admitted) in [(Tenants::All, [true; 3]), (Tenants::owner(), [true, false, false])] {
            assert_eq!([1, 2, 3].map(|number| tenants.admits(TenantId(number))), admitted);
        }
        assert_eq!([1, 2, 3].map(|number| second.admits(TenantId(number))), [true, true, false]);
    }
}
