//! Integer keys inside, prefixed ids outside: `task_12`, `run_3`.
//!
//! The store assigns the integers and never reuses one, even after the newest rows were deleted. Ids are not secrets:
//! the tenant decides who may see a task, never knowledge of its id.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Error of an invalid id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not an id of this kind: it looks like {prefix}_12")]
pub struct IdError {
    /// The given text, shortened.
    pub given: String,
    /// Expected prefix.
    pub prefix: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl $name {
            /// Prefix of the public form, before the underscore.
            pub const PREFIX: &'static str = $prefix;
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<$name, IdError> {
                let number = text.strip_prefix(concat!($prefix, "_")).and_then(|rest| {
                    let plain = !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()) && !rest.starts_with('0');
                    if plain { rest.parse::<i64>().ok() } else { None }
                });
                number.map($name).ok_or_else(|| IdError { given: text.chars().take(40).collect(), prefix: $prefix })
            }
        }
    };
}

id!(
    /// One piece of work, also a step of a run once it has started.
    TaskId, "task"
);
id!(
    /// One execution of a workflow.
    RunId, "run"
);

id!(
    /// One request to a model provider.
    CallId, "call"
);

id!(
    /// One event on its way to one subscription.
    DeliveryId, "dlv"
);

/// Owner of data. 1 is the only tenant until more are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TenantId(pub u32);

impl TenantId {
    /// The tenant that exists from the start.
    pub const DEFAULT: TenantId = TenantId(1);
    /// Stands for each tenant, in limits that apply to every tenant separately.
    pub const EACH: TenantId = TenantId(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_the_way_out_and_back() {
        assert_eq!(TaskId(12).to_string(), "task_12");
        assert_eq!("task_12".parse(), Ok(TaskId(12)));
        for text in ["task_", "task_012", "run_12", "task_-1", "task_99999999999999999999", "12", "task_1 "] {
            assert!(text.parse::<TaskId>().is_err(), "{text}");
        }
    }
}
