//! Reader of `on`: what starts runs of a workflow.

use serde_json::{Value as Json, json};

use super::{
    fields::{Scope, Told},
    keys::{self, Shape, Table},
    model::{Definition, OnCompleted, OnSchedule},
    parse::Parser,
};
use crate::{
    expr::Template,
    name::Name,
    run::StatusKind,
    schedule::{self, CatchUp, Overlap, Plan, Zone},
    time::DurationMs,
    yaml::{Content, Node, Trail},
};

static COMPLETED: Told =
    Told { name: "completed", parts: &["workflow", "run", "status", "outputs", "inputs", "error"] };
static FIRE: Told = Told { name: "fire", parts: &["scheduled", "time", "date", "schedule"] };

impl Parser<'_> {
    /// Reads one map of triggers, or a list of them.
    pub(super) fn triggers(&mut self, node: &Node<'_>, trail: &Trail<'_>, made: &mut Definition) {
        match &node.content {
            Content::List(items) if items.is_empty() => self.reader.expected(node, trail, "a trigger"),
            Content::List(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.map_of_triggers(item, &trail.then(&format!("[{at}]")), made);
                }
            }
            _ => self.map_of_triggers(node, trail, made),
        }
    }

    fn map_of_triggers(&mut self, node: &Node<'_>, trail: &Trail<'_>, made: &mut Definition) {
        let fields = self.reader.table(node, trail, &keys::ON);
        if node.entries().is_some_and(<[_]>::is_empty) {
            self.reader.report(node.place, trail, "the map is empty", Some(known(&keys::ON)));
        }
        for (key, node) in fields {
            let trail = trail.then(key.name);
            match key.name {
                "completed" if made.on_completed.is_some() => {
                    let hint = "remove one, or write another workflow for it".to_owned();
                    self.reader.report(node.place, &trail, "a workflow has one trigger of this kind", Some(hint));
                }
                "completed" => made.on_completed = self.on_completed(node, &trail),
                _ => {
                    if let Some(schedule) = self.on_schedule(node, &trail, made) {
                        made.on_schedules.push(schedule);
                    }
                }
            }
        }
    }

    /// Reads `completed: { workflow: …, status: …, if: …, with: … }`.
    fn on_completed(&mut self, node: &Node<'_>, trail: &Trail<'_>) -> Option<OnCompleted> {
        let scope = Scope { told: Some(&COMPLETED), ..Scope::default() };
        let (mut workflow, mut status, mut condition, mut with) =
            (None, Some(StatusKind::Succeeded), None, Template::default());
        for (key, node) in self.reader.table(node, trail, &keys::COMPLETED) {
            let trail = trail.then(key.name);
            match (key.name, key.shape) {
                ("workflow", _) => workflow = self.reader.name(node, &trail),
                ("status", Shape::OneOf(words)) => {
                    let known = [StatusKind::Succeeded, StatusKind::Failed, StatusKind::Cancelled];
                    if let Some(at) = self.reader.one_of(node, &trail, words) {
                        status = known.get(at).copied();
                    }
                }
                ("if", _) => condition = self.reader.expression(node, &trail, scope),
                _ => with = self.tree(node, &trail, scope).unwrap_or_default(),
            }
        }
        Some(OnCompleted { workflow: workflow?, status, condition, with })
    }

    /// Reads `schedule: { cron: …, timezone: …, with: … }`.
    fn on_schedule(&mut self, node: &Node<'_>, trail: &Trail<'_>, made: &Definition) -> Option<OnSchedule> {
        let scope = Scope { told: Some(&FIRE), ..Scope::default() };
        let (mut name, mut cron, mut zone) = (None, None, None);
        let (mut catch_up, mut overlap) = (CatchUp::default(), Overlap::default());
        let (mut jitter, mut with, mut place) = (DurationMs::ZERO, json!({}), node.place);
        for (key, node) in self.reader.table(node, trail, &keys::SCHEDULE) {
            let trail = trail.then(key.name);
            match (key.name, key.shape) {
                ("name", _) => name = self.reader.name(node, &trail).map(|name| (name, node.place)),
                ("cron", _) => cron = self.reader.text(node, &trail).map(|text| (text.trim().to_owned(), node.place)),
                ("timezone", _) => {
                    let text = self.reader.text(node, &trail)?;
                    if let Err(error) = Zone::parse(text) {
                        self.reader.report(node.place, &trail, error.to_string(), None);
                        continue;
                    }
                    zone = Some(text.to_owned());
                }
                ("catch_up", Shape::OneOf(words)) => {
                    let found = self.reader.one_of(node, &trail, words);
                    catch_up = found.and_then(|at| CatchUp::ALL.get(at).copied()).unwrap_or_default();
                }
                ("overlap", Shape::OneOf(words)) => {
                    let found = self.reader.one_of(node, &trail, words);
                    overlap = found.and_then(|at| Overlap::ALL.get(at).copied()).unwrap_or_default();
                }
                ("jitter", _) => jitter = self.jitter(node, &trail).unwrap_or_default(),
                _ => {
                    self.tree(node, &trail, scope);
                    with = self.reader.json(node, &trail).unwrap_or_default();
                    place = node.place;
                    self.small(node, &trail, &with);
                }
            }
        }
        let zone = zone.unwrap_or_else(|| "UTC".to_owned());
        let (cron, at) = cron?;
        if let Err(error) = Plan::parse(&cron, &zone) {
            let hint = "write `MINUTE HOUR DAY MONTH WEEKDAY`, seconds in front of it, @daily, or a span such as 15m";
            self.reader.report(at, &trail.then("cron"), error.to_string(), Some(hint.to_owned()));
        }
        let (name, at) = match name {
            None => (made.name.clone(), node.place),
            Some((name, at)) => (Name::new(&format!("{}.{name}", made.name)), at),
        };
        if Name::parse(name.as_str()).is_err() {
            let message = format!("`{name}` has more than 80 characters");
            self.reader.report(at, &trail.then("name"), message, Some("write a shorter name".to_owned()));
        }
        if made.on_schedules.iter().any(|other| other.name == name) {
            let message = format!("two schedules of this workflow are named `{name}`");
            let hint = "give each a name of its own: `schedule: { name: NAME, cron: ... }`".to_owned();
            self.reader.report(at, &trail.then("name"), message, Some(hint));
        }
        Some(OnSchedule { name, cron: cron.into(), zone: zone.into(), catch_up, overlap, jitter, with, place })
    }

    fn jitter(&mut self, node: &Node<'_>, trail: &Trail<'_>) -> Option<DurationMs> {
        let jitter = self.reader.duration(node, trail)?;
        if jitter > schedule::JITTER_MAX {
            self.reader.report(node.place, trail, "longer than an hour", Some("write at most 1h".to_owned()));
        }
        Some(jitter)
    }

    /// Reports inputs that are too large for a schedule.
    fn small(&mut self, node: &Node<'_>, trail: &Trail<'_>, with: &Json) {
        let length = with.to_string().len();
        if length > schedule::WITH_MAX {
            let message = format!("{length} bytes of JSON; expected at most {}", schedule::WITH_MAX);
            let hint = "name a file or an id, and let a step read it".to_owned();
            self.reader.report(node.place, trail, message, Some(hint));
        }
    }
}

fn known(table: &Table) -> String {
    format!("known here: {}", table.names().collect::<Vec<_>>().join(", "))
}
