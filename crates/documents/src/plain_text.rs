//! Plain text out of bytes in any encoding.

use encoding_rs::Encoding;
use kapelle_core::{Category, TaskError};

use crate::encoding::{self, Decoded, looks_binary};

/// Characters of a long file that are read to tell whether it is text.
const LOOKED_AT: usize = 256 << 10;

/// Text, and its encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainText {
    /// The text, with line ends as `\n`.
    pub text: String,
    /// The encoding's name, such as `UTF-8` or `windows-1252`.
    pub encoding: &'static str,
    /// Words, counted by white space.
    pub words: usize,
    /// Characters.
    pub characters: usize,
    /// Warnings for a reader of the text, such as bytes that are not valid in its encoding.
    pub warnings: Vec<String>,
}

impl PlainText {
    /// Counts a text that is already decoded.
    ///
    /// # Errors
    /// `invalid_input` when the text is empty.
    pub fn of(text: String, encoding: &'static str) -> Result<PlainText, TaskError> {
        let words = text.split_whitespace().count();
        if words == 0 {
            return Err(invalid("the document is empty"));
        }
        let characters = text.chars().count();
        Ok(PlainText { text, encoding, words, characters, warnings: Vec::new() })
    }
}

/// Decodes bytes as text, in whatever encoding they are.
///
/// # Errors
/// `invalid_input` when the bytes are not text, or empty.
pub fn decode(bytes: &[u8]) -> Result<PlainText, TaskError> {
    if has_other_format(bytes) || looks_binary(bytes) {
        return Err(binary());
    }
    let Decoded { text, encoding, warnings } = encoding::decode(bytes, false);
    let read = finish(&text, encoding)?;
    Ok(PlainText { warnings, ..read })
}

fn finish(text: &str, encoding: &'static Encoding) -> Result<PlainText, TaskError> {
    let mut characters = 0usize;
    let mut strange = 0usize;
    for c in text.chars().take(LOOKED_AT) {
        characters += 1;
        let control = c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{b}' | '\u{c}' | '\u{85}');
        if control || c == char::REPLACEMENT_CHARACTER {
            strange += 1;
        }
    }
    // A few damaged characters are common in old files; at one in ten the file is not text.
    if strange * 10 > characters {
        return Err(binary());
    }
    PlainText::of(text.replace("\r\n", "\n").replace('\r', "\n"), encoding.name())
}

/// Says whether the file begins like a known binary format.
fn has_other_format(bytes: &[u8]) -> bool {
    const BEGINNINGS: &[&[u8]] =
        &[b"%PDF-", b"PK\x03\x04", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"\x1f\x8b", b"\x7fELF", b"\xd0\xcf\x11\xe0"];
    BEGINNINGS.iter().any(|beginning| bytes.starts_with(beginning))
}

fn binary() -> TaskError {
    invalid("looks like binary data, not text: give a text file, or name its media type so that it is read as such")
}

fn invalid(message: &str) -> TaskError {
    TaskError::new(Category::InvalidInput, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use encoding_rs::{SHIFT_JIS, WINDOWS_1252};
    use proptest::prelude::*;

    const JAPANESE: &str = "図書館の年次報告書です。来館者数は昨年より増えました。新しい本も多く入りました。";
    const FRENCH: &str = "Le café est près de l’église, où l’été a été très agréable à Genève.\n";

    #[test]
    fn every_encoding_gives_the_same_text() {
        let utf16 = |big: bool, mark: bool| -> Vec<u8> {
            let units = mark.then_some(0xfeff).into_iter().chain(FRENCH.encode_utf16());
            units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
        };
        for (bytes, encoding) in [
            (FRENCH.as_bytes().to_vec(), "UTF-8"),
            ([b"\xef\xbb\xbf", FRENCH.as_bytes()].concat(), "UTF-8"),
            (utf16(false, true), "UTF-16LE"),
            (utf16(true, true), "UTF-16BE"),
            (utf16(false, false), "UTF-16LE"),
            (utf16(true, false), "UTF-16BE"),
            (WINDOWS_1252.encode(FRENCH).0.into_owned(), "windows-1252"),
        ] {
            let read = decode(&bytes).unwrap();
            assert_eq!((read.text.as_str(), read.encoding), (FRENCH, encoding));
        }
        let read = decode(&SHIFT_JIS.encode(JAPANESE).0).unwrap();
        assert_eq!((read.text.as_str(), read.encoding), (JAPANESE, "Shift_JIS"));
    }

    #[test]
    fn words_characters_and_line_ends_are_counted_alike_everywhere() {
        let read = decode("one two\r\nthrée\rfour".as_bytes()).unwrap();
        assert_eq!((read.text.as_str(), read.words, read.characters), ("one two\nthrée\nfour", 4, 18));
    }

    #[test]
    fn binary_and_empty_files_are_refused_with_their_reason() {
        let noise: Vec<u8> = (0..4_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for bytes in [&b"%PDF-1.7\nabc"[..], b"PK\x03\x04abc", b"\0\0\0\0", b"text\0with a zero", &noise] {
            let error = decode(bytes).unwrap_err();
            assert!(error.message.contains("looks like binary data"), "{error}");
            assert!(!error.retryable);
        }
        for bytes in [&b""[..], b" \n\t ", b"\xef\xbb\xbf", b"\xff\xfe"] {
            assert!(decode(bytes).unwrap_err().message.contains("the document is empty"));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_can_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            if let Ok(read) = decode(&bytes) {
                prop_assert!(read.words > 0);
            }
        }

        #[test]
        fn utf8_without_controls_comes_back(text in "[a-zà-ž ,.]{1,200}") {
            prop_assume!(!text.trim().is_empty());
            prop_assert_eq!(decode(text.as_bytes()).unwrap().text, text);
        }
    }
}
