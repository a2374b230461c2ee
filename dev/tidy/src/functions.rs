//! The functions of a file: where each begins, how long it is, how many parameters it has.

/// A function.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Function {
    pub name: String,
    /// Its first line, from 1.
    pub line: usize,
    /// Its lines, from `fn` to the closing brace.
    pub lines: usize,
    /// Its parameters, `self` not counted.
    pub parameters: usize,
}

/// Finds functions by their indentation, which rustfmt keeps: a body ends at the closing brace below its `fn`.
#[must_use]
pub fn functions<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Function> {
    let lines: Vec<&str> = lines.collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = begins(line) else { continue };
        let indent = line.len() - line.trim_start().len();
        let closes =
            |other: &&str| other.len() - other.trim_start().len() == indent && other.trim_start().starts_with('}');
        let one_line = line.trim_end().ends_with('}') || line.trim_end().ends_with(';');
        let end = if one_line { at } else { lines[at + 1..].iter().position(closes).map_or(at, |more| at + 1 + more) };
        found.push(Function {
            name: name.to_owned(),
            line: at + 1,
            lines: end - at + 1,
            parameters: parameters(&lines[at..=end.min(at + 12)].join(" ")),
        });
    }
    found
}

fn begins(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    for word in ["pub(crate) ", "pub(super) ", "pub ", "const ", "async ", "unsafe ", "extern \"C\" "] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    let rest = rest.strip_prefix("fn ")?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    Some(&rest[..end])
}

/// Counts the `name:` pairs of the first parenthesis at depth one.
fn parameters(text: &str) -> usize {
    let Some(open) = text.find("fn ").and_then(|at| text[at..].find('(').map(|more| at + more)) else { return 0 };
    let (mut depth, mut count, mut previous) = (0i32, 0, ' ');
    for c in text[open..].chars() {
        match c {
            '(' | '<' | '[' | '{' => depth += 1,
            '>' if previous == '-' => {}
            ')' | '>' | ']' | '}' => depth -= 1,
            ':' if depth == 1 && previous != ':' => count += 1,
            _ => {}
        }
        // A path inside a type has two colons in a row: the first was counted, so take it back.
        if c == ':' && previous == ':' && depth == 1 {
            count -= 1;
        }
        previous = c;
        if depth == 0 {
            break;
        }
    }
    usize::try_from(count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_and_parameters_are_counted() {
        let text =
            "impl X {\n    pub fn one(&self, a: u8, b: core::Y<u8, Z>) -> u8 {\n        a\n    }\n}\nfn two() {}\n";
        let found = functions(text.lines());
        let shown: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.line, f.lines, f.parameters)).collect();
        assert_eq!(shown, [("one", 2, 3, 2), ("two", 6, 1, 0)]);
    }
}
