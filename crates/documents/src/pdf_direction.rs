//! Text that runs from right to left, put into the order in which it is read.

use icu_normalizer::ComposingNormalizerBorrowed;

/// Says whether a character belongs to Hebrew, Arabic or a similar script.
pub(super) fn is_leftward(c: char) -> bool {
    let is_digit = matches!(c, '\u{660}'..='\u{669}' | '\u{6f0}'..='\u{6f9}');
    !is_digit && matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}')
}

/// Replaces letters that a font names by their shape within a word with the letters as they are written.
pub(super) fn without_shapes(letters: String) -> String {
    let is_shape = |c: char| matches!(c, '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}');
    if letters.contains(is_shape) {
        ComposingNormalizerBorrowed::new_nfkc().normalize(&letters).into_owned()
    } else {
        letters
    }
}

/// Reorders a line from visual order (left to right) to reading order.
pub(super) fn logical(line: &str) -> String {
    let leftward = line.chars().filter(|&c| is_leftward(c)).count();
    let rightward = line.chars().filter(|&c| c.is_alphabetic() && !is_leftward(c)).count();
    let mut letters: Vec<char> = line.chars().collect();
    if leftward > rightward {
        turn(&mut letters);
        turn_runs(&mut letters, |c| c.is_alphanumeric() && !is_leftward(c));
    } else {
        turn_runs(&mut letters, is_leftward);
    }
    letters.into_iter().collect()
}

/// Reverses each run from one of these letters to the last one before another kind of letter.
fn turn_runs(letters: &mut [char], is_strong: impl Fn(char) -> bool) {
    let mut at = 0;
    while at < letters.len() {
        if !is_strong(letters[at]) {
            at += 1;
            continue;
        }
        let run = letters[at..].iter().take_while(|&&c| is_strong(c) || !c.is_alphanumeric());
        let length = run.count();
        let end = (at..at + length).rev().find(|&end| is_strong(letters[end])).unwrap_or(at) + 1;
        turn(&mut letters[at..end]);
        at += length;
    }
}

fn turn(letters: &mut [char]) {
    const PAIRS: [(char, char); 4] = [('(', ')'), ('[', ']'), ('{', '}'), ('<', '>')];
    letters.reverse();
    for letter in letters {
        let other = PAIRS.iter().find_map(|&(open, close)| match *letter {
            c if c == open => Some(close),
            c if c == close => Some(open),
            _ => None,
        });
        *letter = other.unwrap_or(*letter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_turned_into_the_order_of_reading() {
        for (places, reading) in [
            ("plain (text) 1,911", "plain (text) 1,911"),
            ("םלוע םולש", "שלום עולם"),
            (
                "(\u{5dd}\u{5dc}\u{5d5}\u{5e2}) \u{5dd}\u{5d5}\u{5dc}\u{5e9}",
                "\u{5e9}\u{5dc}\u{5d5}\u{5dd} (\u{5e2}\u{5d5}\u{5dc}\u{5dd})",
            ),
            ("25.50 ריחמ", "מחיר 25.50"),
            ("ריחמ Euro 25.50 םולש", "שלום Euro 25.50 מחיר"),
            ("English and םלוע םולש mixed", "English and שלום עולם mixed"),
        ] {
            assert_eq!(logical(places), reading);
        }
    }

    #[test]
    fn shapes_of_letters_are_the_letters() {
        assert_eq!(without_shapes("\u{fe91}\u{fefb}".to_owned()), "بلا");
        assert_eq!(without_shapes("ﬁ²".to_owned()), "ﬁ²");
    }
}
