//! Output: results on standard output, everything else on standard error.

use std::{
    borrow::Cow,
    io::{self, IsTerminal, Write},
};

use anstyle::{AnsiColor, Style};
use kapelle::core::plain::is_deceptive;
use serde_json::Value;

use tracing::Level;

use crate::{
    failure::{Code, Failure},
    log,
};

/// The output settings of this process.
#[derive(Debug, Clone, Copy)]
pub struct Out {
    /// Whether to print JSON on standard output instead of text.
    pub json: bool,
    /// Whether to print only results and errors.
    pub quiet: bool,
}

/// Styles with a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Bold,
    Dim,
    Good,
    Warn,
    Bad,
}

impl Out {
    /// Prints a result.
    ///
    /// # Errors
    /// When standard output is closed, which ends the program quietly.
    pub fn print(self, text: &str) -> Result<(), Failure> {
        let fit = if stdout_is_terminal() { Cow::Owned(fit(text)) } else { Cow::Borrowed(text) };
        let text = &*fit;
        let mut stdout = anstream::stdout().lock();
        let end = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
        let done = write!(stdout, "{text}{end}").and_then(|()| stdout.flush());
        done.map_err(|error| match error.kind() {
            // The reader has seen enough, as with `kapelle runs list | head`.
            io::ErrorKind::BrokenPipe => Failure::silent(Code::Ok),
            _ => Failure::new(Code::Failed, format!("standard output: {error}")),
        })
    }

    /// Prints a result as JSON.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn print_json(self, value: &Value) -> Result<(), Failure> {
        self.print(&escaped(&format!("{value:#}")))
    }

    /// Prints a note for the person at the terminal, unless `quiet`.
    pub fn note(self, text: &str) {
        if log::is_started() {
            log::line(Level::INFO, &fit(text));
        } else if !self.quiet {
            say(text);
        }
    }

    /// Prints a secret for the person at the terminal. It is never a line of a log.
    pub fn confide(self, text: &str) {
        say(text);
    }

    /// Prints a warning.
    pub fn warn(self, text: &str) {
        if log::is_started() {
            log::line(Level::WARN, &fit(text));
        } else if !self.quiet {
            say(&format!("{}: {text}", paint(Tone::Warn, "warning")));
        }
    }

    /// Prints the failure that ended the program.
    pub fn fail(self, failure: &Failure) {
        if failure.silent {
            return;
        }
        if self.json && !failure.json_told {
            let _ = self.print_json(&failure.json());
        }
        if log::is_started() {
            let help = failure.help.as_ref().map_or_else(String::new, |help| format!("; {help}"));
            return log::line(Level::ERROR, &fit(&format!("{}{help}", failure.message)));
        }
        match &failure.rendered {
            Some(text) => say(text.trim_end()),
            None => say(&format!("{}: {}", paint(Tone::Bad, "error"), failure.message)),
        }
        if let Some(help) = &failure.help {
            say(&format!("{}: {help}", paint(Tone::Good, "help")));
        }
    }
}

/// Says whether standard output is a terminal.
pub fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Says whether lines on standard error can be redrawn.
pub fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

fn say(text: &str) {
    // Standard error is closed, and no other channel is left.
    let _ = writeln!(anstream::stderr().lock(), "{}", fit(text));
}

/// Removes the characters that move a terminal's cursor or change how other text is shown. Only Kapelle's own style
/// sequences stay.
pub fn fit(text: &str) -> String {
    let mut fit = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' {
            let digits = |c: &char| c.is_ascii_digit() || *c == ';';
            let style: Option<String> = rest.as_str().strip_prefix('[').and_then(|after| {
                let numbers: String = after.chars().take_while(digits).collect();
                after[numbers.len()..].starts_with('m').then_some(numbers)
            });
            if let Some(numbers) = style {
                fit.push_str(&format!("\u{1b}[{numbers}m"));
                rest = rest.as_str()[numbers.len() + 2..].chars();
            }
        } else if matches!(c, '\n' | '\t') || !(c.is_control() || is_deceptive(c)) {
            fit.push(c);
        }
    }
    fit
}

/// Escapes the characters in JSON that change how others are shown; the JSON parses to an equal value.
fn escaped(json: &str) -> String {
    let odd = |c: char| c != '\n' && (c.is_control() || is_deceptive(c));
    if !json.contains(odd) {
        return json.to_owned();
    }
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if odd(c) {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| escaped.push_str(&format!("\\u{unit:04x}")));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Formats text in a style. Where colours are not wanted, the stream removes them again.
pub fn paint(tone: Tone, text: &str) -> String {
    let style = match tone {
        Tone::Bold => Style::new().bold(),
        Tone::Dim => Style::new().dimmed(),
        Tone::Good => Style::new().fg_color(Some(AnsiColor::Green.into())),
        Tone::Warn => Style::new().fg_color(Some(AnsiColor::Yellow.into())),
        Tone::Bad => Style::new().bold().fg_color(Some(AnsiColor::Red.into())),
    };
    format!("{style}{text}{style:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_stranger_moves_the_cursor_or_turns_text_around() {
        let bad = paint(Tone::Bad, "a\u{202e}b");
        assert_eq!(fit(&bad), bad.replace('\u{202e}', ""));
        for (given, shown) in [
            ("a\u{1b}[2Jb\rc\u{7f}\u{9b}d", "a[2Jbcd"),
            ("\u{1b}]0;title\u{7}x", "]0;titlex"),
            ("\u{1b}[1;31mred\u{1b}[0m\n\tend", "\u{1b}[1;31mred\u{1b}[0m\n\tend"),
            ("\u{1b}", ""),
            ("\u{1b}[", "["),
        ] {
            assert_eq!(fit(given), shown, "{given:?}");
        }
    }

    #[test]
    fn json_reads_the_same_without_them() {
        let value = serde_json::json!({ "a": "x\u{202e}y\u{9b}\u{e0041}z\n" });
        let text = escaped(&format!("{value:#}"));
        assert!(!text.contains('\u{202e}') && !text.contains('\u{9b}') && text.contains("\\u202e"), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
