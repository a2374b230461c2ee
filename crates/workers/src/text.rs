//! Plain text out of bytes in any encoding.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use kapelle_core::{Category, TaskError};

/// Of a long file, this much is looked at to tell its encoding.
const LOOKED_AT: usize = 256 << 10;

/// Text, and how it was read.
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
}

impl PlainText {
    /// Counts a text that is read already.
    ///
    /// # Errors
    /// `invalid_input` when there is nothing in it.
    pub fn of(text: String, encoding: &'static str) -> Result<PlainText, TaskError> {
        let words = text.split_whitespace().count();
        if words == 0 {
            return Err(invalid("the document is empty: there is no text in it"));
        }
        let characters = text.chars().count();
        Ok(PlainText { text, encoding, words, characters })
    }
}

/// Reads bytes as text: a byte order mark decides, then valid UTF-8, then UTF-16 by its zeros, then the look of it.
///
/// # Errors
/// `invalid_input` when the bytes are no text, or none at all.
pub fn decode(bytes: &[u8]) -> Result<PlainText, TaskError> {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return finish(&encoding.decode_without_bom_handling(&bytes[mark..]).0, encoding);
    }
    let head = &bytes[..bytes.len().min(LOOKED_AT)];
    if let Some(encoding) = utf16_by_zeros(head) {
        return finish(&encoding.decode_without_bom_handling(bytes).0, encoding);
    }
    if looks_binary(head) {
        return Err(binary());
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        return finish(text, UTF_8);
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(head, head.len() == bytes.len());
    let encoding = detector.guess(None, Utf8Detection::Allow);
    let (text, _) = encoding.decode_without_bom_handling(bytes);
    finish(&text, encoding)
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
    // A few damaged characters are common in old files; every tenth is no text.
    if strange * 10 > characters {
        return Err(binary());
    }
    PlainText::of(text.replace("\r\n", "\n").replace('\r', "\n"), encoding.name())
}

/// UTF-16 without a mark: text in Latin letters has a zero in nearly every second byte, always on the same side.
fn utf16_by_zeros(head: &[u8]) -> Option<&'static Encoding> {
    let head = &head[..head.len() & !1];
    if head.len() < 4 {
        return None;
    }
    let zeros = |side: usize| head.iter().skip(side).step_by(2).filter(|&&b| b == 0).count();
    let (first, second, pairs) = (zeros(0), zeros(1), head.len() / 2);
    if second * 10 > pairs * 6 && first * 50 < pairs {
        Some(UTF_16LE)
    } else if first * 10 > pairs * 6 && second * 50 < pairs {
        Some(UTF_16BE)
    } else {
        None
    }
}

/// Known beginnings of formats that are no text, and bytes that no text has.
fn looks_binary(head: &[u8]) -> bool {
    const BEGINNINGS: &[&[u8]] =
        &[b"%PDF-", b"PK\x03\x04", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"\x1f\x8b", b"\x7fELF", b"\xd0\xcf\x11\xe0"];
    if BEGINNINGS.iter().any(|beginning| head.starts_with(beginning)) {
        return true;
    }
    // Escape begins the shifts of ISO-2022-JP and the colours of terminals.
    let strange = |b: &&u8| **b < 0x20 && !matches!(**b, b'\t' | b'\n' | 0x0b | 0x0c | b'\r' | 0x1a | 0x1b);
    head.contains(&0) || head.iter().filter(strange).count() * 20 > head.len()
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
