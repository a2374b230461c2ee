//! Accounts that model calls are charged to, and their names.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{RunId, TaskId};

/// An account of spending. Every call is charged to all accounts of its payer at once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// One task, over all its attempts.
    Task(TaskId),
    /// One run, over all its tasks and the runs that it starts.
    Run(RunId),
    /// A worker, by name.
    Worker(String),
    /// A queue, by name.
    Queue(String),
    /// The tenant as a whole.
    Tenant,
    /// The tenant on one day (UTC). The ledger knows the current day; a call belongs to the day of its reservation.
    Day,
    /// A token outside a task, such as that of a daemon's process.
    Token(String),
    /// An API key whose calls belong to no task.
    Key(String),
    /// A provider, by its name in the configuration. Counted, never limited.
    Provider(String),
    /// A model, as `provider/model`. Counted, never limited.
    Model(String),
}

/// Kinds of accounts. The store uses the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum AccountKind {
    /// Tasks.
    Task = 0,
    /// Runs.
    Run = 1,
    /// Workers.
    Worker = 2,
    /// Queues.
    Queue = 3,
    /// The tenant.
    Tenant = 4,
    /// Days.
    Day = 5,
    /// Tokens of processes.
    Token = 6,
    /// API keys.
    Key = 7,
    /// Providers.
    Provider = 8,
    /// Models.
    Model = 9,
}

impl AccountKind {
    /// Every kind.
    pub const ALL: [AccountKind; 10] = [
        AccountKind::Task,
        AccountKind::Run,
        AccountKind::Worker,
        AccountKind::Queue,
        AccountKind::Tenant,
        AccountKind::Day,
        AccountKind::Token,
        AccountKind::Key,
        AccountKind::Provider,
        AccountKind::Model,
    ];

    /// Returns the word for the kind.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            AccountKind::Task => "task",
            AccountKind::Run => "run",
            AccountKind::Worker => "worker",
            AccountKind::Queue => "queue",
            AccountKind::Tenant => "tenant",
            AccountKind::Day => "day",
            AccountKind::Token => "token",
            AccountKind::Key => "key",
            AccountKind::Provider => "provider",
            AccountKind::Model => "model",
        }
    }

    /// Returns the kind of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<AccountKind> {
        AccountKind::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Returns the account of this kind with that name.
    #[must_use]
    pub fn named(self, name: &str) -> Option<Account> {
        let text = name.to_owned();
        let named = match self {
            AccountKind::Task => Account::Task(TaskId::from_str(name).ok()?),
            AccountKind::Run => Account::Run(RunId::from_str(name).ok()?),
            AccountKind::Worker => Account::Worker(text),
            AccountKind::Queue => Account::Queue(text),
            AccountKind::Tenant => Account::Tenant,
            AccountKind::Day => Account::Day,
            AccountKind::Token => Account::Token(text),
            AccountKind::Key => Account::Key(text),
            AccountKind::Provider => Account::Provider(text),
            AccountKind::Model => Account::Model(text),
        };
        Some(named)
    }
}

impl Account {
    /// Returns the kind of the account.
    #[must_use]
    pub fn kind(&self) -> AccountKind {
        match self {
            Account::Task(_) => AccountKind::Task,
            Account::Run(_) => AccountKind::Run,
            Account::Worker(_) => AccountKind::Worker,
            Account::Queue(_) => AccountKind::Queue,
            Account::Tenant => AccountKind::Tenant,
            Account::Day => AccountKind::Day,
            Account::Token(_) => AccountKind::Token,
            Account::Key(_) => AccountKind::Key,
            Account::Provider(_) => AccountKind::Provider,
            Account::Model(_) => AccountKind::Model,
        }
    }

    /// Returns the name among accounts of its kind; empty for a kind with only one account.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Account::Task(id) => id.to_string(),
            Account::Run(id) => id.to_string(),
            Account::Tenant | Account::Day => String::new(),
            Account::Worker(name)
            | Account::Queue(name)
            | Account::Token(name)
            | Account::Key(name)
            | Account::Provider(name)
            | Account::Model(name) => name.clone(),
        }
    }

    /// Formats the account for a person: `task_7`, `queue ml`.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Account::Task(id) => id.to_string(),
            Account::Run(id) => id.to_string(),
            Account::Tenant => "the tenant".to_owned(),
            Account::Day => "this day".to_owned(),
            other => format!("{} {}", other.kind().as_str(), other.name()),
        }
    }

    /// Parses the form of [`Account::written`].
    ///
    /// # Errors
    /// A message with the accepted forms.
    pub fn parse(text: &str) -> Result<Account, AccountError> {
        let bad = || AccountError(text.chars().take(80).collect());
        if let Ok(task) = text.parse() {
            return Ok(Account::Task(task));
        }
        if let Ok(run) = text.parse() {
            return Ok(Account::Run(run));
        }
        let (word, name) = text.split_once(':').unwrap_or((text, ""));
        let kind = AccountKind::from_word(word).ok_or_else(bad)?;
        let single = matches!(kind, AccountKind::Tenant | AccountKind::Day);
        if single != name.is_empty() {
            return Err(bad());
        }
        kind.named(name).ok_or_else(bad)
    }

    /// Formats the account for commands and the wire: `task_7`, `run_3`, `queue:ml`, `tenant`, `day`.
    #[must_use]
    pub fn written(&self) -> String {
        match self {
            Account::Task(id) => id.to_string(),
            Account::Run(id) => id.to_string(),
            Account::Tenant | Account::Day => self.kind().as_str().to_owned(),
            other => format!("{}:{}", other.kind().as_str(), other.name()),
        }
    }
}

/// Error of a text that is not an account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an account; expected day, tenant, task_7, run_3, worker:NAME, queue:NAME, key:NAME or token:NAME"
)]
pub struct AccountError(pub String);

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// Returns the number of the day (UTC) since 1970.
#[must_use]
pub fn day_of(at: crate::time::Timestamp) -> i64 {
    at.0.div_euclid(DAY_MS)
}

/// Returns the end of a day, which is the start of the next.
#[must_use]
pub fn end_of(day: i64) -> crate::time::Timestamp {
    crate::time::Timestamp(day.saturating_add(1).saturating_mul(DAY_MS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    #[test]
    fn accounts_survive_the_way_out_and_back() {
        for text in ["task_7", "run_3", "worker:w", "queue:ml", "tenant", "day", "token:t", "key:k", "model:p/m"] {
            let account = Account::parse(text).unwrap();
            assert_eq!(account.written(), text);
            assert_eq!(account.kind().named(&account.name()), Some(account));
        }
        for text in ["", "worker", "worker:", "tenant:x", "day:1", "task_0", "task:x", "nobody:x"] {
            assert!(Account::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_day_begins_when_the_one_before_ends() {
        let end = end_of(day_of(Timestamp(1_700_000_000_000)));
        assert_eq!(day_of(end), day_of(Timestamp(1_700_000_000_000)) + 1);
        assert_eq!(day_of(Timestamp(end.0 - 1)), day_of(end) - 1);
    }
}
