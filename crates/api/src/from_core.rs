//! Values of the core as they travel.

use kapelle_core::{
    TaskError,
    limit::{self, KeyLimit},
    retry::{Jitter, RetryPolicy},
    worker::{Provenance, WorkerSpec},
};

use crate::{AskAgain, PerKey, Retry, WhenFull, Worker};

impl From<&WorkerSpec> for Worker {
    fn from(spec: &WorkerSpec) -> Worker {
        Worker {
            name: spec.name.to_string(),
            description: spec.description.clone(),
            queue: Some(spec.queue.to_string()),
            slots: Some(spec.slots),
            input: spec.input.clone(),
            output: spec.output.clone(),
            timeout_ms: spec.timeout.map(|timeout| timeout.0),
            retry: spec.retry.as_ref().map(Retry::from),
            requires: spec.requires.clone().into(),
            per_key: spec.per_key.map(PerKey::from),
            effects: spec.effects.iter().map(|effect| effect.as_str().to_owned()).collect(),
            rate: spec.rate.map(String::from),
        }
    }
}

impl From<KeyLimit> for PerKey {
    fn from(rule: KeyLimit) -> PerKey {
        let when_full = match rule.when_full {
            limit::WhenFull::Queue => WhenFull::Queue,
            limit::WhenFull::CancelRunning => WhenFull::CancelRunning,
            limit::WhenFull::Reject => WhenFull::Reject,
        };
        PerKey { limit: rule.limit, when_full }
    }
}

impl From<PerKey> for KeyLimit {
    fn from(rule: PerKey) -> KeyLimit {
        let when_full = match rule.when_full {
            WhenFull::Queue => limit::WhenFull::Queue,
            WhenFull::CancelRunning => limit::WhenFull::CancelRunning,
            WhenFull::Reject => limit::WhenFull::Reject,
        };
        KeyLimit { limit: rule.limit, when_full }
    }
}

impl From<&RetryPolicy> for Retry {
    fn from(policy: &RetryPolicy) -> Retry {
        let jitter = match policy.jitter {
            Jitter::None => "none",
            Jitter::Full => "full",
            Jitter::Equal => "equal",
        };
        Retry {
            max_attempts: Some(policy.max_attempts),
            delay_ms: Some(policy.delay.0),
            multiplier: Some(policy.multiplier),
            max_delay_ms: Some(policy.max_delay.0),
            jitter: Some(jitter.to_owned()),
            on: policy.on.as_ref().map(|on| on.iter().map(|category| category.as_str().to_owned()).collect()),
        }
    }
}

impl From<&Provenance> for crate::Provenance {
    fn from(from: &Provenance) -> crate::Provenance {
        crate::Provenance {
            provider: from.provider.clone(),
            model: from.model.clone(),
            degraded: from.degraded.is_some(),
            degraded_reason: from.degraded.clone(),
            stand_in: from.stand_in,
            recorded: from.recorded,
            cached: from.cached,
            reused: from.reused.clone(),
            truncated: from.truncated,
            calls: from.calls,
            input_tokens: from.input_tokens,
            output_tokens: from.output_tokens,
            cost_nanousd: from.cost.0,
        }
    }
}

impl From<&TaskError> for crate::TaskError {
    fn from(error: &TaskError) -> crate::TaskError {
        crate::TaskError {
            category: error.category.as_str().to_owned(),
            message: error.message.clone(),
            retryable: Some(error.retryable),
            retry_after_ms: error.retry_after.map(|wait| wait.0),
            retry: error.fresh.then_some(AskAgain::Fresh),
        }
    }
}
