//! Rules of English that a regular expression can check.
//!
//! Numbers are those of the house style: 1 opening word, 2 headless relative, 3 "is none" and an unnamed "the same",
//! 4 field terms, 5 counts without a number, 7 length of the first sentence, 9 field docs that only repeat the name,
//! 11 cited files that are not in the repository.

use std::collections::BTreeSet;

use regex::Regex;

use crate::blocks::{Block, Kind};

/// Longest first sentence, in words.
const FIRST_SENTENCE: usize = 25;

/// Matches nothing.
const NEVER: &str = r"\z.";

/// Rule, expression of a fault, and expression of what is no fault after all.
const PHRASES: [(u8, &str, &str); 10] = [
    (2, r"\b(for|by|to|from|of|as|with|than|and|or) (who|whoever)\b", NEVER),
    (2, r"; (who|whoever|what|whatever) ", NEVER),
    (3, r"\b(is|are|was|were|be|being|been) none\b", r"none of"),
    (3, r"\b[Nn]o [a-z-]+ (is|are|was|were)\b", r"[Nn]o (longer|one|more) "),
    (
        3,
        r"\b[Tt]he same(\W*$|[.,;:)]| (for|with|of|in|from|at|by|to|and|or|but|again|here|there|holds|is|goes)\b)",
        NEVER,
    ),
    (
        4,
        r"\b([Gg]ive|[Gg]ives|given|[Gg]iving|gave|[Tt]ake|[Tt]akes|taken|[Tt]aking|took) (it |them |that |this |one )?back\b",
        NEVER,
    ),
    (4, r"\b([Ll]et|[Ll]ets|letting) (it |them |that |one )?go\b", NEVER),
    (4, r"\b([Ll]eave|[Ll]eaves|[Ll]eft|leaving) (it |them |that |one )?alone\b", NEVER),
    (4, r"\b(anew|dear|dearer|dearest|[Tt]old of|[Tt]ells of|[Tt]ell of)\b", NEVER),
    (5, r"\b[Ss]o (long|many|much|often|few)\b", r"[Ss]o (long|many|much|often|few) (as|that)\b"),
];

/// A sentence that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Number of the rule.
    pub rule: u8,
    /// Line of the block, from 1.
    pub line: usize,
    /// Words that break the rule.
    pub words: String,
}

/// Compiled rules and the paths of the repository.
pub struct Style {
    opening: Regex,
    relative: Regex,
    phrases: Vec<(u8, Regex, Regex)>,
    field: Regex,
    file: Regex,
    paths: BTreeSet<String>,
}

impl Style {
    /// Compiles the rules.
    ///
    /// # Errors
    /// When an expression is not valid.
    pub fn new(paths: BTreeSet<String>) -> Result<Style, regex::Error> {
        let phrases = PHRASES
            .into_iter()
            .map(|(rule, find, unless)| Ok((rule, Regex::new(find)?, Regex::new(unless)?)))
            .collect::<Result<_, regex::Error>>()?;
        Ok(Style {
            opening: Regex::new(r"^(What|Who|Whose|Whom|Where|When|Which|How|Why|Of|By|Has|As|So|Whoever|Whatever)\b")?,
            relative: Regex::new(r"^(Who|Whoever|Whose|What|Whatever)\b")?,
            phrases,
            field: Regex::new(r"^(Its|The|Their|A|An) [\w-]+( [\w-]+)?\.$")?,
            file: Regex::new(r"[\w./-]*\w\.(rs|md|sh)\b")?,
            paths,
        })
    }

    /// Returns what a block breaks.
    #[must_use]
    pub fn check(&self, block: &Block) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut fault = |rule, words: &str| {
            faults.push(Fault { rule, line: block.line, words: words.to_owned() });
        };
        let sentences = sentences(&block.text);
        let doc = matches!(block.kind, Kind::Doc | Kind::FieldDoc);
        for (number, sentence) in sentences.iter().enumerate() {
            if doc && number == 0 {
                if self.opening.is_match(sentence) {
                    fault(1, start(sentence));
                }
                if sentence.split_whitespace().count() > FIRST_SENTENCE {
                    fault(7, start(sentence));
                }
            } else if self.relative.is_match(sentence) && !sentence.ends_with('?') && block.kind != Kind::Message {
                fault(2, start(sentence));
            }
        }
        for (rule, find, unless) in &self.phrases {
            for at in find.find_iter(&block.text) {
                let after = block.text[at.start()..].char_indices().nth(at.len() + 20);
                let end = after.map_or(block.text.len(), |(more, _)| at.start() + more);
                let near = &block.text[at.start()..end];
                if !unless.is_match(near) {
                    fault(*rule, near);
                }
            }
        }
        if block.kind == Kind::FieldDoc && self.field.is_match(&block.text) {
            fault(9, &block.text);
        }
        if block.kind != Kind::Message {
            // A bare name in small letters (`report.md`) is an example of a user's file.
            let cited =
                |at: &regex::Match<'_>| at.as_str().contains('/') || at.as_str().starts_with(char::is_uppercase);
            for at in self.file.find_iter(&block.text).filter(|at| cited(at) && !self.is_here(at.as_str())) {
                fault(11, at.as_str());
            }
        }
        faults
    }

    /// Tells whether a cited path is the end of a path in the repository.
    fn is_here(&self, cited: &str) -> bool {
        let cited = cited.trim_start_matches(['.', '/']);
        self.paths
            .iter()
            .any(|path| path.strip_suffix(cited).is_some_and(|folder| folder.is_empty() || folder.ends_with('/')))
    }
}

/// Splits text where a full stop, a question mark or an exclamation mark is followed by a space and a capital.
fn sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut from = 0;
    for (at, c) in text.char_indices() {
        let after = &text[at + c.len_utf8()..];
        let capital = after.strip_prefix(' ').and_then(|next| next.chars().next());
        let ends =
            matches!(c, '.' | '?' | '!') && capital.is_some_and(|next| next.is_uppercase() || "`[(*".contains(next));
        if ends {
            found.push(text[from..at + c.len_utf8()].trim());
            from = at + c.len_utf8();
        }
    }
    found.push(text[from..].trim());
    found
}

/// Returns the first 60 characters of a sentence.
fn start(sentence: &str) -> &str {
    sentence.char_indices().nth(60).map_or(sentence, |(end, _)| &sentence[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(kind: Kind, text: &str) -> Vec<u8> {
        let style = Style::new(BTreeSet::from(["docs/guides/server.md".to_owned()])).unwrap();
        let block = Block { kind, line: 1, text: text.to_owned() };
        style.check(&block).into_iter().map(|fault| fault.rule).collect()
    }

    #[test]
    fn each_rule_finds_what_it_names() {
        let cases = [
            (Kind::Doc, "Who listens at an address.", 1),
            (Kind::Doc, "Of it unknown.", 1),
            (Kind::Comment, "Reads it. Who has one sends it.", 2),
            (Kind::Markdown, "Useful for whoever reads.", 2),
            (Kind::Message, "the schema of {x} is none: {why}", 3),
            (Kind::Comment, "Writes. No task is lost.", 3),
            (Kind::Doc, "Reads the same.", 3),
            (Kind::Comment, "It is given back later.", 4),
            (Kind::Markdown, "They are let go.", 4),
            (Kind::Message, "it is started anew now", 4),
            (Kind::Comment, "Waits so long.", 5),
            (Kind::FieldDoc, "Its name.", 9),
            (Kind::Markdown, "See `DESIGN.md`.", 11),
        ];
        for (kind, text, rule) in cases {
            assert_eq!(rules(kind, text), [rule], "{text}");
        }
        let long = format!("Reads {}end.", "one ".repeat(25));
        assert_eq!(rules(Kind::Doc, &long), [7]);
    }

    #[test]
    fn plain_english_passes() {
        let texts = [
            "Returns the port of a process. None of them is ours. Why does it wait?",
            "Waits so long that the lease ends, in the same turn; see `guides/server.md`.",
            "Reserves money before the call is sent. One no longer waits.",
        ];
        for text in texts {
            assert_eq!(rules(Kind::Doc, text), [0u8; 0], "{text}");
        }
    }
}
