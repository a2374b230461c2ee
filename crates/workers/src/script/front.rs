//! Settings that a script carries itself: YAML between two lines of `---` in its first comment.

/// The settings in front of a script, and the line of the file that their first line stands in. Comments begin with
/// `//`, `#` or `*`, or stand in `/* ... */`.
pub(super) fn front_matter(source: &str) -> Option<(String, usize)> {
    let mut yaml = String::new();
    let mut begun = None;
    for (at, line) in source.lines().enumerate() {
        let trimmed = line.trim();
        if begun.is_none()
            && (at == 0 && trimmed.starts_with("#!") || trimmed.is_empty() || trimmed == "/*" || trimmed == "/**")
        {
            continue;
        }
        let body = comment(line);
        match (begun, body) {
            (None, Some(body)) if body.trim() == "---" => begun = Some(at + 2),
            (Some(line), Some(body)) if body.trim() == "---" => return Some((yaml, line)),
            (Some(_), Some(body)) => {
                yaml.push_str(body);
                yaml.push('\n');
            }
            // Other comments may stand before it, and inside of a block comment a line needs no star.
            (None, Some(_)) => {}
            (Some(from), None) if trimmed == "---" => return Some((yaml, from)),
            (Some(_), None) => {
                yaml.push_str(line);
                yaml.push('\n');
            }
            (None, None) if matches!(trimmed, "'use strict';" | "\"use strict\";" | "---") => {
                begun = (trimmed == "---").then_some(at + 2);
            }
            (None, None) => return None,
        }
        if yaml.len() > 64 << 10 {
            return None;
        }
    }
    None
}

/// What a line of a comment says, with its indentation.
fn comment(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let rest = ["//", "/*", "#", "* "].iter().find_map(|mark| line.strip_prefix(mark));
    let rest = rest.or_else(|| (line == "*").then_some(""))?;
    Some(rest.strip_prefix(' ').unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_stand_in_the_first_comment_in_any_style() {
        let yaml = "mode: pool\nlimits:\n  memory: 64MiB\n";
        for (source, line) in [
            ("// ---\n// mode: pool\n// limits:\n//   memory: 64MiB\n// ---\nimport x", 2),
            ("#!/usr/bin/env node\n/*\n---\nmode: pool\nlimits:\n  memory: 64MiB\n---\n*/", 4),
            (
                "#!/usr/bin/env python3\n# About it.\n# ---\n# mode: pool\n# limits:\n#   memory: 64MiB\n# ---\nimport os",
                4,
            ),
        ] {
            assert_eq!(front_matter(source), Some((yaml.to_owned(), line)), "{source}");
        }
    }

    #[test]
    fn code_ends_the_search_and_an_open_one_is_none() {
        for source in ["import x\n// ---\n// mode: pool\n// ---", "# ---\n# mode: pool\n", "", "x = 1\n---\n---\n"] {
            assert_eq!(front_matter(source), None, "{source}");
        }
    }
}
