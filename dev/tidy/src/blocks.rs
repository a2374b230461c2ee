//! Pieces of English in a file: comments, doc comments, messages and Markdown paragraphs, each with its line.

use crate::Source;

/// Origin of a block, which decides the rules that apply to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `///` or `//!`.
    Doc,
    /// `///` before a field of a struct or an enum variant.
    FieldDoc,
    /// `//`.
    Comment,
    /// A string literal of at least three words in product code.
    Message,
    /// A paragraph, a list item or a table row of Markdown.
    Markdown,
}

/// A run of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Decides the rules.
    pub kind: Kind,
    /// Line of the first word, from 1.
    pub line: usize,
    /// Words of the block in one line, without comment marks.
    pub text: String,
}

/// Returns the blocks of a Rust file.
#[must_use]
pub fn rust(source: &Source) -> Vec<Block> {
    let product = if source.is_test() { 0 } else { source.product_lines().count() };
    let lines: Vec<&str> = source.text.lines().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let Some((mark, _)) = comment(lines[at]) else {
            if at < product {
                found.extend(messages(lines[at]).map(|text| Block { kind: Kind::Message, line: at + 1, text }));
            }
            at += 1;
            continue;
        };
        let mut paragraphs = Paragraphs::default();
        let first = at;
        while at < lines.len()
            && let Some((other, text)) = comment(lines[at])
            && other == mark
        {
            paragraphs.line(at + 1, text);
            at += 1;
        }
        let field = mark == "///" && at - first == 1 && lines.get(at).is_some_and(|next| is_field(next));
        let docs = paragraphs.done().into_iter().enumerate().map(|(number, (line, text))| {
            let kind = match mark {
                "//" => Kind::Comment,
                _ if field => Kind::FieldDoc,
                _ if number == 0 => Kind::Doc,
                // Later paragraphs of a doc comment are explanation.
                _ => Kind::Comment,
            };
            Block { kind, line, text }
        });
        found.extend(docs);
    }
    found
}

/// Returns the blocks of a Markdown file.
#[must_use]
pub fn markdown(text: &str) -> Vec<Block> {
    let mut paragraphs = Paragraphs::default();
    for (number, line) in text.lines().enumerate() {
        paragraphs.line(number + 1, line);
    }
    paragraphs.done().into_iter().map(|(line, text)| Block { kind: Kind::Markdown, line, text }).collect()
}

/// Splits a comment line into its mark and its text.
fn comment(line: &str) -> Option<(&'static str, &str)> {
    let line = line.trim_start();
    ["///", "//!", "//"].into_iter().find_map(|mark| line.strip_prefix(mark).map(|text| (mark, text)))
}

fn is_field(line: &str) -> bool {
    let line = line.trim_start();
    let name = line.strip_prefix("pub ").or_else(|| line.strip_prefix("pub(crate) ")).unwrap_or(line);
    name.split_once(": ")
        .is_some_and(|(name, _)| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_'))
}

/// Returns the string literals of a line that have at least three words.
fn messages(line: &str) -> impl Iterator<Item = String> {
    let mut found = Vec::new();
    let mut open: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, &mut open) {
            ('\\', Some(text)) => text.extend(chars.next()),
            ('"', Some(_)) => found.extend(open.take()),
            ('"', None) => open = Some(String::new()),
            (c, Some(text)) => text.push(c),
            _ => {}
        }
    }
    found.into_iter().chain(open).filter(|text| text.split_whitespace().count() >= 3)
}

/// Gathers lines into paragraphs; fenced code and headings are left out.
#[derive(Default)]
struct Paragraphs {
    done: Vec<(usize, String)>,
    open: Option<(usize, String)>,
    fenced: bool,
}

impl Paragraphs {
    fn line(&mut self, number: usize, text: &str) {
        let text = text.trim();
        if text.starts_with("```") {
            self.close();
            self.fenced = !self.fenced;
            return;
        }
        if self.fenced {
            return;
        }
        let item = ["- ", "* ", "| ", "> ", "1. "].iter().any(|mark| text.starts_with(mark));
        if text.is_empty() || text.starts_with('#') || item {
            self.close();
        }
        if text.is_empty() || text.starts_with('#') || text.starts_with("<!--") {
            return;
        }
        match &mut self.open {
            Some((_, paragraph)) => {
                paragraph.push(' ');
                paragraph.push_str(text);
            }
            None => self.open = Some((number, text.trim_start_matches(['-', '*', '|', '>', ' ']).to_owned())),
        }
    }

    fn close(&mut self) {
        self.done.extend(self.open.take());
    }

    fn done(mut self) -> Vec<(usize, String)> {
        self.close();
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_carry_their_line_and_kind() {
        let text = "/// Reads it.\n///\n/// ```\n/// code\n/// ```\n/// More.\nfn x() { say(\"one two three\"); }\n    /// Its id.\n    pub id: u8,\n// A\n// b.\n";
        let found = rust(&Source { path: "crates/x/src/a.rs".to_owned(), text: text.to_owned() });
        let shown: Vec<_> = found.iter().map(|b| (b.kind, b.line, b.text.as_str())).collect();
        assert_eq!(
            shown,
            [
                (Kind::Doc, 1, "Reads it."),
                (Kind::Comment, 6, "More."),
                (Kind::Message, 7, "one two three"),
                (Kind::FieldDoc, 8, "Its id."),
                (Kind::Comment, 10, "A b."),
            ]
        );
    }

    #[test]
    fn markdown_leaves_code_and_headings_out() {
        let found = markdown("# What\n\nOne\ntwo.\n- three\n```\ncode\n```\n");
        let shown: Vec<_> = found.iter().map(|b| (b.line, b.text.as_str())).collect();
        assert_eq!(shown, [(3, "One two."), (5, "three")]);
    }
}
