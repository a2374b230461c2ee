//! The run from outside: events in, states out.

use std::sync::Arc;

use kapelle_core::{Category, TaskError, definition::Definition};
use serde_json::{Value as Json, json};

use super::model::{Address, End, Kind, Node, NodeAt, Outer, Phase, Scope, ScopeAt, Seen, Verdict, Waits};

/// Something that [`Reference::settle`] did.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A task, a wait or a containing step began.
    Began(Address),
    /// A step was skipped.
    Skipped(Address),
    /// A step that began ended.
    Ended(Address),
}

/// When containing steps that are done end, among others that may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// Before any further step begins.
    First,
    /// One of them each time that all have begun that could.
    Between,
    /// When no further step can begin.
    Last,
}

/// A run, interpreted.
#[derive(Debug, Clone)]
pub struct Reference {
    pub(super) definition: Arc<Definition>,
    pub(super) inputs: Json,
    pub(super) nodes: Vec<Node>,
    pub(super) scopes: Vec<Scope>,
    /// The block of the run that is under way; none once the run has ended.
    pub(super) stage: Option<Outer>,
    pub(super) cancels: u32,
    pub(super) paused: bool,
    pub(super) failure: Option<TaskError>,
    /// The step whose failure ended the run at once.
    pub(super) fast: Option<NodeAt>,
    pub(super) verdict: Option<Verdict>,
    pub(super) begun: u64,
    pub(super) now: i64,
    /// Signals that nobody waited for yet.
    pub(super) signals: Vec<(String, Json)>,
    pub(super) changes: Vec<Change>,
}

impl Reference {
    /// A run none of whose steps has begun. `now` is in milliseconds.
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

    /// Begins, skips and ends whatever there is to begin, skip and end. In which order concurrent things happen is not for
    /// the format to say, so the caller does: of several steps that could begin the one for which `rank` gives the least
    /// comes first, one for which it gives none does not begin, and `ends` says when containing steps that are done end.
    pub fn settle(&mut self, rank: &dyn Fn(&Address) -> Option<u64>, ends: Ends) -> Vec<Change> {
        loop {
            self.advance(self.now);
            let changed = match ends {
                Ends::First => self.end_something() || self.begin_something(rank),
                Ends::Between => self.begin_all(rank) | self.end_something(),
                Ends::Last => self.begin_something(rank) || self.end_something(),
            };
            if !changed {
                return std::mem::take(&mut self.changes);
            }
        }
    }

    /// A task has ended. Ends of what is not open change nothing.
    pub fn task_ended(&mut self, address: &Address, end: End) {
        if let Some(at) = self.open_node(address) {
            self.end(at, end);
        }
    }

    /// Somebody answers an approval; the answer becomes the step's output.
    pub fn approve(&mut self, address: &Address, end: End) {
        if let Some(at) = self.open_node(address).filter(|at| self.nodes[*at].seen.waits == Some(Waits::Approval)) {
            self.end(at, end);
        }
    }

    /// A signal arrives: for the step that waits for it longest, or for the next that will.
    pub fn signal(&mut self, name: &str, payload: Json) {
        let wanted = Some(Waits::Signal(name.to_owned()));
        let waiting = (0..self.nodes.len()).filter(|at| {
            let node = &self.nodes[*at];
            node.seen.phase == Phase::Open && node.seen.waits == wanted
        });
        match waiting.min_by_key(|at| self.nodes[*at].begun) {
            Some(at) => self.end(at, End::Succeeded(payload)),
            None => self.signals.push((name.to_owned(), payload)),
        }
    }

    /// Time has passed: waits that are over end.
    pub fn advance(&mut self, now: i64) {
        self.now = now;
        while let Some(at) = self.due_node(now) {
            let step = self.step_of(at);
            let timer = self.nodes[at].seen.waits == Some(Waits::Timer);
            let own = self.nodes[at].limit.is_some_and(|limit| limit <= now);
            let tolerated = !own && on_timeout_continues(step);
            self.nodes[at].limit = None;
            self.nodes[at].seen.due = None;
            if timer && !own || tolerated {
                self.end(at, End::Succeeded(Json::Null));
            } else {
                let what = match &self.nodes[at].seen.waits {
                    Some(Waits::Signal(name)) if !own => format!("the signal `{name}` did not come in time"),
                    Some(Waits::Approval) if !own => "nobody approved it in time".to_owned(),
                    _ => "the deadline passed before the task was done".to_owned(),
                };
                self.end(at, End::Failed(TaskError::new(Category::Timeout, what).permanent()));
            }
        }
    }

    /// When something happens by itself next, in milliseconds.
    #[must_use]
    pub fn next_due(&self) -> Option<i64> {
        let open = self.nodes.iter().filter(|node| node.seen.phase == Phase::Open);
        open.flat_map(|node| [node.seen.due, node.limit]).flatten().min()
    }

    fn due_node(&self, now: i64) -> Option<NodeAt> {
        let due = |at: &NodeAt| {
            let node = &self.nodes[*at];
            let due = [node.seen.due, node.limit].into_iter().flatten().min();
            due.filter(|due| node.seen.phase == Phase::Open && *due <= now)
        };
        (0..self.nodes.len()).filter_map(|at| Some((due(&at)?, at))).min().map(|(_, at)| at)
    }

    /// Somebody ends the run.
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

    /// Nothing begins until [`Reference::resume`].
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// Goes on.
    pub fn resume(&mut self) {
        self.paused = false;
    }

    /// How the run ended, when it has.
    #[must_use]
    pub fn verdict(&self) -> Option<&Verdict> {
        self.verdict.as_ref()
    }

    /// Every node that has begun or was skipped.
    pub fn seen(&self) -> impl Iterator<Item = &Seen> {
        self.nodes.iter().filter(|node| node.begun.is_some()).map(|node| &node.seen)
    }

    /// Everything that ever became of a node, for people.
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

/// What `error` is where a failure is handled.
pub(super) fn error_value(error: &TaskError) -> Json {
    json!({ "category": error.category.as_str(), "message": error.message })
}
