//! Reuse of answers: for equal input, the same version of one worker, and one tenant.

use serde::{Deserialize, Serialize};

use crate::{
    task::{Task, TaskState},
    time::{DurationMs, Timestamp},
};

/// Maximum age of a reused answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct CacheRule {
    /// Age limit. `None`: as long as the task is kept.
    #[serde(default, rename = "max_age_ms", skip_serializing_if = "Option::is_none")]
    pub max_age: Option<DurationMs>,
}

/// Cache key: a hash of worker, version and canonical input. The tenant is a separate condition of the lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CacheKey(pub [u8; 32]);

/// Cache key and rule of a task whose answer may be reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cacheable {
    /// Key of the lookup.
    pub key: CacheKey,
    /// Maximum age of an answer.
    pub rule: CacheRule,
}

/// Value of an earlier task with the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Earlier {
    /// Its answer may be reused.
    Answered,
    /// It has not ended yet.
    Open,
    /// It has no answer, or one that is too old or too poor.
    Worthless,
}

impl CacheRule {
    /// Judges an earlier task. A degraded answer or that of a stand-in is never reused: what was missing may be
    /// available now.
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
