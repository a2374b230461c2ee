//! Estimate of the memory that JSON text takes once it is read into values.

/// Bytes of one value, its share of a list that doubles as it grows, and the digits of a number. A
/// `serde_json::Value` has 72 bytes.
pub const VALUE_BYTES: u64 = 112;
/// Bytes of one field of an object besides its value: the name, its hash, its place in the index.
pub const FIELD_BYTES: u64 = 96;

/// Returns the bytes of memory that the values of a JSON document take besides its text.
#[must_use]
pub fn weight(json: &[u8]) -> u64 {
    let (mut weight, mut rest) = (0_u64, json);
    loop {
        let text = rest.iter().position(|byte| *byte == b'"').unwrap_or(rest.len());
        for byte in &rest[..text] {
            weight += match byte {
                b',' | b'[' | b'{' => VALUE_BYTES,
                b':' => FIELD_BYTES,
                _ => 0,
            };
        }
        let Some(inside) = rest.get(text + 1..) else { return weight };
        rest = &inside[string_end(inside)..];
    }
}

/// Returns where the rest of a document begins after a string; `text` starts behind the opening quote.
fn string_end(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(next) = text.get(at..).and_then(|rest| rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))) {
        at += next;
        if text[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_weigh_and_texts_do_not() {
        assert_eq!(weight(b"[0,0,0]"), 3 * VALUE_BYTES);
        assert_eq!(weight(br#"{"a":1,"b":[]}"#), 3 * VALUE_BYTES + 2 * FIELD_BYTES);
        assert_eq!(weight(br#"["a,[{:\",[\\",1]"#), 2 * VALUE_BYTES);
        for cut in [&b"\"a"[..], b"\"", b"\"\\", b"\"\\\"", b""] {
            assert_eq!(weight(cut), 0, "{cut:?}");
        }
    }
}
