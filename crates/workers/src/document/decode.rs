//! Bytes to characters.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// Of a long text, so much is looked at to guess its encoding.
const LOOKED_AT: usize = 1 << 20;

/// Decodes text of unknown encoding: a byte order mark, then what the bytes allow. Names the encoding.
pub(super) fn decode(bytes: &[u8]) -> (String, &'static str) {
    decode_as(bytes, guess(bytes))
}

/// Decodes text that somebody labelled; a byte order mark outweighs the label.
pub(super) fn decode_labelled(bytes: &[u8], label: &str) -> Option<(String, &'static str)> {
    Encoding::for_label(label.as_bytes()).map(|encoding| decode_as(bytes, encoding))
}

fn decode_as(bytes: &[u8], encoding: &'static Encoding) -> (String, &'static str) {
    let (text, used, _) = encoding.decode(bytes);
    (text.into_owned(), used.name())
}

fn guess(bytes: &[u8]) -> &'static Encoding {
    if let Some((encoding, _)) = Encoding::for_bom(bytes) {
        return encoding;
    }
    // The end may have been cut in the middle of a character.
    let broken = std::str::from_utf8(bytes).err();
    if broken.is_none_or(|error| error.error_len().is_none()) && !bytes.contains(&0) {
        return UTF_8;
    }
    utf16(bytes).unwrap_or_else(|| {
        // A few words give the detector nothing to go by.
        if bytes.len() < 64 {
            return WINDOWS_1252;
        }
        let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
        detector.feed(&bytes[..bytes.len().min(LOOKED_AT)], bytes.len() <= LOOKED_AT);
        detector.guess(None, Utf8Detection::Deny)
    })
}

/// UTF-16 without a mark: text in most scripts has a zero in every other byte, on one side only.
pub(super) fn utf16(bytes: &[u8]) -> Option<&'static Encoding> {
    let sample = &bytes[..bytes.len().min(4_096)];
    let pairs = sample.len() / 2;
    let zeros = |side: usize| sample.chunks_exact(2).filter(|pair| pair[side] == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    match pairs {
        0 | 1 => None,
        _ if even * 2 > pairs && odd == 0 => Some(UTF_16BE),
        _ if odd * 2 > pairs && even == 0 => Some(UTF_16LE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_encoding_it_used() {
        assert_eq!(decode("naïve".as_bytes()), ("naïve".to_owned(), "UTF-8"));
        assert_eq!(decode(b"na\xefve"), ("naïve".to_owned(), "windows-1252"));
        assert_eq!(decode(b"\xff\xfea\0b\0"), ("ab".to_owned(), "UTF-16LE"));
        assert_eq!(decode(b"\0a\0b\0c"), ("abc".to_owned(), "UTF-16BE"));
        assert_eq!(decode(b""), (String::new(), "UTF-8"));
        assert_eq!(decode_labelled(b"\xa4", "iso-8859-15").unwrap().0, "€");
        assert!(decode_labelled(b"a", "no-such").is_none());
    }
}
