//! The run from outside: events in, states out.

use std::sync::Arc;

use kapelle_core::{Category, TaskError, definition::Definition};
use serde_json::{Value as Json, json};

use super::model::{Address, End, Kind, Node, NodeAt, Outer, Phase, Scope, ScopeAt, Seen, Verdict, Waits};

/// A change made by [`Reference::settle`].
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A task, a wait or a containing step began.
    Began(Address),
    /// A step was skipped.
    Skipped(Address),
    /// A step that began ended.
    Ended(Address),
}

/// Order of concurrent events.
pub trait Order {
    /// Returns the rank of a step that could begin: the lowest comes first; one without a rank does not begin yet.
    fn rank(&self, address: &Address) -> Option<u64>;

    /// Tells whether a containing step whose contents are done may end by now.
    fn may_end(&self, address: &Address) -> bool;
}

/// Order of the ends of containing steps among steps that may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// Before any further step begins.
    First,
    /// One of them each time that all possible steps have begun.
    Between,
    /// After the last step that can begin.
    Last,
    /// In an order drawn from that seed.
    Drawn(u64),
}

/// Interpreter of a run.
#[derive(Debug, Clone)]
pub struct Reference {
    pub(super) definition: Arc<Definition>,
    pub(super) inputs: Json,
    pub(super) nodes: Vec<Node>,
    pub(super) scopes: Vec<Scope>,
    /// Current block of the run. `None` once the run has ended.
    pub(super) stage: Option<Outer>,
    pub(super) cancels: u32,
    pub(super) paused: bool,
    pub(super) failure: Option<TaskError>,
    /// Step whose failure ended the run at once.
    pub(super) fast: Option<NodeAt>,
    pub(super) verdict: Option<Verdict>,
    pub(super) begun: u64,
    pub(super) now: i64,
    /// Signals that no step waited for yet.
    pub(super) signals: Vec<(String, Json)>,
    pub(super) changes: Vec<Change>,
}

impl Reference {
    /// Makes a run of which no step has begun. `now` is in milliseconds.
    #[must_use]
    pub fn new(definition: Arc<Definition>, inputs: Json, now: i64) -> Reference {
        let mut made = Reference {
            definition,
            inputs,
            nodes: Vec::new(),
            scopes: Vec::new(),
            stage: Some(Outer::Root),
            cancels: 0,
            paused: false,
            failure: None,
            fast: None,
            verdict: None,
            begun: 0,
            now,
            signals: Vec::new(),
            changes: Vec::new(),
        };
        made.open_block(None, Outer::Root, made.definition.root);
        made
    }

    /// Begins, skips and ends all nodes that it can. The format does not fix the order of concurrent events, so the
    /// caller does: `order` says what may happen by now, and `ends` whether containing steps that are done end before
    /// or after others begin.
    pub fn advance(&mut self, order: &dyn Order, ends: Ends) -> Vec<Change> {
        let mut draws = match ends {
            Ends::Drawn(seed) => seed,
            _ => 0,
        };
        loop {
            let changed = if let Ends::Drawn(seed) = ends {
                // Knuth's multiplier for a linear congruence modulo 2^64; its upper half is random enough.
                draws = draws.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                self.advance_one(order, draws >> 33, seed % 2 == 0)
            } else {
                self.pass_time(self.now);
                match ends {
                    Ends::First => self.end_something(order, 0) || self.begin_something(order),
                    Ends::Between => self.begin_all(order) | self.end_something(order, 0),
                    Ends::Last | Ends::Drawn(_) => self.begin_something(order) || self.end_something(order, 0),
                }
            };
            if !changed {
                return std::mem::take(&mut self.changes);
            }
        }
    }

    /// Makes one possible change, by lot. Returns false without a possible change. Ends by time are among them or, when
    /// it is `late`, after all others.
    fn advance_one(&mut self, order: &dyn Order, lot: u64, late: bool) -> bool {
        let timely = |of: &mut Reference| {
            let due = !of.due_nodes(of.now).is_empty();
            of.pass_time(of.now);
            due
        };
        let at_once = match lot % 3 {
            0 => self.begin_something(order),
            1 => !late && timely(self),
            _ => false,
        };
        at_once || self.end_something(order, lot / 3) || self.begin_something(order) || timely(self)
    }

    /// Ends a task. Ends of a node that is not open change nothing.
    pub fn task_ended(&mut self, address: &Address, end: End) {
        if let Some(at) = self.open_node(address) {
            self.end(at, end);
        }
    }

    /// Answers an approval; the answer becomes the step's output.
    pub fn approve(&mut self, address: &Address, end: End) {
        if let Some(at) = self.open_node(address).filter(|at| self.nodes[*at].seen.waits == Some(Waits::Approval)) {
            self.end(at, end);
        }
    }

    /// Delivers a signal to the step that has waited for it longest, or to the next that will.
    pub fn signal(&mut self, name: &str, payload: Json) {
        let wanted = Some(Waits::Signal(name.to_owned()));
        let waiting = (0..self.nodes.len()).filter(|at| {
            let node = &self.nodes[*at];
            node.seen.phase == Phase::Open && node.seen.waits == wanted
        });
        match waiting.min_by_key(|at| self.nodes[*at].begun) {
            Some(at) => self.end(at, End::Succeeded(payload)),
            None if self.definition.dropped_signals.iter().any(|dropped| dropped.as_str() == name) => {}
            None => self.signals.push((name.to_owned(), payload)),
        }
    }

    /// Advances the clock and ends what is due. Nodes that are due at one moment have all ended, with their contents,
    /// before any of them has effects.
    pub fn pass_time(&mut self, now: i64) {
        self.now = now;
        loop {
            let mut due = self.due_nodes(now);
            if due.is_empty() {
                return;
            }
            // It may have ended with its outer step.
            due.retain(|&(at, _)| {
                let open = self.nodes[at].seen.phase == Phase::Open;
                if open {
                    let end = self.timely_end(at, now);
                    self.close(at, end);
                }
                open
            });
            due.into_iter().for_each(|(at, _)| self.ended(at));
        }
    }

    /// Returns the next time at which a change happens by itself, in milliseconds.
    #[must_use]
    pub fn next_due(&self) -> Option<i64> {
        let open = self.nodes.iter().filter(|node| node.seen.phase == Phase::Open);
        open.flat_map(|node| [node.seen.due, node.limit]).flatten().min()
    }

    /// Returns the end of a node that is due.
    fn timely_end(&self, at: NodeAt, now: i64) -> End {
        let timer = self.nodes[at].seen.waits == Some(Waits::Timer);
        let own = self.nodes[at].limit.is_some_and(|limit| limit <= now);
        if !own && (timer || on_timeout_continues(self.step_of(at))) {
            return End::Succeeded(Json::Null);
        }
        let what = match &self.nodes[at].seen.waits {
            Some(Waits::Signal(name)) if !own => format!("the signal `{name}` did not arrive in time"),
            Some(Waits::Approval) if !own => "nobody approved it in time".to_owned(),
            _ => "the deadline passed before the task was done".to_owned(),
        };
        End::Failed(TaskError::new(Category::Timeout, what).permanent())
    }

    /// Returns the nodes that are due first, the one that began first in front.
    fn due_nodes(&self, now: i64) -> Vec<(NodeAt, i64)> {
        let due = |at: NodeAt| {
            let node = &self.nodes[at];
            let due = [node.seen.due, node.limit].into_iter().flatten().min();
            due.filter(|due| node.seen.phase == Phase::Open && *due <= now)
        };
        let mut all: Vec<(NodeAt, i64)> = (0..self.nodes.len()).filter_map(|at| Some((at, due(at)?))).collect();
        all.sort_by_key(|(at, due)| (*due, self.nodes[*at].begun, *at));
        let first = all.first().map(|(_, due)| *due);
        all.retain(|(_, due)| Some(*due) == first);
        all
    }

    /// Cancels the run.
    pub fn cancel(&mut self) {
        if self.verdict.is_some() {
            return;
        }
        self.cancels += 1;
        let spared: &[Outer] = if self.cancels == 1 { &[Outer::Finally] } else { &[] };
        for scope in 0..self.scopes.len() {
            if self.scopes[scope].parent.is_none() && !spared.contains(&self.scopes[scope].outer) {
                self.kill(scope);
            }
        }
    }

    /// Pauses the run until [`Reference::resume`].
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// Resumes the run.
    pub fn resume(&mut self) {
        self.paused = false;
    }

    /// Returns the end of the run, if it has ended.
    #[must_use]
    pub fn verdict(&self) -> Option<&Verdict> {
        self.verdict.as_ref()
    }

    /// Returns every node that has begun or was skipped.
    pub fn seen(&self) -> impl Iterator<Item = &Seen> {
        self.nodes.iter().filter(|node| node.begun.is_some()).map(|node| &node.seen)
    }

    /// Formats all nodes that ever existed, for people.
    #[must_use]
    pub fn picture(&self) -> String {
        let line = |node: &Node| format!("{:?} {} {:?}\n", node.seen.phase, node.seen.path, node.seen.reason);
        self.nodes.iter().map(line).collect()
    }

    fn open_node(&self, address: &Address) -> Option<NodeAt> {
        self.nodes.iter().position(|node| node.seen.address == *address && node.seen.phase == Phase::Open)
    }

    pub(super) fn step_of(&self, at: NodeAt) -> &kapelle_core::definition::StepDef {
        let (block, step) = self.nodes[at].step;
        self.definition.step(block, step)
    }

    pub(super) fn open_scope(&mut self, parent: Option<NodeAt>, outer: Outer, kind: Kind) -> ScopeAt {
        let scope = Scope {
            kind,
            parent,
            outer,
            nodes: Vec::new(),
            handlers: Vec::new(),
            stopped: false,
            dead: false,
            satisfied: false,
            failed_by: None,
        };
        self.scopes.push(scope);
        let at = self.scopes.len() - 1;
        if let Some(parent) = parent {
            self.nodes[parent].inner = Some(at);
            self.nodes[parent].seen.waits = Some(Waits::Inside);
        }
        at
    }
}

fn on_timeout_continues(step: &kapelle_core::definition::StepDef) -> bool {
    use kapelle_core::definition::{Action, OnTimeout};
    matches!(&step.action, Action::Wait(wait) if wait.on_timeout == OnTimeout::Continue)
}

/// Returns the value of `error` where a failure is handled.
pub(super) fn error_value(error: &TaskError) -> Json {
    json!({ "category": error.category.as_str(), "message": error.message })
}
