//! The glyphs of one page, gathered into lines.
//!
//! A PDF places glyphs; it knows neither words nor lines. Those are found again from the places: a step down begins a
//! line, a step right wider than the letters leave by themselves is a blank.

use pdf_extract::{MediaBox, OutputDev, OutputError, Transform};

/// A gap wider than this share of the font size is a blank between words. Kerning stays below it.
const BLANK: f64 = 0.15;

/// A gap wider than this share is a column.
const COLUMN: f64 = 1.8;

/// One line: a run of glyphs on one baseline.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    /// What it says.
    pub text: String,
    /// Where it starts and ends along the baseline.
    pub start: f64,
    /// See `start`.
    pub end: f64,
    /// The height of its baseline; it falls from line to line.
    pub height: f64,
    /// The size of most of its glyphs.
    pub size: f64,
    /// How many glyphs in a row have that size.
    sized: usize,
    /// The size of the latest glyphs, and how many in a row have it.
    run: (f64, usize),
    /// The direction of its baseline.
    direction: (f64, f64),
}

/// The lines of a page, in the order in which the page draws them.
pub(super) struct Page {
    lines: Vec<Line>,
    room: usize,
    full: bool,
}

impl Page {
    /// An empty page that takes this many bytes of text.
    pub(super) fn new(limit: usize) -> Page {
        Page { lines: Vec::new(), room: limit, full: false }
    }

    /// Whether there was more text than room.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// The lines that say something.
    pub(super) fn into_lines(self) -> Vec<Line> {
        self.lines.into_iter().filter(|line| !line.text.trim().is_empty()).collect()
    }

    fn glyph(&mut self, glyph: &Glyph<'_>) {
        if let Some(line) = self.lines.last_mut()
            && line.continues_with(glyph)
        {
            line.add(glyph);
            return;
        }
        self.lines.push(Line {
            text: glyph.text.to_owned(),
            start: glyph.start,
            end: glyph.start + glyph.width,
            height: glyph.height,
            size: glyph.size,
            sized: 1,
            run: (glyph.size, 1),
            direction: glyph.direction,
        });
    }
}

/// A glyph, its place measured along and across its own baseline.
struct Glyph<'a> {
    text: &'a str,
    start: f64,
    width: f64,
    height: f64,
    size: f64,
    direction: (f64, f64),
}

impl Line {
    fn continues_with(&self, glyph: &Glyph<'_>) -> bool {
        let size = self.size.max(glyph.size);
        let turned = self.direction.0 * glyph.direction.0 + self.direction.1 * glyph.direction.1 < 0.95;
        // Half a size up or down is a superscript or a subscript; a step back is a new line or an accent.
        !turned && (glyph.height - self.height).abs() < 0.5 * size && glyph.start > self.end - 0.7 * size
    }

    fn add(&mut self, glyph: &Glyph<'_>) {
        let size = self.size.max(glyph.size);
        let gap = glyph.start - self.end;
        // Poor man's bold: the same letter again, a hair to the right.
        if gap < -0.5 * glyph.width && self.text.ends_with(glyph.text) && glyph.text != " " {
            return;
        }
        let apart = self.text.ends_with([' ', '\t']) || glyph.text.starts_with(' ');
        if gap > COLUMN * size {
            self.text.truncate(self.text.trim_end().len());
            self.text.push('\t');
        } else if gap > BLANK * size && !apart {
            self.text.push(' ');
        }
        self.text.push_str(glyph.text);
        self.run = (glyph.size, if (glyph.size - self.run.0).abs() < 0.1 { self.run.1 + 1 } else { 1 });
        if self.run.1 > self.sized {
            (self.size, self.sized) = self.run;
        }
        self.end = glyph.start + glyph.width;
    }
}

impl OutputDev for Page {
    fn begin_page(
        &mut self,
        _page: u32,
        _media: &MediaBox,
        _art: Option<(f64, f64, f64, f64)>,
    ) -> Result<(), OutputError> {
        Ok(())
    }

    fn end_page(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn output_character(
        &mut self,
        place: &Transform,
        width: f64,
        _spacing: f64,
        font_size: f64,
        text: &str,
    ) -> Result<(), OutputError> {
        let across = place.m11.hypot(place.m12);
        let size = font_size.abs() * place.m21.hypot(place.m22);
        if !(across.is_finite() && across > 0.0 && size.is_finite() && place.m31.is_finite() && place.m32.is_finite()) {
            return Ok(());
        }
        // Two bytes more for the blank and the line break that may come with it.
        match self.room.checked_sub(text.len() + 2) {
            Some(room) => self.room = room,
            None => {
                self.full = true;
                return Err(OutputError::FormatError(std::fmt::Error));
            }
        }
        let direction = (place.m11 / across, place.m12 / across);
        self.glyph(&Glyph {
            text,
            start: place.m31 * direction.0 + place.m32 * direction.1,
            width: width * font_size.abs() * across,
            height: place.m32 * direction.0 - place.m31 * direction.1,
            size,
            direction,
        });
        Ok(())
    }

    fn begin_word(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn end_word(&mut self) -> Result<(), OutputError> {
        Ok(())
    }

    fn end_line(&mut self) -> Result<(), OutputError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(page: &mut Page, text: &str, x: f64, y: f64, scale: f64) {
        let mut at = x;
        for letter in text.chars() {
            let place = Transform::row_major(scale, 0.0, 0.0, scale, at, y);
            page.output_character(&place, 0.5, 0.0, 10.0, &letter.to_string()).unwrap();
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
            let place = Transform::row_major(0.0, 1.0, -1.0, 0.0, 20.0, at as f64 * 5.0);
            page.output_character(&place, 0.5, 0.0, 10.0, letter).unwrap();
        }
        let lines: Vec<String> = page.into_lines().into_iter().map(|line| line.text).collect();
        assert_eq!(lines, ["flat", "up"]);
    }

    #[test]
    fn stops_when_full_and_ignores_glyphs_out_of_this_world() {
        let mut page = Page::new(7);
        let nowhere = Transform::row_major(f64::NAN, 0.0, 0.0, 1.0, 0.0, 0.0);
        page.output_character(&nowhere, 0.5, 0.0, 10.0, "x").unwrap();
        draw(&mut page, "ab", 0.0, 0.0, 1.0);
        assert!(page.output_character(&Transform::identity(), 0.5, 0.0, 10.0, "c").is_err());
        assert!(page.is_full());
    }
}
