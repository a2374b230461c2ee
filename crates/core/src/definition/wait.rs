//! Reader of `wait`.

use super::{
    fields::Scope,
    keys::{self, Shape},
    model::{OnTimeout, Timer, Wait, WaitFor},
    parse::Parser,
};
use crate::{
    approval::ApprovalRule,
    yaml::{Node, Trail},
};

/// Limit of approvers of one step.
const APPROVERS_MAX: usize = 100;

impl Parser<'_> {
    /// Reads the event that a step waits for.
    pub(super) fn wait(&mut self, node: &Node<'_>, trail: &Trail<'_>, scope: Scope) -> Option<Wait> {
        let (mut target, mut timeout, mut on_timeout) = (None, None, OnTimeout::Fail);
        let (mut rule, mut early) = (ApprovalRule::default(), None);
        let found = self.reader.table(node, trail, &keys::WAIT);
        let targets = found.iter().filter(|(key, _)| keys::WAITS.contains(&key.name)).count();
        if targets != 1 && node.entries().is_some() {
            let hint =
                Some("write `wait: { approval: \"Send it?\" }`, `{ signal: name }` or `{ timer: 5m }`".to_owned());
            self.reader.report(node.place, trail, "`wait` has exactly one of approval, signal and timer", hint);
        }
        for (key, value) in found {
            let trail = trail.then(key.name);
            match (key.name, key.shape) {
                ("approval", _) => {
                    self.reader.text(value, &trail)?;
                    target = self.reader.template(value, &trail, scope).map(WaitFor::Approval);
                }
                ("signal", _) => target = self.reader.name(value, &trail).map(WaitFor::Signal),
                ("timer", _) => target = self.timer(value, &trail, scope).map(WaitFor::Timer),
                ("timeout", _) => timeout = self.reader.duration(value, &trail),
                ("approvers", _) => rule.approvers = self.approvers(value, &trail),
                ("early", Shape::OneOf(words)) => early = self.reader.one_of(value, &trail, words),
                ("allow_starter", _) => rule.allow_starter = self.reader.flag(value, &trail),
                ("on_timeout", Shape::OneOf(words)) if self.reader.one_of(value, &trail, words) == Some(1) => {
                    on_timeout = OnTimeout::Continue;
                }
                _ => {}
            }
        }
        let target = target?;
        if !rule.is_plain() && !matches!(target, WaitFor::Approval(_)) {
            let message = "`approvers` and `allow_starter` are only for `approval`";
            self.reader.report(node.place, trail, message, Some("remove them".to_owned()));
        }
        if early.is_some() && !matches!(target, WaitFor::Signal(_)) {
            self.reader.report(node.place, trail, "`early` is only for `signal`", Some("remove it".to_owned()));
        }
        Some(Wait { target, timeout, on_timeout, drops_early: early == Some(1), rule })
    }

    fn approvers(&mut self, node: &Node<'_>, trail: &Trail<'_>) -> Vec<String> {
        let names: Vec<String> = self.needs(node, trail).into_iter().map(|(name, _)| name).collect();
        if names.is_empty() || names.len() > APPROVERS_MAX {
            let message = format!("{} approvers; expected 1 to {APPROVERS_MAX}", names.len());
            self.reader.report(node.place, trail, message, Some("leave the key out for everybody who may".to_owned()));
        }
        names
    }

    fn timer(&mut self, node: &Node<'_>, trail: &Trail<'_>, scope: Scope) -> Option<Timer> {
        if node.text().is_some_and(|text| text.starts_with("${{")) {
            return self.reader.expression(node, trail, scope).map(Timer::Computed);
        }
        self.reader.duration(node, trail).map(Timer::Fixed)
    }
}
