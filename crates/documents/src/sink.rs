//! Bounded collection of text, with white space and control characters tidied.

/// Text up to a limit, with at most one blank between words and one empty line between paragraphs.
pub(super) struct Sink {
    text: String,
    limit: usize,
    full: bool,
    gap: Gap,
}

/// The white space that is due before the next visible character; the strongest wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    None,
    Blank,
    Tab,
    Line,
    Paragraph,
}

impl Sink {
    /// Makes an empty text that takes `limit` bytes.
    pub(super) fn new(limit: usize) -> Sink {
        Sink { text: String::new(), limit, full: false, gap: Gap::None }
    }

    /// Adds running text: any white space becomes one blank.
    pub(super) fn flow(&mut self, text: &str) {
        for character in text.chars() {
            if self.full {
                return;
            }
            if character.is_whitespace() { self.due(Gap::Blank) } else { self.visible(character) }
        }
    }

    /// Adds text whose own line breaks, tabs and blanks stay.
    pub(super) fn verbatim(&mut self, text: &str) {
        let mut blanks = 0;
        for character in text.chars() {
            match character {
                _ if self.full => return,
                '\n' => {
                    self.due(if self.gap >= Gap::Line { Gap::Paragraph } else { Gap::Line });
                    blanks = 0;
                }
                '\r' => {}
                '\t' => self.due(Gap::Tab),
                _ if character.is_whitespace() => blanks += 1,
                _ => {
                    if blanks > 0 {
                        self.settle();
                        (0..blanks).for_each(|_| self.put(' '));
                        blanks = 0;
                    }
                    self.visible(character);
                }
            }
        }
        if blanks > 0 {
            self.due(Gap::Blank);
        }
    }

    /// Begins the next cell of a row.
    pub(super) fn tab(&mut self) {
        self.due(Gap::Tab);
    }

    /// Begins a new line.
    pub(super) fn line(&mut self) {
        self.due(Gap::Line);
    }

    /// Begins a new paragraph.
    pub(super) fn paragraph(&mut self) {
        self.due(Gap::Paragraph);
    }

    /// Says whether the limit has been reached and something was left out.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// Returns how many more bytes fit.
    pub(super) fn room(&self) -> usize {
        self.limit.saturating_sub(self.text.len())
    }

    /// Returns the length so far, including the pending gap when something precedes it.
    pub(super) fn next_offset(&mut self) -> usize {
        self.settle();
        self.text.len()
    }

    /// Returns the text, and whether it was cut.
    pub(super) fn finish(self) -> (String, bool) {
        (self.text, self.full)
    }

    fn due(&mut self, gap: Gap) {
        self.gap = self.gap.max(gap);
    }

    fn visible(&mut self, character: char) {
        // Invisible marks and the replacement of bytes that no text has help no reader.
        if character.is_control() || matches!(character, '\u{ad}' | '\u{200b}' | '\u{2060}' | '\u{feff}') {
            return;
        }
        self.settle();
        match ligature(character) {
            Some(letters) => letters.chars().for_each(|letter| self.put(letter)),
            None => self.put(character),
        }
    }

    fn settle(&mut self) {
        let gap = std::mem::replace(&mut self.gap, Gap::None);
        if self.text.is_empty() {
            return;
        }
        match gap {
            Gap::None => {}
            Gap::Blank => self.put(' '),
            Gap::Tab => self.put('\t'),
            Gap::Line => self.put('\n'),
            Gap::Paragraph => {
                self.put('\n');
                self.put('\n');
            }
        }
    }

    fn put(&mut self, character: char) {
        if self.full || self.text.len() + character.len_utf8() > self.limit {
            self.full = true;
            return;
        }
        self.text.push(character);
    }
}

/// Returns the letters of a typographic ligature, so that words can be found.
fn ligature(character: char) -> Option<&'static str> {
    Some(match character {
        '\u{fb00}' => "ff",
        '\u{fb01}' => "fi",
        '\u{fb02}' => "fl",
        '\u{fb03}' => "ffi",
        '\u{fb04}' => "ffl",
        '\u{fb05}' | '\u{fb06}' => "st",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(limit: usize, fill: impl FnOnce(&mut Sink)) -> (String, bool) {
        let mut sink = Sink::new(limit);
        fill(&mut sink);
        sink.finish()
    }

    #[test]
    fn tidies_white_space_and_marks() {
        let (text, cut) = collect(100, |sink| {
            sink.flow("  one \n two\u{ad}s \u{fb01}ve");
            sink.line();
            sink.paragraph();
            sink.flow(" \0next\u{feff} ");
        });
        assert_eq!((text.as_str(), cut), ("one twos five\n\nnext", false));
    }

    #[test]
    fn keeps_lines_of_verbatim_text() {
        let (text, _) = collect(100, |sink| sink.verbatim("a\r\n  b\n\n\n\nc\td  \ne"));
        assert_eq!(text, "a\n  b\n\nc\td\ne");
    }

    #[test]
    fn stops_at_the_limit_on_a_character_boundary() {
        assert_eq!(collect(4, |sink| sink.flow("aéßx")), ("aé".to_owned(), true));
        assert_eq!(collect(3, |sink| sink.flow("aé  ")), ("aé".to_owned(), false));
    }
}
