//! Answers that may be given again: to the same input, by the same version of the same worker, to the same tenant.

use serde::{Deserialize, Serialize};

use crate::{
    task::{Task, TaskState},
    time::{DurationMs, Timestamp},
};

/// How long an answer may be given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct CacheRule {
    /// That long after it was given; none for as long as its task is kept.
    #[serde(default, rename = "max_age_ms", skip_serializing_if = "Option::is_none")]
    pub max_age: Option<DurationMs>,
}

/// What an answer is found by: the hash of worker, version and canonical input. The tenant is asked for besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CacheKey(pub [u8; 32]);

/// A question whose answer may be given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cacheable {
    /// What it is found by.
    pub key: CacheKey,
    /// How old an answer may be.
    pub rule: CacheRule,
}

/// What an earlier task with the same key is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Earlier {
    /// Its answer may be given again.
    Answered,
    /// It may still give one.
    Open,
    /// It has none, or one that is too old or too poor.
    Worthless,
}

impl CacheRule {
    /// What an earlier task is worth now. A degraded answer or that of a stand-in is never given again: what was
    /// missing may be there by now.
    #[must_use]
    pub fn judge(&self, earlier: &Task, now: Timestamp) -> Earlier {
        match &earlier.state {
            TaskState::Succeeded { provenance, ended_at, .. } => {
                let poor = provenance.degraded.is_some() || provenance.stand_in;
                let old = self.max_age.is_some_and(|age| *ended_at + age <= now);
                if poor || old { Earlier::Worthless } else { Earlier::Answered }
            }
            state if state.kind().is_terminal() => Earlier::Worthless,
            _ => Earlier::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        Payload,
        task::{StateKind, Succeed},
        worker::Provenance,
    };

    fn answered(provenance: Provenance) -> Task {
        let (mut task, report) = crate::task::running_for_tests();
        let succeed = Succeed { report, output: Payload::None, provenance: Arc::new(provenance) };
        let event = succeed.decide(&task, Timestamp(3_000)).unwrap();
        task.evolve(&event);
        assert_eq!(task.state.kind(), StateKind::Succeeded);
        task
    }

    #[test]
    fn an_answer_ages_and_a_poor_one_is_worth_nothing() {
        let hour = CacheRule { max_age: Some(DurationMs(1_000)) };
        let good = answered(Provenance::default());
        assert_eq!(hour.judge(&good, Timestamp(3_999)), Earlier::Answered);
        assert_eq!(hour.judge(&good, Timestamp(4_000)), Earlier::Worthless);
        assert_eq!(CacheRule::default().judge(&good, Timestamp(i64::MAX)), Earlier::Answered);
        let poor = answered(Provenance { degraded: Some("no key".to_owned()), ..Provenance::default() });
        assert_eq!(hour.judge(&poor, Timestamp(3_001)), Earlier::Worthless);
        assert_eq!(hour.judge(&crate::task::running_for_tests().0, Timestamp(3_001)), Earlier::Open);
    }
}
