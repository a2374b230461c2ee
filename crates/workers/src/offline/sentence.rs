//! Splitting a text into sentences.

/// The most sentences of a text that are read.
pub const SENTENCES_MAX: usize = 20_000;
/// The longest sentence; a longer one is cut into pieces, because it is a list or a table.
const LENGTH_MAX: usize = 800;

/// A sentence and its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    /// The sentence on one line.
    pub text: String,
    /// The paragraph it stands in, from 0.
    pub paragraph: usize,
    /// Whether it opens its paragraph.
    pub first: bool,
}

/// Words whose full stop does not end a sentence.
const ABBREVIATIONS: &[&str] = &[
    "a.m", "approx", "apr", "art", "aug", "ave", "bzw", "ca", "cf", "co", "corp", "dec", "dept", "dr", "e.g", "ed",
    "eds", "eg", "est", "etc", "feb", "fig", "figs", "gen", "gov", "hon", "i.e", "ie", "inc", "jan", "jr", "jul",
    "jun", "lt", "ltd", "mar", "max", "min", "mio", "mr", "mrs", "ms", "mt", "no", "nos", "nov", "nr", "oct", "p",
    "p.m", "ph", "pp", "prof", "rev", "sec", "sen", "sep", "sept", "sgt", "sr", "st", "str", "u.k", "u.s", "vgl",
    "vol", "vs", "z.b",
];

/// Returns the sentences of a text in order, without headings, at most [`SENTENCES_MAX`].
#[must_use]
pub fn split(text: &str) -> Vec<Sentence> {
    let mut found = Vec::new();
    let mut paragraph = 0;
    let mut lines: Vec<&str> = Vec::new();
    // Rows of a table are not sentences, unless the text has little else.
    let rows = text.lines().filter(|line| is_row(line)).count();
    let tables = rows * 2 < text.lines().filter(|line| !line.trim().is_empty()).count();
    for line in text.lines().map(|line| if tables && is_row(line) { "" } else { line.trim() }).chain([""]) {
        let item = line.strip_prefix(['-', '*', '•']).filter(|rest| rest.starts_with(' '));
        if (line.is_empty() || item.is_some()) && !lines.is_empty() {
            take_paragraph(&lines, &mut paragraph, &mut found);
            lines.clear();
        }
        if !line.is_empty() {
            lines.push(item.map_or(line, str::trim));
        }
        if found.len() >= SENTENCES_MAX {
            break;
        }
    }
    found.truncate(SENTENCES_MAX);
    found
}

/// Says whether a line is a row of a table: documents give cells with tabs between them.
fn is_row(line: &str) -> bool {
    line.trim().contains('\t')
}

fn take_paragraph(lines: &[&str], paragraph: &mut usize, found: &mut Vec<Sentence>) {
    // A heading stands above its paragraph, with or without an empty line between.
    let underline = |line: &str| line.chars().all(|c| matches!(c, '-' | '=' | '_' | '*' | '#' | '~'));
    let heading = |line: &str| line.starts_with('#') || underline(line);
    let body: Vec<&str> = lines.iter().copied().filter(|line| !heading(line)).collect();
    let whole = body.join(" ");
    if whole.is_empty() || is_title(&whole) {
        return;
    }
    let mut first = true;
    for piece in pieces(&whole) {
        for text in bounded(piece) {
            if text.chars().any(char::is_alphanumeric) && found.len() < SENTENCES_MAX {
                found.push(Sentence { text: text.to_owned(), paragraph: *paragraph, first });
                first = false;
            }
        }
    }
    *paragraph += 1;
}

/// Says whether a paragraph is a title: short, and without a full stop.
fn is_title(line: &str) -> bool {
    line.len() <= 120 && !line.ends_with(['.', '!', '?', ':', ';', '。', '！', '？', '…', '"', '”'])
}

fn pieces(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let wide = matches!(c, '。' | '！' | '？');
        if !wide && !matches!(c, '.' | '!' | '?' | '…') {
            continue;
        }
        let mut end = at + c.len_utf8();
        while let Some(&(next, closing)) = chars.peek() {
            if !matches!(closing, '"' | '”' | '’' | '\'' | ')' | ']' | '»' | '」' | '.' | '!' | '?') {
                break;
            }
            end = next + closing.len_utf8();
            chars.next();
        }
        let rest = &text[end..];
        let ends = wide || rest.is_empty() || (rest.starts_with(char::is_whitespace) && begins(rest));
        if ends && (c != '.' || !abbreviated(&text[start..at], rest)) {
            found.push(text[start..end].trim());
            start = end;
        }
    }
    found.push(text[start..].trim());
    found.retain(|piece| !piece.is_empty());
    found
}

/// Says whether the following text can begin a sentence.
fn begins(rest: &str) -> bool {
    let next = rest.trim_start().chars().find(|c| !matches!(c, '"' | '“' | '‘' | '\'' | '(' | '['));
    next.is_none_or(|c| !c.is_lowercase())
}

/// Says whether the full stop belongs to the word before it.
fn abbreviated(before: &str, rest: &str) -> bool {
    if rest.is_empty() {
        return false;
    }
    let word = before.rsplit(|c: char| c.is_whitespace() || matches!(c, '(' | '"' | '“' | '[')).next().unwrap_or("");
    let mut letters = word.chars();
    let initial = matches!((letters.next(), letters.next()), (Some(c), None) if c.is_uppercase());
    if word.len() > 8 {
        return false;
    }
    let low = word.to_lowercase();
    // "No." and "p." are abbreviations only before a number.
    let number_next = rest.trim_start().starts_with(|c: char| c.is_ascii_digit());
    match low.as_str() {
        "no" | "nos" | "p" | "pp" | "art" | "min" | "max" | "sec" => number_next,
        "etc" | "a.m" | "p.m" | "u.s" | "u.k" | "inc" | "ltd" | "co" | "corp" => false,
        _ => initial || ABBREVIATIONS.binary_search(&low.as_str()).is_ok(),
    }
}

/// Returns the pieces of a sentence, none longer than [`LENGTH_MAX`].
fn bounded(piece: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = piece;
    while rest.len() > LENGTH_MAX {
        let edge = (0..=LENGTH_MAX).rev().find(|&at| rest.is_char_boundary(at)).unwrap_or(rest.len());
        let cut = rest[..edge].rfind(char::is_whitespace).filter(|&at| at > 0).unwrap_or(edge);
        found.push(rest[..cut].trim());
        rest = rest[cut..].trim_start();
    }
    found.push(rest);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_table_are_no_sentences() {
        let text = "Costs rose a little this year.\n\nStaff\t6,720\nTechnology\t940\n\nThe board was pleased with that.\nMore follows.\n";
        let found: Vec<String> = split(text).into_iter().map(|sentence| sentence.text).collect();
        assert_eq!(found, ["Costs rose a little this year.", "The board was pleased with that.", "More follows."]);
        assert!(!split("Staff\t6,720 people.\nTechnology\t940 things.\n").is_empty());
    }
    use proptest::prelude::*;

    fn texts(text: &str) -> Vec<String> {
        split(text).into_iter().map(|sentence| sentence.text).collect()
    }

    #[test]
    fn abbreviations_initials_and_numbers_do_not_end_a_sentence() {
        assert_eq!(
            texts(
                "Dr. J. Meyer paid $3.50 at 5 p.m. on Monday. See fig. 3, e.g. no. 7. It cost 2.5 million! \"Why?\" she asked."
            ),
            [
                "Dr. J. Meyer paid $3.50 at 5 p.m. on Monday.",
                "See fig. 3, e.g. no. 7.",
                "It cost 2.5 million!",
                "\"Why?\" she asked."
            ]
        );
    }

    #[test]
    fn headings_are_left_out_and_items_stand_alone() {
        let text = "# Report\n\nA Title\n\nFirst one.\nStill the first\nparagraph.\n\n- An item here\n- Another item\n";
        let found = split(text);
        assert_eq!(texts(text), ["First one.", "Still the first paragraph."]);
        assert_eq!((found[0].first, found[1].first, found[1].paragraph), (true, false, 0));
        assert_eq!(texts("Points:\n- One is done.\n- Two is not.\n"), ["Points:", "One is done.", "Two is not."]);
    }

    #[test]
    fn wide_marks_end_a_sentence_without_a_space() {
        assert_eq!(texts("本です。新しいです。").len(), 2);
    }

    #[test]
    fn the_list_of_abbreviations_is_sorted() {
        assert!(ABBREVIATIONS.is_sorted());
    }

    proptest! {
        #[test]
        fn every_sentence_is_bounded(text in "[a-z .!?\n]{0,3000}") {
            prop_assert!(split(&text).iter().all(|s| s.text.len() <= LENGTH_MAX && !s.text.is_empty()));
        }
    }
}
