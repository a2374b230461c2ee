//! Untrusted texts that are shown to people: without characters that change how other text is shown.

/// Tells whether a character is invisible and changes how its neighbours are shown: marks of direction, spaces without
/// width, separators of lines, and tags.
#[must_use]
pub fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Cleans one line of text and trims it. Control and deceptive characters are removed; each run of line breaks and tabs
/// becomes a space.
#[must_use]
pub fn line(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}') {
            if !plain.ends_with(' ') {
                plain.push(' ');
            }
        } else if !c.is_control() && !is_deceptive(c) {
            plain.push(c);
        }
    }
    plain.trim().to_owned()
}

/// Cleans text of several lines. Control characters other than line breaks and tabs, and deceptive characters, are
/// removed.
#[must_use]
pub fn lines(text: &str) -> String {
    text.chars().filter(|c| matches!(c, '\n' | '\t') || !(c.is_control() || is_deceptive(*c))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_deceive_is_left_out_and_the_rest_stays() {
        for (given, one, many) in [
            ("CEO\u{202e}\0<b>", "CEO<b>", "CEO<b>"),
            ("\u{2066}a\u{2069}\u{200f}b\u{feff}", "ab", "ab"),
            (" a\r\n\tb ", "a b", " a\n\tb "),
            ("\u{1b}[31mred\u{7f}\u{9b}", "[31mred", "[31mred"),
            ("a\u{2028}b", "a b", "ab"),
            // Letters of any script, joiners of emoji and accents are text.
            (
                "Zoë 李 نور 👩\u{200d}🚀 e\u{301}",
                "Zoë 李 نور 👩\u{200d}🚀 e\u{301}",
                "Zoë 李 نور 👩\u{200d}🚀 e\u{301}",
            ),
        ] {
            assert_eq!((line(given).as_str(), lines(given).as_str()), (one, many), "{given:?}");
        }
    }
}
