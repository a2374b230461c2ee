//! Checks that are added to an expression before the engine sees it.
//!
//! - A name that must exist is wrapped, so that a missing value is an error with its path. The engine itself lets
//!   lookups pass, so that `is defined` and `default()` work at any depth.
//! - Operands of `~` and `+` are charged by their length and those of `*` must be numbers, so that an expression cannot
//!   build more than its limit.
//! - The step of a slice must be positive.
//! - Filters, tests and functions are looked up now, not at the first evaluation.

use super::{
    allowed,
    error::{ExprError, ExprErrorKind},
    path::Path,
    token::{Kind, Token},
};

const KEYWORDS: [&str; 7] = ["and", "or", "not", "in", "is", "if", "else"];
const CONSTANTS: [&str; 7] = ["true", "True", "false", "False", "none", "None", "null"];

/// Text to insert at a byte of the source.
#[derive(Debug)]
struct Insert {
    at: usize,
    rank: u8,
    text: String,
}

/// References found, and checks to be added.
#[derive(Debug, Default)]
pub(super) struct Guard {
    inserts: Vec<Insert>,
    /// References of the text.
    pub references: Vec<Path>,
    /// Functions that may be called on this name (`loop` inside of a prompt's loop).
    pub callable: Option<&'static str>,
}

/// The source with its checks, and the mapping to positions of the original.
#[derive(Debug)]
pub(super) struct Guarded {
    pub source: String,
    shifts: Box<[(u32, u32)]>,
}

impl Guarded {
    /// Maps a position of the guarded text to the original.
    pub fn original(&self, at: usize) -> usize {
        let mut added = 0;
        for (place, length) in &self.shifts {
            let place = *place as usize + added;
            if place >= at {
                break;
            }
            added += (*length as usize).min(at - place);
        }
        at - added
    }
}

impl Guard {
    /// Scans the tokens of one expression.
    pub fn scan(&mut self, source: &str, tokens: &[Token]) -> Result<(), ExprError> {
        let mut index = 0;
        while index < tokens.len() {
            follows(source, tokens, index)?;
            index = match tokens[index].kind {
                Kind::Ident => self.word(source, tokens, index)?,
                Kind::Op => {
                    self.operator(source, tokens, index)?;
                    index + 1
                }
                Kind::Number | Kind::Text => index + 1,
            };
        }
        Ok(())
    }

    /// Tells whether all tokens together are one path that must exist.
    pub fn is_one_path(&self, tokens: &[Token]) -> bool {
        let span = tokens.first().zip(tokens.last());
        let wrapped = |at: usize| self.inserts.iter().any(|insert| insert.at == at);
        self.references.len() == 1
            && self.inserts.len() == 2
            && self.references.iter().all(|path| !path.open && !path.optional)
            && span.is_some_and(|(first, last)| wrapped(first.start) && wrapped(last.end))
    }

    /// Returns the text with all checks inserted, and its references.
    pub fn finish(mut self, source: &str) -> (Guarded, Vec<Path>) {
        self.inserts.sort_by_key(|a| (a.at, a.rank));
        self.inserts.dedup_by(|a, b| a.at == b.at && a.text == b.text);
        let mut text = String::with_capacity(source.len() + self.inserts.len() * 16);
        let mut done = 0;
        for insert in &self.inserts {
            text.push_str(&source[done..insert.at]);
            text.push_str(&insert.text);
            done = insert.at;
        }
        text.push_str(&source[done..]);
        let shifts = self.inserts.iter().map(|insert| (insert.at as u32, insert.text.len() as u32)).collect();
        (Guarded { source: text, shifts }, self.references)
    }

    fn insert(&mut self, at: usize, rank: u8, text: impl Into<String>) {
        self.inserts.push(Insert { at, rank, text: text.into() });
    }

    /// Handles a word: a keyword, the name of a filter or test, a keyword argument, a function, or a path.
    fn word(&mut self, source: &str, tokens: &[Token], index: usize) -> Result<usize, ExprError> {
        let text = |at: usize| tokens.get(at).map_or("", |token| token.text(source));
        let token = tokens[index];
        let before = if index == 0 { "" } else { text(index - 1) };
        match text(index) {
            "is" => {
                let name = index + 1 + usize::from(text(index + 1) == "not");
                if tokens.get(name).is_some_and(|token| token.kind == Kind::Ident) {
                    allowed::check_test(text(name)).map_err(|error| error.at(tokens[name].start))?;
                    return Ok(name + 1);
                }
                return Ok(index + 1);
            }
            _ if before == "." => return Ok(index + 1),
            name if before == "|" => {
                allowed::check_filter(name).map_err(|error| error.at(token.start))?;
                return Ok(index + 1);
            }
            word if KEYWORDS.contains(&word) || CONSTANTS.contains(&word) => return Ok(index + 1),
            name if text(index + 1) == "(" => {
                allowed::check_function(name).map_err(|error| error.at(token.start))?;
                return Ok(index + 1);
            }
            _ if text(index + 1) == "=" => return Ok(index + 1),
            _ => {}
        }
        self.path(source, tokens, index)?;
        Ok(index + 1)
    }

    /// Handles a path: its static parts are recorded, and its value must exist unless the text provides for a missing
    /// one.
    fn path(&mut self, source: &str, tokens: &[Token], index: usize) -> Result<(), ExprError> {
        let text = |at: usize| tokens.get(at).map_or("", |token| token.text(source));
        let mut parts: Vec<Box<str>> = vec![text(index).into()];
        let mut open = false;
        let mut next = index + 1;
        loop {
            if text(next) == "." && tokens.get(next + 1).is_some_and(|t| matches!(t.kind, Kind::Ident | Kind::Number)) {
                if !open {
                    parts.push(text(next + 1).into());
                }
                next += 2;
            } else if text(next) == "[" {
                let Some(close) = matching(source, tokens, next) else { break };
                if is_slice(source, tokens, next, close) {
                    break;
                }
                match tokens.get(next + 1).filter(|_| close == next + 2 && !open) {
                    Some(t) if t.kind == Kind::Text && !t.text(source).contains('\\') => {
                        parts.push(source[t.start + 1..t.end - 1].into());
                    }
                    Some(t) if t.kind == Kind::Number => parts.push(t.text(source).into()),
                    _ => open = true,
                }
                next = close + 1;
            } else {
                break;
            }
        }
        if text(next) == "(" {
            if self.callable == Some(&*parts[0]) {
                return Ok(());
            }
            let message = format!("`{}` cannot be called: values have no methods", parts.join("."));
            let hint = "use a filter, such as `| length`, `| items` or `| upper`";
            return Err(ExprError::new(ExprErrorKind::Unknown, message).at(tokens[index].start).hint(hint));
        }
        let test = next + 1 + usize::from(text(next + 1) == "not");
        let optional = match text(next) {
            "|" => matches!(text(next + 1), "default" | "d"),
            "is" => matches!(text(test), "defined" | "undefined"),
            _ => false,
        };
        let (start, end) = (tokens[index].start, tokens[next - 1].end);
        let path = Path { parts: parts.into(), offset: start, optional, open };
        if !optional {
            let label: String = path.to_string().chars().filter(|c| !matches!(c, '"' | '\\')).collect();
            self.insert(start, 2, "(");
            self.insert(end, 0, format!("|_must(\"{label}\"))"));
        }
        self.references.push(path);
        Ok(())
    }

    fn operator(&mut self, source: &str, tokens: &[Token], index: usize) -> Result<(), ExprError> {
        let guard = match tokens[index].text(source) {
            "*" => "|_number()",
            "~" => "|_text()",
            "+" => "|_sum()",
            "<" | ">" | "<=" | ">=" => "|_order()",
            "**" => "",
            "[" => {
                self.step(source, tokens, index);
                return Ok(());
            }
            _ => return Ok(()),
        };
        let operator = tokens[index];
        let left = index.checked_sub(1).map(|at| tokens[at]).filter(|token| ends_operand(source, *token));
        let Some(left) = left else {
            let message = format!("`{}` needs a value on its left", operator.text(source));
            return Err(ExprError::new(ExprErrorKind::Syntax, message).at(operator.start));
        };
        if !guard.is_empty() {
            self.insert(left.end, 1, guard);
            let right = operand_end(source, tokens, index + 1).ok_or_else(|| {
                let message = format!("`{}` needs a value on its right", operator.text(source));
                ExprError::new(ExprErrorKind::Syntax, message).at(operator.start)
            })?;
            self.insert(right, 1, guard);
        }
        Ok(())
    }

    /// Checks the step of the slice that opens at `open`, if it has one.
    fn step(&mut self, source: &str, tokens: &[Token], open: usize) {
        let Some(close) = matching(source, tokens, open) else { return };
        let Some(&[_, colon, ..]) = colons(source, tokens, open, close).get(..2) else { return };
        if colon + 1 < close {
            // Different from the bracket of a path: of equal inserts at one position only one would be kept.
            self.insert(tokens[colon + 1].start, 2, " (");
            self.insert(tokens[close - 1].end, 3, ")|_step()");
        }
    }
}

/// Refuses two values without an operator between them: with the added checks they would be read as a call.
fn follows(source: &str, tokens: &[Token], index: usize) -> Result<(), ExprError> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text(source));
    let Some(before) = index.checked_sub(1).map(|at| tokens[at]) else { return Ok(()) };
    let token = tokens[index];
    let test = index >= 2 && matches!(text(index - 2), "is" | "not");
    let begins = match token.kind {
        Kind::Number | Kind::Text => true,
        Kind::Ident => !KEYWORDS.contains(&text(index)),
        Kind::Op => text(index) == "(" && before.kind != Kind::Ident,
    };
    if test || !begins || !ends_operand(source, before) {
        return Ok(());
    }
    let message = format!("`{}` follows a value without an operator between them", text(index));
    Err(ExprError::new(ExprErrorKind::Syntax, message).at(token.start))
}

fn ends_operand(source: &str, token: Token) -> bool {
    match token.kind {
        Kind::Number | Kind::Text => true,
        Kind::Ident => !KEYWORDS.contains(&token.text(source)),
        Kind::Op => matches!(token.text(source), ")" | "]" | "}"),
    }
}

/// Finds the end of the operand that begins at `index`: signs, one value, and all lookups and filters applied to it.
fn operand_end(source: &str, tokens: &[Token], mut index: usize) -> Option<usize> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text(source));
    while text(index) == "-" {
        index += 1;
    }
    let first = tokens.get(index)?;
    let mut last = match (first.kind, first.text(source)) {
        (Kind::Op, "(" | "[" | "{") => matching(source, tokens, index)?,
        (Kind::Op, _) => return None,
        (Kind::Ident, word) if KEYWORDS.contains(&word) => return None,
        _ => index,
    };
    loop {
        match text(last + 1) {
            "." | "|" if tokens.get(last + 2).is_some_and(|t| matches!(t.kind, Kind::Ident | Kind::Number)) => {
                last += 2
            }
            "(" | "[" => last = matching(source, tokens, last + 1)?,
            _ => return Some(tokens[last].end),
        }
    }
}

/// Finds the closing bracket of the one at `open`.
fn matching(source: &str, tokens: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match (token.kind, token.text(source)) {
            (Kind::Op, "(" | "[" | "{") => depth += 1,
            (Kind::Op, ")" | "]" | "}") => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return Some(index);
        }
    }
    None
}

fn is_slice(source: &str, tokens: &[Token], open: usize, close: usize) -> bool {
    !colons(source, tokens, open, close).is_empty()
}

/// Finds the colons directly inside of the bracket at `open`.
fn colons(source: &str, tokens: &[Token], open: usize, close: usize) -> Vec<usize> {
    let mut depth = 0usize;
    let colon = |(index, token): (usize, &Token)| {
        match (token.kind, token.text(source)) {
            (Kind::Op, "(" | "[" | "{") => depth += 1,
            (Kind::Op, ")" | "]" | "}") => depth = depth.saturating_sub(1),
            (Kind::Op, ":") if depth == 1 => return Some(open + index),
            _ => {}
        }
        None
    };
    tokens[open..close].iter().enumerate().filter_map(colon).collect()
}
