//! A repair that the library does not make: streams without their end mark.

use memchr::memmem::Finder;

const END_OF_STREAM: &[u8] = b"\nendstream\n";

/// Adds the end marks that streams lack, in front of the end of their objects or of the file. `None` when every stream
/// has its mark.
pub(super) fn close_streams(bytes: &[u8]) -> Option<Vec<u8>> {
    let (begin, end, object) = (Finder::new(b"stream"), Finder::new(b"endstream"), Finder::new(b"endobj"));
    let after = |finder: &Finder<'_>, from: usize| finder.find(&bytes[from..]).map(|at| from + at);
    let mut out = Vec::new();
    let (mut copied, mut at) = (0, 0);
    let (mut next_end, mut next_object) = (after(&end, 0), after(&object, 0));
    while let Some(start) = after(&begin, at) {
        at = start + b"stream".len();
        let is_begin =
            bytes.get(at).is_some_and(|byte| matches!(byte, b'\r' | b'\n')) && !bytes[..start].ends_with(b"end");
        if !is_begin {
            continue;
        }
        // Each mark is looked for once, however many streams there are.
        if next_end.is_some_and(|found| found < at) {
            next_end = after(&end, at);
        }
        if next_object.is_some_and(|found| found < at) {
            next_object = after(&object, at);
        }
        let place = match (next_end, next_object) {
            (Some(end), Some(object)) if end < object => continue,
            (Some(_), None) => continue,
            (_, Some(object)) => object,
            (None, None) => bytes.len(),
        };
        out.extend_from_slice(&bytes[copied..place]);
        out.extend_from_slice(END_OF_STREAM);
        (copied, at) = (place, place);
    }
    if out.is_empty() {
        return None;
    }
    out.extend_from_slice(&bytes[copied..]);
    if next_object.is_none() {
        out.extend_from_slice(b"endobj\n");
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_get_the_ends_that_they_lack() {
        let close = |text: &str| close_streams(text.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(close("1 0 obj <<>> stream\nab\nendstream endobj"), None);
        assert_eq!(close("no streams at all"), None);
        assert_eq!(
            close("1 0 obj <<>> stream\nab endobj 2 0 obj <<>> stream\ncd\nendstream endobj").as_deref(),
            Some("1 0 obj <<>> stream\nab \nendstream\nendobj 2 0 obj <<>> stream\ncd\nendstream endobj")
        );
        assert_eq!(
            close("1 0 obj <<>> stream\r\nab").as_deref(),
            Some("1 0 obj <<>> stream\r\nab\nendstream\nendobj\n")
        );
    }
}
