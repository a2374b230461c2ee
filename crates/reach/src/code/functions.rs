//! Functions that are long, by braces or by indentation.

use super::lines::Finding;

/// Words that begin a function, by the endings of file names.
const BRACES: [(&[&str], &[&str]); 3] = [
    (&["rs"], &["fn "]),
    (&["go"], &["func "]),
    (&["js", "mjs", "cjs", "ts", "tsx", "jsx", "php"], &["function ", "function("]),
];

/// Finds functions of more than `most` lines.
pub(super) fn long(lines: &[&str], ending: &str, most: usize) -> Vec<Finding> {
    let words = BRACES.iter().find(|(endings, _)| endings.contains(&ending)).map(|(_, words)| *words);
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let length = match words {
            Some(words) if starts(code, words) => by_braces(&lines[at..]),
            None if ending == "py" && (code.starts_with("def ") || code.starts_with("async def ")) => {
                by_indentation(&lines[at..])
            }
            _ => continue,
        };
        if let Some(length) = length.filter(|length| *length > most) {
            let message = format!("a function of {length} lines; divide it into parts of at most {most}");
            found.push(Finding::new("long_function", at + 1, message));
        }
    }
    found
}

fn starts(code: &str, words: &[&str]) -> bool {
    let rest = ["pub ", "export ", "default ", "async ", "const ", "static ", "unsafe ", "pub(crate) ", "pub(super) "];
    let mut code = code;
    while let Some(next) = rest.iter().find_map(|word| code.strip_prefix(word)) {
        code = next;
    }
    words.iter().any(|word| code.starts_with(word))
}

/// Returns the number of lines up to the brace that closes the first one. `None` for a declaration.
fn by_braces(lines: &[&str]) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, line) in lines.iter().enumerate() {
        let mut quoted = false;
        let mut escaped = false;
        for c in line.chars() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => quoted = !quoted,
                '{' if !quoted => depth += 1,
                '}' if !quoted => depth -= 1,
                ';' if !quoted && depth == 0 => return None,
                _ => {}
            }
        }
        if depth <= 0 && line.contains('}') {
            return Some(at + 1);
        }
    }
    None
}

/// Returns the number of lines up to the last one that is indented deeper than the first.
fn by_indentation(lines: &[&str]) -> Option<usize> {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let own = depth(lines.first()?);
    let mut last = 0;
    for (at, line) in lines.iter().enumerate().skip(1) {
        if line.trim().is_empty() {
            continue;
        }
        // The closing parenthesis of a long list of parameters stands as deep as the function.
        if depth(line) <= own && !line.trim_start().starts_with(')') {
            break;
        }
        last = at;
    }
    Some(last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, ending: &str) -> Vec<usize> {
        let lines: Vec<&str> = text.lines().collect();
        long(&lines, ending, 3).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn long_functions_are_found_by_braces_and_by_indentation() {
        let body = "    a();\n".repeat(4);
        assert_eq!(found(&format!("use x;\npub async fn f() {{\n{body}}}\nfn g() {{}}\n"), "rs"), [2]);
        assert_eq!(found("fn f();\nfn g() {\n    \"}}}\";\n}\n", "rs"), Vec::<usize>::new());
        assert_eq!(found(&format!("export function f() {{\n{body}}}\n"), "ts"), [1]);
        assert_eq!(found(&format!("def f(\n    x,\n):\n{body}\ndef g():\n    a()\n"), "py"), [1]);
        assert_eq!(
            found(&format!("class A:\n    def f(self):\n    {}\n", "        a()\n".repeat(2)), "py"),
            Vec::<usize>::new()
        );
        assert_eq!(found(&format!("fn f() {{\n{body}"), "rs"), Vec::<usize>::new(), "a function without an end");
    }
}
