//! Answers from outside of the loop that come while a turn is taken. They can be recorded, and given again on a replay.

use std::{collections::VecDeque, sync::Arc};

use kapelle_core::{Name, TaskId};
use serde::{Deserialize, Serialize};

use super::{
    directory::{Admission, Directory},
    prepaid::Prepaid,
};

/// An answer that a turn got while it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Learnt {
    /// Whether a provider has room for a call.
    Admission(Admission),
    /// Whether a prepaid amount was withdrawn before its payer used it.
    Withdrawn(bool),
}

/// The way in which a turn gets its answers from outside.
#[derive(Debug, Default)]
pub(super) enum Outside {
    /// Asks.
    #[default]
    Asked,
    /// Asks, and records the answers in their order.
    Recorded(Vec<Learnt>),
    /// Takes recorded answers. The flag is raised by a question that has no such answer.
    Replayed(VecDeque<Learnt>, bool),
}

impl Outside {
    /// Asks for the right of a task to one call of a model.
    pub(super) fn admit_call(
        &mut self,
        directory: &Arc<dyn Directory>,
        (model, task): (&Name, TaskId),
        steady_ms: u64,
    ) -> Admission {
        if let Outside::Replayed(answers, differs) = self {
            if let Some(Learnt::Admission(admission)) = answers.pop_front() {
                return admission;
            }
            *differs = true;
            return Admission::Free;
        }
        let admission = directory.admit_call(model, task, steady_ms);
        self.record(Learnt::Admission(admission));
        admission
    }

    /// Withdraws a prepaid amount. Returns false if its payer has used it.
    pub(super) fn withdraw(&mut self, block: &Prepaid) -> bool {
        if let Outside::Replayed(answers, differs) = self {
            let Some(Learnt::Withdrawn(withdrawn)) = answers.pop_front() else {
                *differs = true;
                return block.give_back();
            };
            // The process of the replay has no payer: the amount is as the record says.
            if withdrawn {
                block.give_back();
            } else {
                block.use_up();
            }
            return withdrawn;
        }
        let withdrawn = block.give_back();
        self.record(Learnt::Withdrawn(withdrawn));
        withdrawn
    }

    fn record(&mut self, answer: Learnt) {
        if let Outside::Recorded(answers) = self {
            answers.push(answer);
        }
    }

    /// Returns the recorded answers since the last call.
    pub(super) fn learnt(&mut self) -> Vec<Learnt> {
        match self {
            Outside::Recorded(answers) => std::mem::take(answers),
            Outside::Asked | Outside::Replayed(..) => Vec::new(),
        }
    }

    /// Tells whether a replayed turn asked other questions than were recorded, or fewer.
    pub(super) fn differs(&self) -> bool {
        matches!(self, Outside::Replayed(answers, differs) if *differs || !answers.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Directory for Nobody {
        fn local(
            &self,
            _tenant: kapelle_core::TenantId,
            _name: &Name,
        ) -> Option<Arc<kapelle_core::worker::WorkerSpec>> {
            None
        }
    }

    #[test]
    fn a_replay_that_asks_otherwise_is_noticed() {
        let directory: Arc<dyn Directory> = Arc::new(Nobody);
        let model = Name::new("fast");
        let ask = |outside: &mut Outside| outside.admit_call(&directory, (&model, TaskId(1)), 0);
        let mut outside = Outside::Recorded(Vec::new());
        assert_eq!(ask(&mut outside), Admission::Free);
        assert_eq!(outside.learnt(), [Learnt::Admission(Admission::Free)]);
        let right = Learnt::Admission(Admission::Right);
        for (answers, differs) in [
            (vec![right], false),
            (vec![right, right], true),
            (Vec::new(), true),
            (vec![Learnt::Withdrawn(true)], true),
        ] {
            let mut outside = Outside::Replayed(answers.into(), false);
            ask(&mut outside);
            assert_eq!(outside.differs(), differs);
        }
    }
}
