//! Findings in single lines.

/// A thing that is worth a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    /// From 1.
    pub(super) line: usize,
    /// The problem and the next step, without text of the file that may be secret.
    pub(super) message: String,
}

impl Finding {
    pub(super) fn new(check: &'static str, line: usize, message: impl Into<String>) -> Finding {
        Finding { check, line, message: message.into() }
    }
}

/// Marks of unfinished work. They are put together here, so that this file has none.
const MARKS: [(&str, &str); 4] = [("TO", "DO"), ("FIX", "ME"), ("XX", "X"), ("HA", "CK")];

/// Statements that print or stop for debugging, by the endings of file names.
const DEBUGGING: [(&[&str], &str); 8] = [
    (&["rs"], "dbg!("),
    (&["js", "mjs", "cjs", "ts", "tsx", "jsx"], "console.log("),
    (&["js", "mjs", "cjs", "ts", "tsx", "jsx"], "debugger;"),
    (&["py"], "breakpoint()"),
    (&["py"], "pdb.set_trace("),
    (&["php"], "var_dump("),
    (&["rb"], "binding.pry"),
    (&["java"], ".printStackTrace("),
];

/// Beginnings of secrets, and how many characters follow at least.
const SECRETS: [(&str, usize, &str); 7] = [
    ("AKIA", 16, "a key of AWS"),
    ("ghp_", 36, "a token of GitHub"),
    ("github_pat_", 40, "a token of GitHub"),
    ("xoxb-", 20, "a token of Slack"),
    ("sk-ant-", 30, "a key of Anthropic"),
    ("sk-proj-", 30, "a key of OpenAI"),
    ("AIza", 35, "a key of Google"),
];

/// Looks at one line of a file with that ending.
pub(super) fn look(line: &str, number: usize, ending: &str, line_length: usize) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(what) = secret(line) {
        let message = format!("{what} stands in the source; revoke it, and read it from the environment");
        found.push(Finding::new("secret", number, message));
    }
    if ["<<<<<<< ", ">>>>>>> "].iter().any(|mark| line.starts_with(mark)) {
        found.push(Finding::new("conflict", number, "the mark of a merge that was not finished; resolve it"));
    }
    if let Some(mark) = mark(line) {
        found.push(Finding::new("mark", number, format!("{mark}: finish it, or write an issue and remove the mark")));
    }
    let length = line.chars().count();
    if length > line_length {
        let message = format!("{length} characters; wrap the line at {line_length}");
        found.push(Finding::new("long_line", number, message));
    }
    let code = line.trim_start();
    let is_comment = ["//", "#", "*", "--"].iter().any(|mark| code.starts_with(mark));
    for (endings, statement) in DEBUGGING {
        if endings.contains(&ending) && code.contains(statement) && !is_comment {
            let shown = statement.trim_end_matches(['(', ';']);
            found.push(Finding::new(
                "debugging",
                number,
                format!("{shown} is for debugging; remove it, or log instead"),
            ));
        }
    }
    if ending == "py" && code.trim_end() == "except:" {
        let message = "it catches everything, interrupts too; name the exceptions";
        found.push(Finding::new("broad_catch", number, message));
    }
    let empty = code.contains("catch") && code.trim_end().ends_with("{}");
    if empty && ["js", "mjs", "ts", "tsx", "java", "cs", "php"].contains(&ending) {
        found.push(Finding::new("broad_catch", number, "the error is dropped; handle it, or say why not"));
    }
    found
}

fn mark(line: &str) -> Option<String> {
    MARKS.into_iter().map(|(first, rest)| format!("{first}{rest}")).find(|mark| {
        line.match_indices(mark.as_str()).any(|(at, _)| {
            let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
            !word(line[..at].chars().next_back()) && !word(line[at + mark.len()..].chars().next())
        })
    })
}

fn secret(line: &str) -> Option<&'static str> {
    if line.contains("-----BEGIN ") && line.contains("PRIVATE KEY-----") {
        return Some("a private key");
    }
    let is_key = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    SECRETS.into_iter().find_map(|(start, least, what)| {
        let found = line.match_indices(start).any(|(at, _)| {
            let alone = !line[..at].chars().next_back().is_some_and(|c| c.is_ascii_alphanumeric());
            alone && line[at + start.len()..].chars().take_while(is_key).count() >= least
        });
        found.then_some(what)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks(line: &str, ending: &str) -> Vec<&'static str> {
        look(line, 1, ending, 100).into_iter().map(|finding| finding.check).collect()
    }

    #[test]
    fn lines_are_found_and_harmless_ones_are_not() {
        let todo = ["TO", "DO"].concat();
        let key = format!("key = \"AKIA{}\"", "A1B2C3D4E5F6G7H8");
        for (line, ending, expected) in [
            (format!("// {todo}: later"), "rs", vec!["mark"]),
            (format!("let {todo}S = 1;"), "rs", vec![]),
            (key, "txt", vec!["secret"]),
            ("AKIA is a prefix".to_owned(), "md", vec![]),
            ("-----BEGIN RSA PRIVATE KEY-----".to_owned(), "pem", vec!["secret"]),
            ("<<<<<<< HEAD".to_owned(), "rs", vec!["conflict"]),
            ("    dbg!(x);".to_owned(), "rs", vec!["debugging"]),
            ("    // dbg!(x);".to_owned(), "rs", vec![]),
            ("console.log(1)".to_owned(), "py", vec![]),
            ("except:".to_owned(), "py", vec!["broad_catch"]),
            ("} catch (e) {}".to_owned(), "ts", vec!["broad_catch"]),
            ("x".repeat(101), "rs", vec!["long_line"]),
            ("é".repeat(100), "rs", vec![]),
        ] {
            assert_eq!(checks(&line, ending), expected, "{line}");
        }
        let found = look(&format!("ghp_{}", "a".repeat(36)), 3, "py", 100);
        assert!(found[0].line == 3 && !found[0].message.contains("aaaa"), "{found:?}");
    }
}
