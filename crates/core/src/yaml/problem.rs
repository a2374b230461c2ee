//! Problems of a file: message, position and advice.

use std::fmt;

use serde::Serialize;

/// One problem of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Line, from 1; 0 for a problem of the whole file.
    pub line: u32,
    /// Column in characters, from 1; 0 for a problem of the whole file.
    pub column: u32,
    /// Field, such as `steps.fetch.retry.delay`; empty for a problem of the whole file.
    pub field: String,
    /// Description.
    pub message: String,
    /// Advice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// All problems of a file. Serialises as the JSON form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct Problems {
    /// Name of the file as the caller gave it.
    pub file: String,
    /// Problems by line, at most [`Problems::MAX`].
    pub problems: Vec<Problem>,
    /// Number of further problems.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Problems {
    /// Limit of problems that are kept.
    pub const MAX: usize = 100;

    /// Makes an empty list for a file.
    #[must_use]
    pub fn none(file: &str) -> Problems {
        Problems { file: file.to_owned(), problems: Vec::new(), more: 0 }
    }

    /// Makes a single problem of the whole file. An empty `hint` means no advice.
    #[must_use]
    pub fn whole(file: &str, message: impl Into<String>, hint: &str) -> Problems {
        let hint = Some(hint.to_owned()).filter(|hint| !hint.is_empty());
        let problem = Problem { line: 0, column: 0, field: String::new(), message: message.into(), hint };
        Problems { file: file.to_owned(), problems: vec![problem], more: 0 }
    }

    /// Adds a problem, or counts it when there are too many.
    pub fn push(&mut self, problem: Problem) {
        if self.problems.len() < Problems::MAX {
            self.problems.push(problem);
        } else {
            self.more += 1;
        }
    }

    /// Tells whether there are no problems.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// Sorts the problems by line and removes repeated ones.
    #[must_use]
    pub fn sorted(mut self) -> Problems {
        self.problems.sort_by_key(|problem| (problem.line, problem.column));
        self.problems.dedup();
        self
    }

    /// Moves the problems of a text that begins at line `from` of a file.
    #[must_use]
    pub fn from_line(mut self, from: u32) -> Problems {
        for problem in self.problems.iter_mut().filter(|problem| problem.line > 0) {
            problem.line += from.saturating_sub(1);
        }
        self
    }

    /// Formats the problems for a terminal: file, line and column, the source line with a caret, and the advice.
    #[must_use]
    pub fn render(&self, source: &str) -> String {
        use fmt::Write;
        let wanted = self.problems.iter().map(|problem| problem.line).max().unwrap_or(0) as usize;
        let lines: Vec<&str> = source.lines().take(wanted).collect();
        let mut text = String::new();
        for problem in &self.problems {
            let _ = writeln!(text, "error: {}", problem.message);
            let _ = match (problem.line, problem.field.as_str()) {
                (0, "") => writeln!(text, "  --> {}", self.file),
                (0, field) => writeln!(text, "  --> {} ({field})", self.file),
                (line, "") => writeln!(text, "  --> {}:{line}:{}", self.file, problem.column),
                (line, field) => writeln!(text, "  --> {}:{line}:{} ({field})", self.file, problem.column),
            };
            if let Some(line) = (problem.line as usize).checked_sub(1).and_then(|index| lines.get(index)) {
                show_line(&mut text, &without_secret(line, problem), problem);
            }
            if let Some(hint) = &problem.hint {
                let _ = writeln!(text, "help: {hint}");
            }
            text.push('\n');
        }
        if self.more > 0 {
            let _ = writeln!(text, "and {} more", self.more);
        }
        text
    }
}

/// Returns the line without the value of a key that may hold a secret: messages end up in logs.
fn without_secret<'l>(line: &'l str, problem: &Problem) -> std::borrow::Cow<'l, str> {
    let name = problem.field.rsplit('.').next().unwrap_or_default().to_lowercase();
    let secret = ["key", "token", "secret", "password"].iter().any(|word| name.ends_with(word));
    match line.find(':').filter(|_| secret) {
        Some(colon) => format!("{} ...", &line[..=colon]).into(),
        None => line.into(),
    }
}

/// Adds the source line with a caret below; of a very long line only the part around the caret.
fn show_line(text: &mut String, line: &str, problem: &Problem) {
    use fmt::Write;
    let caret = problem.column.saturating_sub(1) as usize;
    let from = if line.chars().count() > 120 { caret.saturating_sub(60) } else { 0 };
    let shown: String =
        line.chars().skip(from).take(120).map(|c| if c == '\t' || c.is_control() { ' ' } else { c }).collect();
    let number = problem.line.to_string();
    let margin = " ".repeat(number.len());
    let _ = writeln!(text, "{margin} |\n{number} | {shown}\n{margin} | {}^", " ".repeat(caret - from));
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            match problem.line {
                0 => write!(f, "{}: ", self.file)?,
                line => write!(f, "{}:{line}:{}: ", self.file, problem.column)?,
            }
            if !problem.field.is_empty() {
                write!(f, "{}: ", problem.field)?;
            }
            f.write_str(&problem.message)?;
            if let Some(hint) = &problem.hint {
                write!(f, " ({hint})")?;
            }
        }
        if self.more > 0 { write!(f, "\nand {} more", self.more) } else { Ok(()) }
    }
}
