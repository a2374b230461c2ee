//! What is wrong with a file, where, and what to do about it.

use std::fmt;

use serde::Serialize;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The line, from 1; 0 when it is the file as a whole.
    pub line: u32,
    /// The column in characters, from 1; 0 when it is the file as a whole.
    pub column: u32,
    /// The field, such as `steps.fetch.retry.delay`; empty when it is the file as a whole.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Everything that is wrong with a file. Serialises as the JSON form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct Problems {
    /// The file, as the caller names it.
    pub file: String,
    /// What is wrong, by line; at most [`Problems::MAX`].
    pub problems: Vec<Problem>,
    /// How many more there are.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Problems {
    /// This many are kept.
    pub const MAX: usize = 100;

    pub(super) fn none(file: &str) -> Problems {
        Problems { file: file.to_owned(), problems: Vec::new(), more: 0 }
    }

    /// A file that cannot be read at all.
    pub(super) fn whole(file: &str, message: impl Into<String>, hint: &str) -> Problems {
        let hint = Some(hint.to_owned());
        let problem = Problem { line: 0, column: 0, field: String::new(), message: message.into(), hint };
        Problems { file: file.to_owned(), problems: vec![problem], more: 0 }
    }

    pub(super) fn push(&mut self, problem: Problem) {
        if self.problems.len() < Problems::MAX {
            self.problems.push(problem);
        } else {
            self.more += 1;
        }
    }

    /// The problems for a terminal: file, line and column, the source line with a caret, and what to do.
    #[must_use]
    pub fn render(&self, source: &str) -> String {
        use fmt::Write;
        let wanted = self.problems.iter().map(|problem| problem.line).max().unwrap_or(0) as usize;
        let lines: Vec<&str> = source.lines().take(wanted).collect();
        let mut text = String::new();
        for problem in &self.problems {
            let _ = writeln!(text, "error: {}", problem.message);
            let _ = match (problem.line, problem.field.as_str()) {
                (0, _) => writeln!(text, "  --> {}", self.file),
                (line, "") => writeln!(text, "  --> {}:{line}:{}", self.file, problem.column),
                (line, field) => writeln!(text, "  --> {}:{line}:{} ({field})", self.file, problem.column),
            };
            if let Some(line) = (problem.line as usize).checked_sub(1).and_then(|index| lines.get(index)) {
                show_line(&mut text, line, problem);
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

/// The source line with a caret below; of a very long line only the part around the caret.
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
                0 => write!(f, "{}: {}", self.file, problem.message)?,
                line => write!(f, "{}:{line}:{}: {}", self.file, problem.column, problem.message)?,
            }
            if let Some(hint) = &problem.hint {
                write!(f, " ({hint})")?;
            }
        }
        if self.more > 0 { write!(f, "\nand {} more", self.more) } else { Ok(()) }
    }
}
