//! The lines of a page, joined into paragraphs as a person would read them.

use std::collections::{BTreeMap, HashSet};

use super::{
    pdf_page::{Line, Page},
    sink::Sink,
};

/// Words remembered to decide about hyphens; a book has fewer.
const WORDS_MAX: usize = 100_000;

/// Distance within which line starts belong to one column, in points.
const COLUMN: f64 = 24.0;

/// Relation of a line to the line before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The line goes on in the paragraph of the line before.
    Flow,
    /// The next line of a list, a table or an address.
    Line,
    /// The line begins a paragraph.
    Paragraph,
}

/// Joiner of lines; remembers the words of the document from page to page.
#[derive(Default)]
pub(super) struct Layout {
    words: HashSet<String>,
}

impl Layout {
    /// Writes a page.
    pub(super) fn write(&mut self, page: Page, sink: &mut Sink) {
        let mut lines = page.into_lines();
        lines.iter_mut().for_each(|line| shorten_leader(&mut line.text));
        self.learn(&lines);
        let shape = Shape::of(&lines);
        let mut block = String::new();
        let mut previous: Option<&Line> = None;
        for line in &lines {
            match previous.map(|before| shape.step(before, line)) {
                None => {}
                Some(Step::Flow) => self.join(&mut block, &line.text),
                Some(Step::Line) => {
                    flush(&mut block, sink);
                    sink.line();
                }
                Some(Step::Paragraph) => {
                    flush(&mut block, sink);
                    sink.paragraph();
                }
            }
            block.push_str(line.text.trim());
            previous = Some(line);
        }
        flush(&mut block, sink);
    }

    /// Remembers whole words; the parts on both sides of a line's hyphen do not count.
    fn learn(&mut self, lines: &[Line]) {
        let mut broken = false;
        for line in lines {
            for token in line.text.split_whitespace().skip(usize::from(broken)) {
                let word = token.trim_matches(|c: char| !c.is_alphanumeric() && c != '-').to_lowercase();
                if word.len() > 1 && !word.ends_with('-') && self.words.len() < WORDS_MAX {
                    self.words.insert(word);
                }
            }
            broken = ends_broken(&line.text);
        }
    }

    /// Prepares the end of a paragraph so far for the line that follows: a blank, or what a hyphen requires.
    fn join(&self, block: &mut String, next: &str) {
        if block.ends_with(['\u{ad}', '\u{2010}']) {
            block.pop();
            return;
        }
        let head = block.strip_suffix('-').and_then(|text| text.split_whitespace().next_back()).unwrap_or_default();
        let tail = next.split_whitespace().next().unwrap_or_default();
        if !block.ends_with('-') || !head.ends_with(char::is_alphanumeric) {
            block.push(' ');
        } else if self.is_one_word(head, tail) {
            block.pop();
        }
    }

    /// Says whether a hyphen at the end of a line only splits a word, judged by the words of the document.
    fn is_one_word(&self, head: &str, tail: &str) -> bool {
        let tidy = |part: &str| part.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
        let (left, right) = (tidy(head), tidy(tail));
        if !tail.starts_with(char::is_lowercase) || !head.ends_with(char::is_alphabetic) {
            return false;
        }
        if self.words.contains(&format!("{left}{right}")) {
            return true;
        }
        let both = left.len() > 2 && right.len() > 2 && self.words.contains(&left) && self.words.contains(&right);
        !both && !self.words.contains(&format!("{left}-{right}"))
    }
}

/// Replaces the row of dots between an entry of a list of contents and its page by a tab.
fn shorten_leader(text: &mut String) {
    const DOTS: usize = 4;
    let is_leader = |c: char| c == '.' || c == ' ';
    let Some(start) = text.find(". . .").or_else(|| text.find("....")) else { return };
    let rest = text[start..].trim_start_matches(is_leader);
    let leader = &text[start..text.len() - rest.len()];
    if leader.matches('.').count() >= DOTS {
        *text = format!("{}\t{rest}", text[..start].trim_end());
    }
}

/// Writes a paragraph or a line, its columns apart.
fn flush(block: &mut String, sink: &mut Sink) {
    for (at, cell) in block.split('\t').enumerate() {
        if at > 0 {
            sink.tab();
        }
        sink.flow(cell);
    }
    block.clear();
}

/// Measures of the lines of a page.
struct Shape {
    /// The usual distance from line to line.
    leading: f64,
    /// The leftmost start and the rightmost end of the lines in each column.
    columns: BTreeMap<i64, (f64, f64)>,
}

impl Shape {
    fn of(lines: &[Line]) -> Shape {
        let drops = lines.windows(2).map(|pair| (pair[0].height - pair[1].height, pair[1].size));
        let mut drops: Vec<f64> =
            drops.filter(|(drop, size)| *drop > 0.5 * size && *drop < 3.0 * size).map(|(drop, _)| drop).collect();
        drops.sort_by(f64::total_cmp);
        let mut columns = BTreeMap::new();
        // The cells of a table and a page number at the edge may stand further out than the text.
        for line in lines.iter().filter(|line| !line.text.contains('\t')) {
            let edges = columns.entry(column(line.start)).or_insert((line.start, line.end));
            *edges = (edges.0.min(line.start), edges.1.max(line.end));
        }
        Shape { leading: drops.get(drops.len() / 2).copied().unwrap_or(f64::INFINITY), columns }
    }

    /// Returns the rightmost end of the lines in the column of this one.
    fn right(&self, line: &Line) -> f64 {
        let at = column(line.start);
        let near = self.columns.range(at.saturating_sub(1)..=at.saturating_add(1));
        near.fold(line.end, |right, (_, edges)| right.max(edges.1))
    }

    fn step(&self, before: &Line, line: &Line) -> Step {
        let size = before.size.max(line.size);
        if (before.size - line.size).abs() > 0.12 * size {
            return Step::Paragraph;
        }
        let full = ends_broken(&before.text) || is_full(before, line, self.right(before));
        let drop = before.height - line.height;
        if drop <= 0.0 {
            // The next column, or a box beside the text.
            return if full && !ends_sentence(&before.text) { Step::Flow } else { Step::Paragraph };
        }
        if drop > self.leading.min(2.5 * size) * 1.4 {
            return Step::Paragraph;
        }
        if is_item(&line.text) || before.text.contains('\t') || line.text.contains('\t') {
            return Step::Line;
        }
        if line.start - before.start > 0.8 * size && !is_item(&before.text) {
            return Step::Paragraph;
        }
        if full { Step::Flow } else { Step::Line }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "a place beyond the range of an integer is its end")]
fn column(start: f64) -> i64 {
    (start / COLUMN).floor() as i64
}

/// Says whether the line ended because the next word did not fit, and not because its author ended it.
fn is_full(line: &Line, next: &Line, right: f64) -> bool {
    let letters = next.text.chars().count().max(1) as f64;
    let word = next.text.split_whitespace().next().unwrap_or_default().chars().count() as f64;
    line.end + word * (next.end - next.start) / letters + 0.3 * line.size > right - 0.5 * line.size
}

/// Whether a line ends inside a word.
fn ends_broken(text: &str) -> bool {
    let text = text.trim_end();
    text.ends_with(['\u{ad}', '\u{2010}'])
        || text.strip_suffix('-').is_some_and(|text| text.ends_with(char::is_alphanumeric))
}

fn ends_sentence(text: &str) -> bool {
    text.trim_end_matches(['"', '\'', ')', '”', '’']).ends_with(['.', '!', '?', ':'])
}

/// Whether a line begins an item of a list: a bullet, or a short number with a dot or a bracket.
fn is_item(text: &str) -> bool {
    let first = text.split_whitespace().next().unwrap_or_default();
    let bullet = matches!(first, "•" | "◦" | "▪" | "●" | "–" | "-" | "*" | "·");
    let number = first.strip_suffix(['.', ')']).map(|number| number.trim_start_matches('('));
    bullet
        || number
            .is_some_and(|number| (1..=2).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::{super::pdf_page::Glyph, *};

    /// Draws lines of 10-point text, each letter 5 points wide.
    fn read(lines: &[(f64, f64, &str)]) -> String {
        let mut page = Page::new(10_000);
        for (x, y, text) in lines {
            for (at, letter) in text.chars().enumerate() {
                let (text, start) = (letter.to_string(), x + 5.0 * at as f64);
                page.glyph(&Glyph { text: &text, start, width: 5.0, height: *y, size: 10.0, direction: (1.0, 0.0) });
            }
        }
        let mut sink = Sink::new(10_000);
        Layout::default().write(page, &mut sink);
        sink.finish().0
    }

    #[test]
    fn lines_of_a_paragraph_flow_and_paragraphs_stand_apart() {
        let text = read(&[
            (50.0, 700.0, "A paragraph of words that goes on and"),
            (50.0, 688.0, "ends here."),
            (50.0, 660.0, "Another paragraph that is as wide as"),
            (50.0, 648.0, "the first, and also ends."),
        ]);
        assert_eq!(
            text,
            "A paragraph of words that goes on and ends here.\n\nAnother paragraph that is as wide as the first, and also ends."
        );
    }

    #[test]
    fn short_lines_stay_lines() {
        let text = read(&[
            (50.0, 700.0, "Write to the address below, which holds for every branch."),
            (50.0, 676.0, "The Library"),
            (50.0, 664.0, "1 Main Road"),
            (50.0, 652.0, "Northwick"),
        ]);
        assert_eq!(
            text,
            "Write to the address below, which holds for every branch.\n\nThe Library\n1 Main Road\nNorthwick"
        );
    }

    #[test]
    fn hyphens_are_judged_by_the_words_of_the_document() {
        let text = read(&[
            (50.0, 700.0, "Long and term are words, so a long-"),
            (50.0, 688.0, "term plan stays. New infor-"),
            (50.0, 676.0, "mation is one word, as is the com-"),
            (50.0, 664.0, "puter, and North-"),
            (50.0, 652.0, "East is a place. A compound end."),
        ]);
        assert_eq!(
            text,
            "Long and term are words, so a long-term plan stays. New information is one word, as is the computer, and North-East is a place. A compound end."
        );
    }

    #[test]
    fn dots_before_a_page_number_become_a_tab() {
        let shorten = |text: &str| {
            let mut text = text.to_owned();
            shorten_leader(&mut text);
            text
        };
        assert_eq!(shorten("2.1 Syntax . . . . . . 14"), "2.1 Syntax\t14");
        assert_eq!(shorten("Index........ 3"), "Index\t3");
        assert_eq!(shorten("and so on... he said"), "and so on... he said");
    }

    #[test]
    fn lists_keep_their_items() {
        let text = read(&[
            (50.0, 700.0, "• the first item, which is long and"),
            (58.0, 688.0, "goes on"),
            (50.0, 676.0, "• the second"),
        ]);
        assert_eq!(text, "• the first item, which is long and goes on\n• the second");
    }

    #[test]
    fn columns_are_read_one_after_the_other() {
        let text = read(&[
            (50.0, 700.0, "The left column runs on and"),
            (50.0, 688.0, "at its foot the sentence is"),
            (250.0, 700.0, "continued in the right one"),
            (250.0, 688.0, "and ends."),
        ]);
        assert_eq!(
            text,
            "The left column runs on and at its foot the sentence is continued in the right one and ends."
        );
    }
}
