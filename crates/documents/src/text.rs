//! Plain text.

use crate::encoding::{Decoded, decode, looks_binary};

use super::{
    model::{ExtractError, Extracted, Format, Options},
    sink::Sink,
};

/// Reads plain text in any encoding. `cut` says that the file goes on after these bytes.
pub(super) fn extract(bytes: &[u8], cut: bool, options: &Options) -> Result<Extracted, ExtractError> {
    if looks_binary(bytes) {
        return Err(ExtractError::Unsupported("it is not text but binary data".to_owned()));
    }
    let Decoded { text, encoding, warnings } = decode(bytes, cut);
    let mut sink = Sink::new(options.max_output_bytes);
    sink.verbatim(&text);
    let (text, full) = sink.finish();
    let mut extracted = Extracted::of(Format::Text, text, cut || full);
    extracted.encoding = Some(encoding.name().to_owned());
    extracted.warnings = warnings;
    Ok(extracted)
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
