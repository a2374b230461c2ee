//! Plain text.

use super::{
    decode::{decode, utf16},
    model::{ExtractError, Extracted, Format, Options},
    sink::Sink,
};

/// Reads plain text in any encoding. `cut` says that the file goes on after these bytes.
pub(super) fn extract(bytes: &[u8], cut: bool, options: &Options) -> Result<Extracted, ExtractError> {
    if looks_binary(bytes) {
        return Err(ExtractError::Unsupported("it is not text but binary data".to_owned()));
    }
    let (decoded, encoding) = decode(bytes);
    let decoded = if cut { decoded.trim_end_matches(char::REPLACEMENT_CHARACTER) } else { &decoded };
    let mut sink = Sink::new(options.max_output_bytes);
    sink.verbatim(decoded);
    let (text, full) = sink.finish();
    let mut extracted = Extracted::of(Format::Text, text, cut || full);
    extracted.encoding = Some(encoding.to_owned());
    Ok(extracted)
}

/// Whether the first bytes hold what no text holds: zeros outside UTF-16, or many control characters.
pub(super) fn looks_binary(bytes: &[u8]) -> bool {
    let sample = &bytes[..bytes.len().min(8_192)];
    if sample.starts_with(b"\xff\xfe") || sample.starts_with(b"\xfe\xff") || utf16(sample).is_some() {
        return false;
    }
    let control = |byte: &&u8| **byte < 0x20 && !matches!(**byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b);
    let controls = sample.iter().filter(control).count();
    sample.contains(&0) || controls * 20 > sample.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_text_and_refuses_binary() {
        let read = extract("Grüße\r\nan alle\n".as_bytes(), false, &Options::default()).unwrap();
        assert_eq!((read.text.as_str(), read.words, read.characters), ("Grüße\nan alle", 3, 13));
        assert!(matches!(extract(b"a\0\x01\x02b", false, &Options::default()), Err(ExtractError::Unsupported(_))));
    }

    #[test]
    fn an_empty_file_is_an_empty_text() {
        let read = extract(b"", false, &Options::default()).unwrap();
        assert_eq!((read.text.as_str(), read.words, read.truncated), ("", 0, false));
    }

    #[test]
    fn a_cut_in_the_middle_of_a_character_leaves_no_mark() {
        let read = extract(b"caf\xc3", true, &Options::default()).unwrap();
        assert_eq!((read.text.as_str(), read.truncated), ("caf", true));
    }
}
