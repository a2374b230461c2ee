//! Reader of workflow values that hold expressions.

use std::ops::{Deref, DerefMut};

use super::{keys::Shape, references::Site};
use crate::{
    expr::{ExprError, Expression, Path, Template},
    yaml::{self, Node, Problems, Trail},
};

/// Reads values of a workflow: those of any file, and expressions, whose references are checked at the end.
pub(super) struct Reader<'s> {
    values: yaml::Reader<'s>,
    pub sites: Vec<Site>,
}

impl<'s> Deref for Reader<'s> {
    type Target = yaml::Reader<'s>;

    fn deref(&self) -> &yaml::Reader<'s> {
        &self.values
    }
}

impl DerefMut for Reader<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.values
    }
}

impl<'s> Reader<'s> {
    pub fn new(source: &'s str, problems: Problems) -> Reader<'s> {
        Reader { values: yaml::Reader { source, problems }, sites: Vec::new() }
    }

    /// Returns the problems found.
    pub fn into_problems(self) -> Problems {
        self.values.problems
    }

    /// Reads a number within the limits of its key.
    pub fn number(&mut self, node: &Node<'_>, trail: &Trail<'_>, shape: Shape) -> Option<f64> {
        match shape {
            Shape::Whole { least, most } => self.values.number(node, trail, (least as f64, most as f64), true),
            Shape::Number { least, most } => self.values.number(node, trail, (least, most), false),
            _ => self.values.number(node, trail, (f64::MIN, f64::MAX), false),
        }
    }

    /// Reads an expression, with or without `${{ }}`.
    pub fn expression(&mut self, node: &Node<'_>, trail: &Trail<'_>, scope: Scope) -> Option<Expression> {
        let Some(text) = node.text() else {
            self.expected(node, trail, "an expression");
            return None;
        };
        match Expression::compile(text) {
            Ok(expression) => {
                let lead = text.find("${{").filter(|_| expression.source().len() < text.len()).map_or(0, |at| at + 3);
                self.remember(expression.references(), node, lead, trail, scope);
                Some(expression)
            }
            Err(error) => {
                self.expression_problem(node, trail, &error);
                None
            }
        }
    }

    /// Reads a tree with `${{ }}` in its strings.
    pub fn template(&mut self, node: &Node<'_>, trail: &Trail<'_>, scope: Scope) -> Option<Template> {
        let tree = self.json(node, trail)?;
        match Template::compile(&tree) {
            Ok(template) => {
                template.each_expression(&mut |field, start, expression| {
                    self.remember(expression.references(), node.at_path(field), start, &trail.then(field), scope);
                });
                Some(template)
            }
            Err(error) => {
                let field = error.field.clone().unwrap_or_default();
                let at = node.at_path(&field);
                self.expression_problem(at, &trail.then(&field), &error);
                None
            }
        }
    }

    fn expression_problem(&mut self, node: &Node<'_>, trail: &Trail<'_>, error: &ExprError) {
        let place = node.place_at(self.source, error.offset.unwrap_or(0));
        self.report(place, trail, error.message.clone(), error.hint.clone());
    }

    fn remember(&mut self, paths: &[Path], node: &Node<'_>, lead: usize, trail: &Trail<'_>, scope: Scope) {
        for path in paths {
            let place = node.place_at(self.source, lead + path.offset);
            self.sites.push(Site { path: path.clone(), place, field: trail.text().into(), scope });
        }
    }
}

/// Position of an expression, which decides the names that it can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Scope {
    /// The block of the expression.
    pub block: u32,
    /// The step whose needs decide. `None` for an expression that is evaluated when the block has ended.
    pub step: Option<u32>,
    /// Whether `item` and `index` are available.
    pub item: bool,
    /// Whether `turn` and `previous` are available.
    pub turn: bool,
    /// Whether `error` is available.
    pub error: bool,
    /// Whether the step's own result is available, as in the `until` of a loop.
    pub own: bool,
    /// Whether only the inputs are available, as in `vars`.
    pub inputs_only: bool,
    /// The only value that is available, as in a trigger of a run.
    pub told: Option<&'static Told>,
}

/// Value that a trigger describes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub name: &'static str,
    pub parts: &'static [&'static str],
}
