//! JSON from providers and callers that may hold text that is not valid Unicode.
//!
//! RFC 8259 allows `"\ud83d"`, half of a surrogate pair. Models that write a token at a time send such halves when an
//! emoji is split over two pieces. `serde_json` refuses them, and it refuses bytes that are not UTF-8. Both are read
//! here as U+FFFD; bytes that are passed on are never changed.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, MapAccess, SeqAccess, Visitor},
};

/// Escape that replaces half of a pair. It has as many bytes as the half.
const REPLACEMENT: &[u8; 6] = b"\\ufffd";

/// Reads a JSON value. Halves of surrogate pairs and bytes that are not UTF-8 become U+FFFD.
///
/// # Errors
/// The parser's error when it is invalid for another reason.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    match serde_json::from_slice(bytes) {
        Ok(value) => Ok(value),
        Err(error) => match mended(bytes) {
            Cow::Owned(mended) => serde_json::from_slice(&mended),
            Cow::Borrowed(_) => Err(error),
        },
    }
}

/// Replaces each half of a surrogate pair and every byte that is not UTF-8 by U+FFFD; borrows when nothing is to be
/// replaced. Positions of errors stay valid while the bytes are UTF-8.
#[must_use]
pub fn mended(bytes: &[u8]) -> Cow<'_, [u8]> {
    let text = match String::from_utf8_lossy(bytes) {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    };
    let halves = halves(&text);
    if halves.is_empty() {
        return text;
    }
    let mut whole = text.into_owned();
    for at in halves {
        whole[at..at + REPLACEMENT.len()].copy_from_slice(REPLACEMENT);
    }
    Cow::Owned(whole)
}

/// Tells whether no object in it has a key twice. Raw text that is passed on is checked for this: of two values for one
/// key, the gateway and a provider may each read another.
pub(crate) fn is_unique(text: &[u8]) -> bool {
    serde_json::from_slice::<Unique>(text).is_ok()
}

/// Any value without a repeated key.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Unique, D::Error> {
        deserializer.deserialize_any(Unique)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Unique;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_str<E>(self, _: &str) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_unit<E>(self) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Unique, A::Error> {
        while list.next_element::<Unique>()?.is_some() {}
        Ok(Unique)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            map.next_value::<Unique>()?;
            if !seen.insert(key) {
                return Err(A::Error::custom("a key stands twice"));
            }
        }
        Ok(Unique)
    }
}

/// Finds the escapes of lone halves.
fn halves(text: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = memchr::memchr(b'\\', &text[at..]) {
        at += next;
        let Some(unit) = unit(text, at) else {
            // Another escape, such as `\\`: the byte after the backslash belongs to it.
            at += 2;
            if at >= text.len() {
                break;
            }
            continue;
        };
        match unit {
            0xd800..=0xdbff if matches!(self::unit(text, at + 6), Some(0xdc00..=0xdfff)) => at += 12,
            0xd800..=0xdfff => {
                found.push(at);
                at += 6;
            }
            _ => at += 6,
        }
    }
    found
}

/// Reads the UTF-16 unit that is escaped there. Returns `None` without a `\u` and four digits.
fn unit(text: &[u8], at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn halves_of_pairs_are_read_as_the_replacement_character() {
        for (text, want) in [
            (r#""\ud83d""#, "\u{fffd}"),
            (r#""a\uDE00b""#, "a\u{fffd}b"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
            (r#""\ud83d\ude00""#, "😀"),
            (r#""\ud83d\n""#, "\u{fffd}\n"),
            (r#""\\ud83d""#, "\\ud83d"),
            (r#""\\\ud83d""#, "\\\u{fffd}"),
            (r#""\ud83dx\ude00""#, "\u{fffd}x\u{fffd}"),
        ] {
            assert_eq!(read::<Value>(text.as_bytes()).unwrap(), want, "{text}");
        }
        assert_eq!(read::<Value>(b"\"a\xed\xa0\xbdb\"").unwrap().as_str().map(|t| t.contains('\u{fffd}')), Some(true));
        for wrong in [r#""\ud8""#, r#""\uzzzz""#, "{", r#"{"a":"\ud83d"#, ""] {
            assert!(read::<Value>(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_key_that_stands_twice_is_found_at_any_depth() {
        for unique in ["1", "[1.5, true, null, -2]", r#"{"a": {"a": [{"a": "x"}, {"a": 1}]}}"#] {
            assert!(is_unique(unique.as_bytes()), "{unique}");
        }
        for twice in [r#"{"a": 1, "a": 2}"#, r#"[{"b": {"a": 1, "\u0061": 2}}]"#] {
            assert!(!is_unique(twice.as_bytes()), "{twice}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic_and_json_stays_as_it_is(bytes in prop::collection::vec(any::<u8>(), 0..60), text in ".*") {
            let _ = mended(&bytes);
            let _ = mended(&[b"\\\\u\\ud8", &bytes[..]].concat());
            let json = serde_json::to_vec(&text).unwrap();
            prop_assert!(matches!(mended(&json), Cow::Borrowed(_)));
        }
    }
}
