//! Bytes of unknown encoding to characters.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, ISO_2022_JP, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// Bytes of a long text that are read to guess its encoding.
const LOOKED_AT: usize = 1 << 20;

/// Minimum of bytes beyond ASCII for the detector of single-byte encodings; with fewer it can only guess.
const FEW: usize = 4;

/// Decoded text, and its encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// The text, without a byte order mark.
    pub text: String,
    /// The encoding that was used.
    pub encoding: &'static Encoding,
    /// Warnings for a reader of the text.
    pub warnings: Vec<String>,
}

/// Decodes text. A byte order mark decides; then UTF-8, if all but a few bytes are valid; then UTF-16 by its pattern;
/// then statistics. `goes_on` says that the file has more than these bytes.
pub(crate) fn decode(bytes: &[u8], goes_on: bool) -> Decoded {
    match Encoding::for_bom(bytes) {
        Some((encoding, mark)) => decode_as(&bytes[mark..], encoding, goes_on),
        None => decode_as(bytes, guess(bytes, goes_on), goes_on),
    }
}

/// Decodes text that carries a label. A byte order mark outweighs the label, and so do bytes that cannot be UTF-8.
/// `None` when the label names no encoding.
pub(crate) fn decode_labelled(bytes: &[u8], label: &str, goes_on: bool) -> Option<Decoded> {
    let labelled = Encoding::for_label(label.as_bytes())?;
    if Encoding::for_bom(bytes).is_some() {
        return Some(decode(bytes, goes_on));
    }
    // A label that can be read byte by byte does not stand in UTF-16.
    let labelled = if labelled == UTF_16LE || labelled == UTF_16BE { UTF_8 } else { labelled };
    if labelled != UTF_8 || Utf8Look::of(bytes).is_utf8(goes_on) {
        return Some(decode_as(bytes, labelled, goes_on));
    }
    let mut decoded = decode_as(bytes, guess(bytes, goes_on), goes_on);
    decoded.warnings.push(format!("it says that it is {label}, and it was read as {}", decoded.encoding.name()));
    Some(decoded)
}

fn decode_as(bytes: &[u8], encoding: &'static Encoding, goes_on: bool) -> Decoded {
    let (text, had_errors) = encoding.decode_without_bom_handling(bytes);
    let mut text = text.into_owned();
    let mut warnings = Vec::new();
    if encoding == UTF_8 {
        let look = Utf8Look::of(bytes);
        if look.cut && goes_on {
            text.truncate(text.trim_end_matches(char::REPLACEMENT_CHARACTER).len());
        }
        warnings.extend(look.warning(goes_on));
    } else if had_errors && !goes_on {
        let count = text.matches(char::REPLACEMENT_CHARACTER).count();
        warnings.push(format!("{count} characters are not valid {} and are shown as U+FFFD", encoding.name()));
    }
    Decoded { text, encoding, warnings }
}

fn guess(bytes: &[u8], goes_on: bool) -> &'static Encoding {
    if let Some(encoding) = utf16(bytes) {
        return encoding;
    }
    let shifts = bytes.windows(2).any(|pair| pair == b"\x1b$");
    if !shifts && Utf8Look::of(bytes).is_utf8(goes_on) {
        return UTF_8;
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(&bytes[..bytes.len().min(LOOKED_AT)], bytes.len() <= LOOKED_AT);
    let found = detector.guess(None, Utf8Detection::Deny);
    if shifts && found != ISO_2022_JP && Utf8Look::of(bytes).is_utf8(goes_on) {
        return UTF_8;
    }
    let few = bytes.iter().filter(|byte| !byte.is_ascii()).count() < FEW;
    if few && found.is_single_byte() { WINDOWS_1252 } else { found }
}

/// Counts of the valid and invalid UTF-8 in a text.
#[derive(Debug, Default)]
struct Utf8Look {
    /// Bytes of valid characters longer than one byte. Each byte beyond the second of a character counts double:
    /// another encoding is less likely to produce it by chance.
    evidence: usize,
    /// Sequences that are not UTF-8.
    broken: usize,
    /// The position of the first invalid sequence.
    first: usize,
    /// Whether the text ends within a character.
    cut: bool,
}

impl Utf8Look {
    fn of(bytes: &[u8]) -> Utf8Look {
        let mut look = Utf8Look::default();
        let mut at = 0;
        for chunk in bytes.utf8_chunks() {
            let valid = chunk.valid();
            look.evidence += valid
                .chars()
                .map(|letter| letter.len_utf8())
                .filter(|&length| length > 1)
                .map(|length| 2 * length - 3)
                .sum::<usize>();
            at += valid.len();
            let invalid = chunk.invalid();
            if !invalid.is_empty() {
                if at + invalid.len() == bytes.len() && is_begun(invalid) {
                    look.cut = true;
                } else {
                    look.first = if look.broken == 0 { at } else { look.first };
                    look.broken += 1;
                }
                at += invalid.len();
            }
        }
        look
    }

    /// Says whether UTF-8 is the most likely encoding. In other encodings at least as many bytes are invalid as happen
    /// to be valid; in GBK, whose pairs often look like two-byte characters, about equally many.
    fn is_utf8(&self, goes_on: bool) -> bool {
        match (self.broken, self.cut) {
            (0, false) => true,
            (0, true) => goes_on || self.evidence > 0,
            (broken, _) => self.evidence > 0 && broken <= 1 + self.evidence / 4,
        }
    }

    fn warning(&self, goes_on: bool) -> Option<String> {
        let end = if self.cut && !goes_on { "it ends in the middle of a character" } else { "" };
        let middle = match self.broken {
            0 => String::new(),
            1 => format!("1 place is not valid UTF-8 and is shown as U+FFFD: byte {}", self.first),
            count => {
                format!("{count} places are not valid UTF-8 and are shown as U+FFFD, the first at byte {}", self.first)
            }
        };
        let parts: Vec<&str> = [middle.as_str(), end].into_iter().filter(|part| !part.is_empty()).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// Whether these bytes at the end of a text begin a character of UTF-8.
fn is_begun(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// Recognises UTF-16 without a mark. Text in Latin letters has a zero in nearly every second byte, always on one side;
/// text in other scripts has some, for its blanks and line ends, and reads as letters in one byte order only.
fn utf16(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = &bytes[..bytes.len().min(LOOKED_AT) & !1];
    if head.len() < 4 || !head.contains(&0) {
        return None;
    }
    let pairs = head.len() / 2;
    let zeros = |side: usize| head.iter().skip(side).step_by(2).filter(|&&byte| byte == 0).count();
    let (first, second) = (zeros(0), zeros(1));
    if second * 2 > pairs && first * 50 < pairs {
        return Some(UTF_16LE);
    }
    if first * 2 > pairs && second * 50 < pairs {
        return Some(UTF_16BE);
    }
    // Letters of other encodings in pairs look like Chinese.
    let letters = head.iter().filter(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()).count();
    if letters * 100 > head.len() * 85 {
        return None;
    }
    let read = |unit: fn([u8; 2]) -> u16| share_of_letters(head.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])));
    let (little, big) = (read(u16::from_le_bytes), read(u16::from_be_bytes));
    match (little > 95, big > 95) {
        (true, false) => Some(UTF_16LE),
        (false, true) => Some(UTF_16BE),
        _ => None,
    }
}

/// Returns the percentage of units that are letters and marks of ordinary text.
fn share_of_letters(units: impl Iterator<Item = u16>) -> usize {
    let (mut all, mut good) = (0, 0);
    for unit in units {
        all += 1;
        let is_good = matches!(
            unit,
            0x09 | 0x0a | 0x0d | 0x20..=0x7e | 0xa0..=0x24f | 0x370..=0x6ff | 0x900..=0x97f | 0xe00..=0xe7f
                | 0x2010..=0x2027 | 0x3000..=0x30ff | 0x4e00..=0x9fff | 0xac00..=0xd7a3 | 0xff00..=0xffef
        );
        good += usize::from(is_good);
    }
    good * 100 / all.max(1)
}

/// Says whether the first bytes hold what text never holds: zeros outside UTF-16, or many control characters.
pub(crate) fn looks_binary(bytes: &[u8]) -> bool {
    let sample = &bytes[..bytes.len().min(8_192)];
    let is_marked = Encoding::for_bom(sample).is_some_and(|(encoding, _)| encoding != UTF_8);
    if is_marked || utf16(sample).is_some() {
        return false;
    }
    // Escape begins the shifts of ISO-2022-JP and the colours of terminals; 0x1a ends files of old systems.
    let strange = |byte: &&u8| **byte < 0x20 && !matches!(**byte, b'\t' | b'\n' | 0x0b | 0x0c | b'\r' | 0x1a | 0x1b);
    sample.contains(&0) || sample.iter().filter(strange).count() * 20 > sample.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use encoding_rs::{BIG5, EUC_JP, EUC_KR, GBK, ISO_8859_2, KOI8_R, SHIFT_JIS, WINDOWS_1251};

    const GERMAN: &str = "Die Bibliothek öffnet um neun Uhr. Größe und Maß stimmen überein, sagt Jürgen. ";
    const JAPANESE: &str = "図書館の年次報告書です。\n来館者数は昨年より増えました。新しい本も多く入りました。\n";
    const CHINESE: &str = "图书馆每年发布报告。\n今年的读者比去年多。模型可以阅读这些文件。\n";
    const RUSSIAN: &str = "Библиотека открывается в девять часов. Читателей стало больше. ";

    fn read(bytes: &[u8]) -> (String, &'static str, usize) {
        let decoded = decode(bytes, false);
        (decoded.text, decoded.encoding.name(), decoded.warnings.len())
    }

    #[test]
    fn names_the_encoding_it_used() {
        for (bytes, text, encoding) in [
            ("naïve".as_bytes(), "naïve", "UTF-8"),
            (b"na\xefve", "naïve", "windows-1252"),
            (b"\xff\xfea\0b\0", "ab", "UTF-16LE"),
            (b"\0a\0b\0c", "abc", "UTF-16BE"),
            (b"\xef\xbb\xbfa", "a", "UTF-8"),
            (b"", "", "UTF-8"),
        ] {
            assert_eq!(read(bytes), (text.to_owned(), encoding, 0));
        }
        assert_eq!(decode_labelled(b"\xa4", "iso-8859-15", false).unwrap().text, "€");
        assert!(decode_labelled(b"a", "no-such", false).is_none());
    }

    #[test]
    fn a_broken_byte_anywhere_leaves_utf8_as_it_is() {
        let whole = GERMAN.repeat(40);
        for at in (0..whole.len()).step_by(97) {
            let mut bytes = whole.clone().into_bytes();
            bytes[at] = 0xff;
            let (text, encoding, warnings) = read(&bytes);
            assert_eq!((encoding, warnings), ("UTF-8", 1), "at {at}");
            assert!(text.contains('\u{fffd}') && text.contains("Größe und Maß"), "at {at}");
        }
    }

    #[test]
    fn a_cut_at_any_byte_leaves_utf8_as_it_is() {
        for text in ["Very good 😀", "Größe", JAPANESE] {
            for end in 1..text.len() {
                let (read, encoding, warnings) = read(&text.as_bytes()[..end]);
                let whole = text.is_char_boundary(end);
                let evidence = text[..text.floor_char_boundary(end)].chars().any(|letter| letter.len_utf8() > 1);
                if whole || evidence {
                    assert_eq!((encoding, warnings), ("UTF-8", usize::from(!whole)), "{read}");
                    assert_eq!(read.ends_with('\u{fffd}'), !whole, "{read}");
                }
            }
        }
        let goes_on = decode("Größe 😀".as_bytes().get(..10).unwrap(), true);
        assert_eq!((goes_on.text.as_str(), goes_on.warnings.len()), ("Größe ", 0));
    }

    #[test]
    fn other_encodings_are_still_told_apart() {
        for (text, encoding) in [
            (JAPANESE, SHIFT_JIS),
            (JAPANESE, EUC_JP),
            (JAPANESE, ISO_2022_JP),
            (CHINESE, GBK),
            ("图书馆九点开门，可以借书。", GBK),
            ("圖書館每年發布報告。\n今年的讀者比去年多。\n", BIG5),
            ("도서관은 매년 보고서를 발표합니다. 올해는 독자가 더 많았습니다.\n", EUC_KR),
            (RUSSIAN, WINDOWS_1251),
            (RUSSIAN, KOI8_R),
            (GERMAN, WINDOWS_1252),
            ("Příliš žluťoučký kůň úpěl ďábelské ódy. Čtenářů přibylo, knih také. ", ISO_8859_2),
        ] {
            let long = text.repeat(4);
            let (bytes, _, lossy) = encoding.encode(&long);
            assert!(!lossy);
            let (read, name, _) = read(&bytes);
            assert_eq!(read, long, "{} read as {name}", encoding.name());
        }
        let short = "Библиотека открывается в девять часов";
        assert_eq!(read(&KOI8_R.encode(short).0).0, short);
    }

    #[test]
    fn utf16_needs_no_mark() {
        for text in [GERMAN, JAPANESE, CHINESE, RUSSIAN] {
            for big in [false, true] {
                let units = text.encode_utf16();
                let bytes: Vec<u8> =
                    units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect();
                let encoding = if big { "UTF-16BE" } else { "UTF-16LE" };
                assert_eq!(read(&bytes), (text.to_owned(), encoding, 0));
                assert!(!looks_binary(&bytes));
            }
        }
    }

    #[test]
    fn a_wrong_label_is_not_believed() {
        let (bytes, ..) = WINDOWS_1252.encode(GERMAN);
        let decoded = decode_labelled(&bytes, "utf-8", false).unwrap();
        assert_eq!((decoded.text.as_str(), decoded.encoding.name()), (GERMAN, "windows-1252"));
        assert_eq!(decoded.warnings, ["it says that it is utf-8, and it was read as windows-1252"]);
        assert_eq!(decode_labelled(b"plain", "utf-16", false).unwrap().text, "plain");
    }
}
