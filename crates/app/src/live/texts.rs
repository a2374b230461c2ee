//! Text of models as they write, for one listener.

use std::collections::{HashMap, HashSet};

use kapelle_api as api;
use kapelle_core::TaskId;
use kapelle_engine::{LiveOutput, LiveOutputs, Place};

use super::topic::Topic;

/// The positions of a listener in the texts of one topic.
#[derive(Debug, Default)]
pub(super) struct Texts {
    places: HashMap<TaskId, Place>,
    /// Attempts whose text was read to its end, or had ended before the topic was followed.
    through: HashSet<(TaskId, u32)>,
}

impl Texts {
    /// Begins with the texts that are being written now; ended ones are in the answers.
    pub(super) fn of(outputs: &LiveOutputs, topic: &Topic) -> Texts {
        let ended = found(outputs, topic).into_iter().filter(|text| text.has_ended());
        Texts { places: HashMap::new(), through: ended.map(|text| (text.task, text.attempt)).collect() }
    }

    /// Returns what was written since the last call.
    pub(super) fn read(&mut self, outputs: &LiveOutputs, topic: &Topic) -> Vec<api::TextDelta> {
        let mut told = Vec::new();
        for text in found(outputs, topic) {
            if self.through.contains(&(text.task, text.attempt)) {
                continue;
            }
            // Read before the text, so that text before the end is not missed.
            let ended = text.has_ended();
            let known = self.places.get(&text.task).copied();
            let piece = text.since(known);
            if let Some(piece) = &piece {
                self.places.insert(text.task, piece.next());
            }
            let place = piece.as_ref().map(|piece| piece.place).or_else(|| known.filter(|_| ended));
            if let Some(place) = place {
                told.push(api::TextDelta {
                    task: text.task.to_string(),
                    step: text.step.as_deref().map(str::to_owned),
                    attempt: place.attempt,
                    part: place.part,
                    offset: place.offset as u64,
                    text: piece.map(|piece| piece.text).unwrap_or_default(),
                    ended,
                });
            }
            if ended {
                self.through.insert((text.task, text.attempt));
                self.places.remove(&text.task);
            }
        }
        told
    }
}

fn found(outputs: &LiveOutputs, topic: &Topic) -> Vec<std::sync::Arc<LiveOutput>> {
    match topic {
        Topic::Run(run) => outputs.of_run(*run),
        Topic::Task(task) => outputs.of_task(*task).into_iter().collect(),
        _ => Vec::new(),
    }
}
