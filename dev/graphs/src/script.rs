//! Answers of workers: the path and the attempt decide.

use std::sync::Arc;

use kapelle_core::{Category, TaskError};
use kapelle_engine::turn::{NewPayload, Reported};
use kapelle_testkit::reference::End;
use serde_json::{Value as Json, json};

use crate::rng::{Rng, mix};

/// Answer of a worker to an attempt.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Report to the engine.
    pub reported: Reported,
    /// End of the step, if this is the last attempt.
    pub end: End,
}

/// Behaviour of all workers of a case.
#[derive(Debug, Clone, Copy)]
pub struct Script {
    seed: u64,
    /// Percentage of failures.
    fails: u32,
    /// Percentage of failures that may be retried.
    again: u32,
    /// Percentage of outputs that do not fit into a row.
    long: u32,
}

impl Script {
    /// Draws the behaviour of a seed.
    pub fn draw(rng: &mut Rng) -> Script {
        let fails = [0, 3, 10, 30][rng.place(4)];
        let long = if rng.percent(30) { 40 } else { 0 };
        Script { seed: rng.draw(), fails, again: 60, long }
    }

    /// Returns the answer to an attempt.
    #[must_use]
    pub fn answer(&self, path: &str, attempt: u32) -> Answer {
        let mut rng =
            Rng::new(path.bytes().fold(mix(self.seed), |sum, byte| mix(sum ^ u64::from(byte))) ^ u64::from(attempt));
        if rng.percent(self.fails) {
            let error = if rng.percent(self.again) {
                TaskError::new(Category::Provider, format!("{path} is not well today"))
            } else {
                TaskError::new(Category::InvalidOutput, format!("{path} will never be well")).permanent()
            };
            return Answer { reported: Reported::Fail { error: error.clone() }, end: End::Failed(error) };
        }
        let output = self.output(&mut rng);
        let payload = match serde_json::to_vec(&output) {
            Ok(bytes) if !output.is_null() => NewPayload::Bytes(Arc::from(bytes)),
            _ => NewPayload::None,
        };
        let reported = Reported::Succeed { output: payload, provenance: Arc::default() };
        Answer { reported, end: End::Succeeded(output) }
    }

    fn output(&self, rng: &mut Rng) -> Json {
        if rng.percent(2) {
            return Json::Null;
        }
        let list: Vec<u64> = (0..rng.below(5)).map(|_| rng.below(9)).collect();
        let mut output = json!({ "v": rng.below(10), "ok": rng.percent(50), "list": list });
        if let (true, Some(map)) = (rng.percent(self.long), output.as_object_mut()) {
            map.insert("text".into(), Json::String("long ".repeat(150)));
        }
        output
    }
}
