//! The glyphs of one page, gathered into lines.
//!
//! A PDF places glyphs; it knows neither words nor lines. Those are derived from the positions: a step down begins a
//! line; a step right, wider than the usual gap between letters, is a blank.

use icu_normalizer::properties::CanonicalCompositionBorrowed;

use super::pdf_direction::{is_leftward, logical};

/// Minimum width of a blank between words, as a share of the font size. Kerning stays below it.
const BLANK: f64 = 0.15;

/// Minimum width of a gap between columns, as a share of the font size.
const COLUMN: f64 = 1.8;

/// Maximum gap between letters that are set apart, as in headings, as a share of the font size.
const TRACKING: f64 = 0.35;

/// Maximum jump to the left within text from right to left, in font sizes: a long number may stand between.
const REACH: f64 = 15.0;

/// Minimum number of gaps in a line that show whether its letters are set apart.
const GAPS_MIN: usize = 5;

/// One line: a run of glyphs on one baseline.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    /// The text.
    pub text: String,
    /// Start along the baseline.
    pub start: f64,
    /// End along the baseline.
    pub end: f64,
    /// The height of the baseline; it falls from line to line.
    pub height: f64,
    /// The size of most of its glyphs.
    pub size: f64,
    /// Consecutive glyphs of that size.
    sized: usize,
    /// The size of the latest glyphs, and how many in a row have it.
    run: (f64, usize),
    /// The direction of its baseline.
    direction: (f64, f64),
    /// Start and end of the latest glyph.
    latest: (f64, f64),
    /// Its letters were drawn from right to left, in the order of reading.
    leftward: bool,
}

/// The lines of a page, in the order in which the page draws them.
pub(super) struct Page {
    lines: Vec<Line>,
    /// The gaps between the letters of the last line.
    gaps: Vec<Gap>,
    room: usize,
    full: bool,
    broken: bool,
}

/// A gap between two letters.
#[derive(Debug, Clone, Copy)]
struct Gap {
    /// Its width, as a share of the font size.
    width: f64,
    /// The position of the blank that was written for it.
    blank: Option<usize>,
}

impl Page {
    /// Makes an empty page that takes this many bytes of text.
    pub(super) fn new(limit: usize) -> Page {
        Page { lines: Vec::new(), gaps: Vec::new(), room: limit, full: false, broken: false }
    }

    /// Says whether there was more text than room.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// Says whether every line is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.iter().all(Line::is_blank)
    }

    /// Returns the bytes of its lines.
    pub(super) fn length(&self) -> usize {
        self.lines.iter().map(|line| line.text.len()).sum()
    }

    /// The text without white space.
    pub(super) fn squeezed(&self) -> String {
        self.lines.iter().flat_map(|line| line.text.split_whitespace()).collect()
    }

    /// Returns the lines with text, without those that are drawn twice at one position.
    pub(super) fn into_lines(mut self) -> Vec<Line> {
        self.close_line();
        let mut lines: Vec<Line> = self.lines.into_iter().filter(|line| !line.is_blank()).collect();
        lines.dedup_by(|again, line| again.repeats(line));
        lines
    }

    /// Decides about the blanks of the last line, to which nothing will be added.
    fn close_line(&mut self) {
        if let Some(line) = self.lines.last_mut() {
            if let Some(usual) = tracking(&self.gaps) {
                line.close_up(&self.gaps, usual);
            }
            if !line.leftward && line.text.contains(is_leftward) {
                line.text = logical(&line.text);
                // Closing the line again must not turn it back.
                line.leftward = true;
            }
        }
        self.gaps.clear();
    }

    /// Makes the next glyph begin a line.
    pub(super) fn break_line(&mut self) {
        self.broken = true;
    }

    /// Adds the lines of another layer, such as the values of form fields: each at the end of the line at its height,
    /// or else after all others.
    pub(super) fn place(&mut self, layer: Page) {
        self.close_line();
        self.full = self.full || layer.full;
        let own = self.lines.len();
        for line in layer.into_lines() {
            let level = |at: &&mut Line| !at.is_blank() && at.is_left_of(&line);
            match self.lines[..own].iter_mut().filter(level).max_by(|a, b| a.end.total_cmp(&b.end)) {
                Some(before) => before.append(&line),
                None => self.lines.push(line),
            }
        }
    }

    /// Adds a glyph, to the line that it continues or to a new one.
    pub(super) fn glyph(&mut self, glyph: &Glyph<'_>) {
        // Two bytes more for the blank and the line break that may come with it.
        match self.room.checked_sub(glyph.text.len() + 2) {
            Some(room) => self.room = room,
            None => {
                self.full = true;
                return;
            }
        }
        let broken = std::mem::take(&mut self.broken);
        if let Some(line) = self.lines.last_mut().filter(|_| !broken)
            && line.continues_with(glyph)
        {
            self.gaps.extend(line.add(glyph));
            return;
        }
        self.close_line();
        self.lines.push(Line {
            text: glyph.text.to_owned(),
            start: glyph.start,
            end: glyph.start + glyph.width,
            height: glyph.height,
            size: glyph.size,
            sized: 1,
            run: (glyph.size, 1),
            direction: glyph.direction,
            latest: (glyph.start, glyph.start + glyph.width),
            leftward: false,
        });
    }
}

/// A glyph, its place measured along and across its own baseline.
pub(super) struct Glyph<'a> {
    /// Its letters; empty when an earlier glyph stands for it too.
    pub text: &'a str,
    /// Start along the baseline.
    pub start: f64,
    /// Width along the baseline.
    pub width: f64,
    /// The height of its baseline.
    pub height: f64,
    /// The size of its font.
    pub size: f64,
    /// The direction of its baseline, of length 1.
    pub direction: (f64, f64),
}

impl Line {
    fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// Says whether this line is the line before drawn again, as programs do for bold letters and shadows.
    fn repeats(&self, before: &Line) -> bool {
        let near = 0.15 * self.size;
        self.text == before.text
            && (self.start - before.start).abs() < near
            && (self.height - before.height).abs() < near
    }

    /// Says whether the other line continues this one at its height, to the right of it.
    fn is_left_of(&self, other: &Line) -> bool {
        let size = self.size.max(other.size);
        let turned = self.direction.0 * other.direction.0 + self.direction.1 * other.direction.1 < 0.95;
        !turned && (self.height - other.height).abs() < 0.7 * size && self.end <= other.start + 0.5 * size
    }

    fn append(&mut self, other: &Line) {
        self.text.truncate(self.text.trim_end().len());
        self.text.push(if other.start - self.end > COLUMN * self.size { '\t' } else { ' ' });
        self.text.push_str(other.text.trim());
        self.end = other.end;
    }

    fn continues_with(&self, glyph: &Glyph<'_>) -> bool {
        let size = self.size.max(glyph.size);
        let turned = self.direction.0 * glyph.direction.0 + self.direction.1 * glyph.direction.1 < 0.95;
        // Half a size up or down is a superscript or a subscript; a step back is a new line or an accent.
        let level = !turned && (glyph.height - self.height).abs() < 0.5 * size;
        level && (glyph.start > self.latest.1 - 0.7 * size || self.goes_left(glyph))
    }

    /// Says whether a glyph stands to the left of the latest one in text that runs leftward.
    fn goes_left(&self, glyph: &Glyph<'_>) -> bool {
        let size = self.size.max(glyph.size);
        let runs_left = self.leftward || glyph.text.contains(is_leftward);
        let reach = if self.leftward { REACH } else { 3.0 } * size;
        let gap = self.latest.0 - (glyph.start + glyph.width);
        runs_left && glyph.start < self.latest.0 && gap > -0.7 * size && gap < reach
    }

    /// Adds a glyph to the left of the latest one.
    fn add_leftward(&mut self, glyph: &Glyph<'_>) {
        let size = self.size.max(glyph.size);
        let is_rightward = !glyph.text.contains(is_leftward);
        let gap = self.latest.0 - (glyph.start + glyph.width);
        let apart = self.text.ends_with([' ', '\t']) || glyph.text.starts_with(' ');
        // A number is drawn from left to right, so its first digit is the furthest.
        if !apart && (gap > BLANK * size || (is_rightward && gap > 0.0)) && glyph.text.contains(char::is_alphanumeric) {
            self.text.push(' ');
        }
        self.text.push_str(glyph.text);
        self.leftward = true;
        self.start = self.start.min(glyph.start);
        self.latest = (glyph.start, glyph.start + glyph.width);
    }

    /// Adds a glyph. Returns the gap before it, if the gap shows the spacing of the line's letters.
    fn add(&mut self, glyph: &Glyph<'_>) -> Option<Gap> {
        let size = self.size.max(glyph.size);
        let gap = glyph.start - self.latest.1;
        // Imitated bold: one letter drawn twice, the second slightly to the right.
        if gap < -0.5 * glyph.width && self.text.ends_with(glyph.text) && glyph.text != " " {
            return None;
        }
        if glyph.text.is_empty() {
            self.end = self.end.max(glyph.start + glyph.width);
            self.latest.1 = self.end;
            return None;
        }
        if self.goes_left(glyph) {
            self.add_leftward(glyph);
            return None;
        }
        if gap < -0.2 * glyph.width
            && let Some(letter) = self.accented(glyph.text)
        {
            self.text.pop();
            self.text.push(letter);
            self.end = self.end.max(glyph.start + glyph.width);
            self.latest = (self.latest.0, self.end);
            return None;
        }
        let apart = self.text.ends_with([' ', '\t']) || glyph.text.starts_with(' ');
        let mut blank = None;
        if gap > COLUMN * size {
            self.text.truncate(self.text.trim_end().len());
            self.text.push('\t');
        } else if gap > BLANK * size && !apart {
            blank = Some(self.text.len());
            self.text.push(' ');
        }
        if glyph.text.contains(is_leftward) && !self.leftward {
            // The whole line is reversed when it is complete.
            self.text.extend(glyph.text.chars().rev());
        } else {
            self.text.push_str(glyph.text);
        }
        self.run = (glyph.size, if (glyph.size - self.run.0).abs() < 0.1 { self.run.1 + 1 } else { 1 });
        if self.run.1 > self.sized {
            (self.size, self.sized) = self.run;
        }
        self.latest = (glyph.start, glyph.start + glyph.width);
        self.end = if self.leftward { self.end.max(self.latest.1) } else { self.latest.1 };
        (!apart && gap <= COLUMN * size).then_some(Gap { width: gap / size, blank })
    }

    /// Returns the letter that the last glyph, an accent, and this one form together, as old TeX fonts draw them;
    /// `None` when they form none.
    fn accented(&self, letter: &str) -> Option<char> {
        let mark = match self.text.chars().next_back()? {
            '`' => '\u{300}',
            '´' => '\u{301}',
            'ˆ' | '^' => '\u{302}',
            '˜' | '~' => '\u{303}',
            '¯' => '\u{304}',
            '˘' => '\u{306}',
            '˙' => '\u{307}',
            '¨' => '\u{308}',
            '˚' | '°' => '\u{30a}',
            '˝' => '\u{30b}',
            'ˇ' => '\u{30c}',
            '¸' => '\u{327}',
            '˛' => '\u{328}',
            _ => return None,
        };
        let base = match letter {
            "ı" => 'i',
            "ȷ" => 'j',
            _ => letter.chars().next().filter(|base| base.len_utf8() == letter.len())?,
        };
        CanonicalCompositionBorrowed::new().compose(base, mark)
    }

    /// Takes out the blanks that are no wider than the gaps between most letters.
    fn close_up(&mut self, gaps: &[Gap], usual: f64) {
        for blank in gaps.iter().filter(|gap| gap.width < usual + BLANK).rev().filter_map(|gap| gap.blank) {
            if self.text[blank..].starts_with(' ') {
                self.text.remove(blank);
            }
        }
    }
}

/// Returns the gap between the letters of a line that are set apart, which may be wider than a blank elsewhere; `None`
/// for other lines.
fn tracking(gaps: &[Gap]) -> Option<f64> {
    if gaps.len() < GAPS_MIN {
        return None;
    }
    let mut widths: Vec<f64> = gaps.iter().map(|gap| gap.width).collect();
    widths.sort_by(f64::total_cmp);
    let usual = widths[widths.len() / 2];
    let alike = widths.iter().filter(|width| (**width - usual).abs() < 0.06).count();
    (usual > 0.5 * BLANK && usual < TRACKING && alike * 10 >= widths.len() * 7).then_some(usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(page: &mut Page, text: &str, x: f64, y: f64, scale: f64) {
        let mut at = x;
        for letter in text.chars() {
            let (width, size) = (5.0 * scale, 10.0 * scale);
            page.glyph(&Glyph { text: &letter.to_string(), start: at, width, height: y, size, direction: (1.0, 0.0) });
            at += 5.0 * scale;
        }
    }

    #[test]
    fn finds_words_lines_and_columns() {
        let mut page = Page::new(1_000);
        draw(&mut page, "AV", 0.0, 700.0, 1.0);
        draw(&mut page, "A", 9.2, 700.0, 1.0);
        draw(&mut page, "next", 16.5, 700.0, 1.0);
        draw(&mut page, "cell", 100.0, 700.0, 1.0);
        draw(&mut page, "below", 0.0, 688.0, 1.0);
        let lines: Vec<String> = page.into_lines().into_iter().map(|line| line.text).collect();
        assert_eq!(lines, ["AVA next\tcell", "below"]);
    }

    #[test]
    fn text_from_right_to_left_is_in_the_order_of_reading() {
        let word = "שלום";
        let mut page = Page::new(1_000);
        // Some programs draw from left to right, the last letter first.
        draw(&mut page, &word.chars().rev().collect::<String>(), 0.0, 0.0, 1.0);
        // Others draw letter by letter to the left.
        for (at, letter) in word.chars().enumerate() {
            draw(&mut page, &letter.to_string(), 100.0 - 5.0 * at as f64, -12.0, 1.0);
        }
        for (at, letter) in word.chars().enumerate() {
            draw(&mut page, &letter.to_string(), 75.0 - 5.0 * at as f64, -12.0, 1.0);
        }
        draw(&mut page, "42", 45.0, -12.0, 1.0);
        draw(&mut page, "ש", 37.0, -12.0, 1.0);
        let lines: Vec<String> = page.into_lines().into_iter().map(|line| line.text).collect();
        assert_eq!(lines, [word.to_owned(), format!("{word} {word} 42 ש")]);
    }

    #[test]
    fn an_accent_under_its_letter_is_one_character() {
        let mut page = Page::new(1_000);
        draw(&mut page, "B", 0.0, 0.0, 1.0);
        draw(&mut page, "¨", 5.0, 0.0, 1.0);
        draw(&mut page, "a", 5.0, 0.0, 1.0);
        draw(&mut page, "n´", 10.0, 0.0, 1.0);
        draw(&mut page, "ı", 15.5, 0.0, 1.0);
        draw(&mut page, "x^2", 30.0, 0.0, 1.0);
        let lines: Vec<String> = page.into_lines().into_iter().map(|line| line.text).collect();
        assert_eq!(lines, ["Bäní x^2"]);
    }

    #[test]
    fn letters_set_apart_are_still_words() {
        let mut page = Page::new(1_000);
        let mut at = 0.0;
        for letter in "LIBRARY HOURS".chars() {
            at += if letter == ' ' { 4.5 } else { 0.0 };
            if letter != ' ' {
                draw(&mut page, &letter.to_string(), at, 0.0, 1.0);
                at += 7.0;
            }
        }
        draw(&mut page, "1", 0.0, -12.0, 1.0);
        draw(&mut page, "2", 10.0, -12.0, 1.0);
        draw(&mut page, "3", 20.0, -12.0, 1.0);
        let lines: Vec<String> = page.into_lines().into_iter().map(|line| line.text).collect();
        assert_eq!(lines, ["LIBRARY HOURS", "1 2 3"]);
    }

    #[test]
    fn bold_by_double_drawing_reads_once() {
        let mut page = Page::new(1_000);
        for (at, letter) in ["a", "a", "b", "b"].iter().enumerate() {
            let x = (at / 2) as f64 * 5.0 + (at % 2) as f64 * 0.3;
            draw(&mut page, letter, x, 0.0, 1.0);
        }
        assert_eq!(page.into_lines()[0].text, "ab");
    }

    #[test]
    fn turned_text_is_a_line_of_its_own() {
        let mut page = Page::new(1_000);
        draw(&mut page, "flat", 0.0, 0.0, 1.0);
        for (at, letter) in ["u", "p"].iter().enumerate() {
            let start = at as f64 * 5.0;
            page.glyph(&Glyph { text: letter, start, width: 5.0, height: -20.0, size: 10.0, direction: (0.0, 1.0) });
        }
        let lines: Vec<String> = page.into_lines().into_iter().map(|line| line.text).collect();
        assert_eq!(lines, ["flat", "up"]);
    }

    #[test]
    fn stops_when_full() {
        let mut page = Page::new(7);
        draw(&mut page, "ab", 0.0, 0.0, 1.0);
        assert!(!page.is_full());
        draw(&mut page, "c", 0.0, 0.0, 1.0);
        assert!(page.is_full());
        assert_eq!(page.into_lines()[0].text, "ab");
    }

    #[test]
    fn a_line_drawn_twice_reads_once() {
        let mut page = Page::new(1_000);
        draw(&mut page, "shadow", 0.0, 0.0, 1.0);
        draw(&mut page, "shadow", 0.4, -0.4, 1.0);
        draw(&mut page, "shadow", 0.0, -12.0, 1.0);
        assert_eq!(page.into_lines().len(), 2);
    }

    #[test]
    fn a_layer_goes_on_in_the_lines_below_it() {
        let mut page = Page::new(1_000);
        draw(&mut page, "Name:", 0.0, 700.0, 1.0);
        draw(&mut page, "City:", 0.0, 680.0, 1.0);
        let mut values = Page::new(1_000);
        draw(&mut values, "Northwick", 30.0, 681.0, 1.0);
        draw(&mut values, "Ada", 80.0, 701.0, 1.0);
        draw(&mut values, "note", 0.0, 600.0, 1.0);
        page.place(values);
        let lines: Vec<String> = page.into_lines().into_iter().map(|line| line.text).collect();
        assert_eq!(lines, ["Name:\tAda", "City: Northwick", "note"]);
    }
}
