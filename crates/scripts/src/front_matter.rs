//! Settings that a script carries itself: YAML between two lines of `---` in its first comment.

use kapelle_core::yaml::{self, Form, Node, Problems, Shape, nearest};

use super::{settings::Settings, settings_file::SETTINGS};

/// The longest settings in front of a script, in bytes.
const MOST: usize = 64 << 10;

/// The text between two lines of `---` in the first comment of a script.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FrontMatter {
    yaml: String,
    /// For each of its lines, the line in the file and how many characters of the comment precede it.
    lines: Vec<(u32, u32)>,
}

/// The meaning of such a block.
pub(super) enum Block {
    /// Settings.
    Settings(Box<Settings>),
    /// Settings with errors.
    Wrong(Problems),
    /// A comment; one that looks like settings comes with a warning.
    Comment(Option<String>),
}

impl FrontMatter {
    /// Returns the block in front of a script. Comments begin with `//`, `#` or `*`, or stand in `/* ... */`.
    pub(super) fn find(source: &str) -> Option<FrontMatter> {
        let mut found: Option<FrontMatter> = None;
        for (at, line) in source.lines().enumerate() {
            let trimmed = line.trim();
            let begins = at == 0 && trimmed.starts_with("#!") || matches!(trimmed, "" | "/*" | "/**");
            if found.is_none() && begins {
                continue;
            }
            let body = comment(line);
            let fence = body.map_or(trimmed, str::trim) == "---";
            match (&mut found, body) {
                (Some(_), _) if fence => return found,
                (None, _) if fence => found = Some(FrontMatter { yaml: String::new(), lines: Vec::new() }),
                // Inside a block comment a line needs no star.
                (Some(front), body) => front.push(at, line, body.unwrap_or(line)),
                // Other comments may stand before it.
                (None, Some(_)) => {}
                (None, None) if matches!(trimmed, "'use strict';" | "\"use strict\";") => {}
                (None, None) => return None,
            }
            if found.as_ref().is_some_and(|front| front.yaml.len() > MOST) {
                return None;
            }
        }
        None
    }

    fn push(&mut self, at: usize, line: &str, body: &str) {
        let before = line.len() - body.len();
        self.lines.push((at as u32 + 1, line.get(..before).map_or(0, |lead| lead.chars().count()) as u32));
        self.yaml.push_str(body);
        self.yaml.push('\n');
    }

    /// Reads the block. Only a map with a key of the settings is meant as settings; anything else is a comment of its
    /// author.
    pub(super) fn read(&self, file: &str) -> Block {
        let form = Form { name: "the settings of a script", most: MOST, empty: "", split: "shorten them" };
        let entries = yaml::document(self.yaml.as_bytes(), file, form, |document| {
            let root = document.root;
            let entries = root.as_ref().and_then(Node::entries);
            let text = |node: &Node<'_>| node.text().unwrap_or_default().to_owned();
            Ok(entries.map(|all| all.iter().map(|(key, value)| (text(key), text(value))).collect::<Vec<_>>()))
        });
        let known = match &entries {
            Ok(Some(entries)) => entries.iter().any(|(key, value)| SETTINGS.key(key).is_some() || is_meant(key, value)),
            Ok(None) => false,
            // Invalid YAML is meant as settings when a line begins with a key of the settings.
            Err(_) => self.yaml.lines().any(|line| {
                line.split_once(':').is_some_and(|(key, rest)| {
                    SETTINGS.key(key).is_some() && (rest.is_empty() || rest.starts_with([' ', '\t']))
                })
            }),
        };
        if known {
            return match Settings::parse(file, self.yaml.as_bytes()) {
                Ok(settings) => Block::Settings(Box::new(settings)),
                Err(problems) => Block::Wrong(self.placed(problems)),
            };
        }
        let near = entries.ok().flatten().unwrap_or_default().into_iter().find_map(|(key, _)| {
            let near = nearest(&key, SETTINGS.names())
                .filter(|near| near.len() > 4 && near.chars().next() == key.chars().next())?;
            Some(format!(
                "line {}: `{key}` is not a setting (did you mean `{near}`?): the block is taken for a comment",
                self.line(1)
            ))
        });
        Block::Comment(near)
    }

    fn line(&self, line: u32) -> u32 {
        let at = (line as usize).saturating_sub(1);
        self.lines.get(at).or(self.lines.last()).map_or(line, |(line, _)| *line)
    }

    /// Translates the problems to their positions in the file of the script.
    fn placed(&self, mut problems: Problems) -> Problems {
        for problem in problems.problems.iter_mut().filter(|problem| problem.line > 0) {
            let at = (problem.line as usize).saturating_sub(1);
            let Some((line, shift)) = self.lines.get(at).or(self.lines.last()) else { continue };
            problem.line = *line;
            problem.column += shift;
        }
        problems
    }
}

/// Says whether a key is a misspelt key of the settings: it is close to one, and its value is a word that this key
/// takes.
fn is_meant(key: &str, value: &str) -> bool {
    let near = nearest(key, SETTINGS.names()).and_then(|near| SETTINGS.key(near));
    near.is_some_and(|near| matches!(near.shape, Shape::OneOf(words) if words.contains(&value)))
}

/// Returns the text of a comment line, with its indentation.
fn comment(line: &str) -> Option<&str> {
    let line = line.trim_start();
    if let Some(rest) = line.strip_prefix("* ") {
        return Some(rest);
    }
    let rest = ["//", "/*", "#"].iter().find_map(|mark| line.strip_prefix(mark));
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
            ("/**\n * ---\n * mode: pool\n * limits:\n *   memory: 64MiB\n * ---\n */", 3),
            (
                "#!/usr/bin/env python3\r\n# About it.\r\n# ---\r\n# mode: pool\r\n# limits:\r\n#   memory: 64MiB\r\n# ---\r\n",
                4,
            ),
        ] {
            let front = FrontMatter::find(source).unwrap();
            assert_eq!((front.yaml.as_str(), front.lines[0].0), (yaml, line), "{source}");
        }
    }

    #[test]
    fn code_ends_the_search_and_an_open_one_is_none() {
        for source in ["import x\n// ---\n// mode: pool\n// ---", "# ---\n# mode: pool\n", "", "x = 1\n---\n---\n"] {
            assert_eq!(FrontMatter::find(source), None, "{source}");
        }
    }

    fn read(lines: &[&str]) -> Block {
        let source: String = ["---"].iter().chain(lines).chain(&["---"]).map(|line| format!("# {line}\n")).collect();
        FrontMatter::find(&source).unwrap().read("a.py")
    }

    #[test]
    fn a_comment_between_lines_is_a_comment() {
        for lines in [
            &["A title"][..],
            &["Title: subtitle: more"],
            &["- a", "- b"],
            &["note: it reads mail"],
            &["jupyter:", "  jupytext:", "    format: py"],
            &["\"not closed"],
            &["{{ template }}"],
            &[],
            &["# more"],
            &["12"],
            &["@author x", "\tindented"],
        ] {
            assert!(matches!(read(lines), Block::Comment(None)), "{lines:?}");
        }
        assert!(
            matches!(read(&["slotz: 2"]), Block::Comment(Some(remark)) if remark.contains("did you mean `slots`?"))
        );
    }

    #[test]
    fn a_map_with_a_known_key_is_settings_and_its_faults_have_the_places_of_the_file() {
        assert!(matches!(read(&["mode: pool"]), Block::Settings(_)));
        for (lines, part) in [
            (&["mode: pool", "slotz: 3"][..], "a.py:3:3: slotz: unknown key `slotz` (did you mean `slots`?)"),
            (
                &["mode: pool", "env: { A: 1 }"],
                "a.py:3:3: env: unknown key `env` (write `environment: { NAME: value }`)",
            ),
            (&["mdoe: pool"], "a.py:2:3: mdoe: unknown key `mdoe` (did you mean `mode`?)"),
            (&["mode: pol"], "a.py:2:9: mode: `pol` is not known here"),
            (&["mode: pool", "args: [a"], "a.py:"),
            (&["mode: pool", "mode: task"], "a.py:3:3: `mode` is given twice"),
        ] {
            let Block::Wrong(problems) = read(lines) else { panic!("{lines:?}") };
            assert!(problems.to_string().contains(part), "{problems}");
        }
    }
}
