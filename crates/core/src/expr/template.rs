//! A JSON tree with `${{ }}` in its strings.

use serde_json::{Map, Value as Json};

use super::{
    RESULT_MAX,
    context::{Context, Shared},
    error::{ExprError, ExprErrorKind},
    expression::Expression,
    path::Path,
    token::tokenize,
};

/// A compiled tree. Parts without expressions are kept as they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Template(Piece);

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    /// A constant.
    Constant(Json),
    /// Exactly one expression: the result keeps its type.
    Native(Field<Expression>),
    /// Text that holds expressions.
    Text(Field<Box<[Part]>>),
    List(Box<[Piece]>),
    Map(Box<[(Box<str>, Piece)]>),
}

#[derive(Debug, Clone, PartialEq)]
struct Field<T> {
    name: Box<str>,
    start: usize,
    content: T,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Literal(Box<str>),
    Expression { start: usize, expression: Expression },
}

impl Template {
    /// Compiles every string of the tree.
    ///
    /// # Errors
    /// The first wrong expression, with its field.
    pub fn compile(tree: &Json) -> Result<Template, ExprError> {
        compile(tree, &mut String::new()).map(Template)
    }

    /// Makes a tree without expressions.
    #[must_use]
    pub fn constant(value: Json) -> Template {
        Template(Piece::Constant(value))
    }

    /// Returns the tree if it has no expressions.
    #[must_use]
    pub fn as_constant(&self) -> Option<&Json> {
        match &self.0 {
            Piece::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// Returns the keys if the tree is a map.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let constant = match &self.0 {
            Piece::Constant(Json::Object(map)) => Some(map.keys().map(String::as_str)),
            _ => None,
        };
        let compiled = match &self.0 {
            Piece::Map(entries) => Some(entries.iter().map(|(key, _)| &**key)),
            _ => None,
        };
        constant.into_iter().flatten().chain(compiled.into_iter().flatten())
    }

    /// Evaluates every expression and keeps the result in the engine's form: a list from another step is not copied.
    ///
    /// # Errors
    /// See [`Template::render`].
    pub fn render_shared(&self, context: &Context) -> Result<Shared, ExprError> {
        match &self.0 {
            Piece::Native(field) => {
                let located = |error: ExprError| error.shifted(field.start).in_field(&field.name);
                field.content.eval_shared(context).map_err(located)
            }
            _ => self.render(context).map(|value| Shared::from_json(&value)),
        }
    }

    /// Evaluates every expression.
    ///
    /// # Errors
    /// The first expression that fails, with its field.
    pub fn render(&self, context: &Context) -> Result<Json, ExprError> {
        let mut room = RESULT_MAX;
        render(&self.0, context, &mut room)
    }

    /// Returns the references of all its expressions.
    #[must_use]
    pub fn references(&self) -> Vec<&Path> {
        let mut found = Vec::new();
        self.each_expression(&mut |_, _, expression| found.extend(expression.references()));
        found
    }

    /// Calls `visit` for each expression with its field, its position in the field, and the expression.
    pub fn each_expression<'a>(&'a self, visit: &mut dyn FnMut(&'a str, usize, &'a Expression)) {
        each(&self.0, visit);
    }
}

impl From<Expression> for Template {
    /// Makes a tree of one expression.
    fn from(content: Expression) -> Template {
        Template(Piece::Native(Field { name: "".into(), start: 0, content }))
    }
}

impl Default for Template {
    fn default() -> Template {
        Template::constant(Json::Object(Map::new()))
    }
}

fn each<'a>(piece: &'a Piece, visit: &mut dyn FnMut(&'a str, usize, &'a Expression)) {
    match piece {
        Piece::Constant(_) => {}
        Piece::Native(field) => visit(&field.name, field.start, &field.content),
        Piece::Text(field) => {
            for part in &*field.content {
                if let Part::Expression { start, expression } = part {
                    visit(&field.name, *start, expression);
                }
            }
        }
        Piece::List(items) => items.iter().for_each(|item| each(item, visit)),
        Piece::Map(entries) => entries.iter().for_each(|(_, value)| each(value, visit)),
    }
}

fn compile(tree: &Json, field: &mut String) -> Result<Piece, ExprError> {
    let constant = |piece: &Piece| matches!(piece, Piece::Constant(_));
    let length = field.len();
    match tree {
        Json::String(text) if text.contains("${{") => compile_text(text, field).map_err(|error| error.in_field(field)),
        Json::Array(items) => {
            let mut pieces = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                field.push_str(&format!("[{index}]"));
                pieces.push(compile(item, field)?);
                field.truncate(length);
            }
            let all = pieces.iter().all(constant);
            Ok(if all { Piece::Constant(rebuilt_list(pieces)) } else { Piece::List(pieces.into()) })
        }
        Json::Object(map) => {
            let mut pieces = Vec::with_capacity(map.len());
            for (key, value) in map {
                field.push_str(if length == 0 { "" } else { "." });
                field.push_str(key);
                pieces.push((key.as_str().into(), compile(value, field)?));
                field.truncate(length);
            }
            let all = pieces.iter().all(|(_, piece)| constant(piece));
            Ok(if all { Piece::Constant(rebuilt_map(pieces)) } else { Piece::Map(pieces.into()) })
        }
        other => Ok(Piece::Constant(other.clone())),
    }
}

/// Rebuilds a tree without expressions from its pieces, in which escapes are already undone.
fn rebuilt_list(pieces: Vec<Piece>) -> Json {
    let value = |piece| match piece {
        Piece::Constant(value) => value,
        _ => Json::Null,
    };
    Json::Array(pieces.into_iter().map(value).collect())
}

fn rebuilt_map(pieces: Vec<(Box<str>, Piece)>) -> Json {
    let entry = |(key, piece): (Box<str>, Piece)| match piece {
        Piece::Constant(value) => (key.into_string(), value),
        _ => (key.into_string(), Json::Null),
    };
    Json::Object(pieces.into_iter().map(entry).collect())
}

fn compile_text(text: &str, field: &str) -> Result<Piece, ExprError> {
    let mut parts = split(text)?;
    if let [Part::Expression { start, expression }] = &parts[..] {
        let content = expression.clone();
        return Ok(Piece::Native(Field { name: field.into(), start: *start, content }));
    }
    if let [Part::Literal(literal)] = &mut parts[..] {
        return Ok(Piece::Constant(Json::String(std::mem::take(literal).into_string())));
    }
    Ok(Piece::Text(Field { name: field.into(), start: 0, content: parts.into() }))
}

/// Splits text into literals and expressions between `${{` and `}}`; `$${{` is a literal `${{`.
fn split(text: &str) -> Result<Vec<Part>, ExprError> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut at = 0;
    while let Some(found) = text[at..].find("${{").map(|found| at + found) {
        if text[at..found].ends_with('$') {
            literal.push_str(&text[at..found - 1]);
            literal.push_str("${{");
            at = found + 3;
            continue;
        }
        literal.push_str(&text[at..found]);
        if !literal.is_empty() {
            parts.push(Part::Literal(std::mem::take(&mut literal).into()));
        }
        let (tokens, end) = tokenize(text, found + 3, Some("}}")).map_err(|error| match error.offset {
            Some(offset) if offset == found + 3 && error.message.starts_with("`}}`") => error.at(found),
            _ => error,
        })?;
        let close = tokens.last().map_or(found + 3, |last| last.end);
        let source = &text[found + 3..close];
        let expression = Expression::bare(source).map_err(|error| error.shifted(found + 3))?;
        parts.push(Part::Expression { start: found + 3, expression });
        at = end;
    }
    literal.push_str(&text[at..]);
    if !literal.is_empty() {
        parts.push(Part::Literal(literal.into()));
    }
    Ok(parts)
}

fn take(room: &mut usize, bytes: usize) -> Result<(), ExprError> {
    *room = room.checked_sub(bytes).ok_or_else(|| {
        let message = format!("the fields together are larger than {} MiB", RESULT_MAX >> 20);
        ExprError::new(ExprErrorKind::Limit, message)
    })?;
    Ok(())
}

fn render(piece: &Piece, context: &Context, room: &mut usize) -> Result<Json, ExprError> {
    match piece {
        Piece::Constant(value) => Ok(value.clone()),
        Piece::Native(field) => {
            let located = |error: ExprError| error.shifted(field.start).in_field(&field.name);
            let value = field.content.eval(context).map_err(located)?;
            take(room, size(&value)).map_err(located)?;
            Ok(value)
        }
        Piece::Text(field) => {
            let mut text = String::new();
            for part in &*field.content {
                match part {
                    Part::Literal(literal) => text.push_str(literal),
                    Part::Expression { start, expression } => {
                        let located = |error: ExprError| error.shifted(*start).in_field(&field.name);
                        let shown = expression.eval_text(context).map_err(located)?;
                        take(room, shown.len()).map_err(located)?;
                        text.push_str(&shown);
                    }
                }
            }
            Ok(Json::String(text))
        }
        Piece::List(items) => {
            items.iter().map(|item| render(item, context, room)).collect::<Result<_, _>>().map(Json::Array)
        }
        Piece::Map(entries) => {
            let entry = |(key, value): &(Box<str>, Piece)| Ok((key.to_string(), render(value, context, room)?));
            entries.iter().map(entry).collect::<Result<_, ExprError>>().map(Json::Object)
        }
    }
}

/// Estimates the size of the value as JSON, in bytes.
fn size(value: &Json) -> usize {
    match value {
        Json::String(text) => text.len() + 2,
        Json::Array(items) => items.iter().map(size).sum::<usize>() + items.len() + 2,
        Json::Object(map) => map.iter().map(|(key, value)| key.len() + 4 + size(value)).sum::<usize>() + 2,
        _ => 4,
    }
}
