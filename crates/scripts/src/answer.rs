//! The answer of a script: JSON on its standard output, or the reason why it is not JSON.

use serde_json::Value;

/// Characters of a line that are shown.
const SHOWN: usize = 80;

/// Splits the output of a process into its log text and its answer: the whole output when that is JSON, else its last
/// line.
pub(super) fn divide(output: &[u8]) -> (String, Result<Value, String>) {
    let output = output.strip_prefix(b"\xef\xbb\xbf").unwrap_or(output);
    if let Ok(whole) = serde_json::from_slice(output) {
        return (String::new(), Ok(whole));
    }
    let text = String::from_utf8_lossy(output);
    let trimmed = text.trim_end();
    let at = trimmed.rfind('\n').map_or(0, |at| at + 1);
    let last = trimmed[at..].trim_start_matches('\u{feff}');
    match serde_json::from_str(last) {
        Ok(answer) if !last.contains('\u{fffd}') => (trimmed[..at].to_owned(), Ok(answer)),
        Ok(_) => (trimmed.to_owned(), Err(not_utf8(output))),
        Err(_) => (trimmed.to_owned(), Err(why_not(output, trimmed, last))),
    }
}

fn why_not(output: &[u8], text: &str, last: &str) -> String {
    if text.is_empty() {
        return "it printed nothing: print the answer as JSON in the last line".to_owned();
    }
    if last.contains('\u{fffd}') {
        return not_utf8(output);
    }
    // An answer over several lines stands alone, or begins where a line begins with a bracket.
    let mut begin = text.rfind('\n').map_or(0, |at| at + 1);
    let several = last.chars().all(|letter| matches!(letter, '}' | ']' | ' ' | ',' | '\t'));
    if several || text.starts_with(['{', '[']) {
        let opens = |line: &str| line.starts_with(['{', '[']);
        let mut starts = text.split_inclusive('\n').scan(0, |at, line| {
            *at += line.len();
            Some((*at - line.len(), line))
        });
        if let Some((start, _)) = starts.find(|(_, line)| opens(line)) {
            begin = start;
        }
    }
    let answer = &text[begin..];
    if begin > 0 && answer.contains('\n') && serde_json::from_str::<Value>(answer).is_ok() {
        return format!(
            "its answer stands on several lines behind other lines, and only the last one, `{}`, is read: print it on one line (json.dumps without indent)",
            shown(last)
        );
    }
    let line_before = text[..begin].matches('\n').count();
    format!("its last line is not JSON: {}", explain(answer, line_before))
}

fn not_utf8(output: &[u8]) -> String {
    let at = std::str::from_utf8(output).err().map_or(0, |error| error.valid_up_to());
    let before = &output[..at];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    let byte = output.get(at).copied().unwrap_or_default();
    let rest = before.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    format!(
        "its output is not UTF-8: byte 0x{byte:02X} in line {line}, column {column}, behind `{}`; print UTF-8 (PYTHONIOENCODING=utf-8)",
        shown(&String::from_utf8_lossy(rest))
    )
}

/// Explains why a text is not JSON, with the position and the beginning of its line. `lines_before` precede the text in
/// its file.
pub(super) fn explain(text: &str, lines_before: usize) -> String {
    let Err(error) = serde_json::from_str::<Value>(text) else { return "it is JSON".to_owned() };
    let (row, column) = (error.line().max(1), error.column());
    let line = text.lines().nth(row - 1).unwrap_or_default();
    // The position is that of the last byte that was read, which may be in the middle of a word.
    let mut at = column.saturating_sub(1).min(line.len());
    while !line.is_char_boundary(at) {
        at -= 1;
    }
    let is_word = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-');
    let start = line[..at]
        .rfind(|letter| !is_word(letter))
        .map_or(0, |before| before + line[before..].chars().next().map_or(1, char::len_utf8));
    let word: String = line[start..].chars().take_while(|letter| is_word(*letter)).take(40).collect();
    let found = line[at..].chars().next();
    let (what, place) = match (word.as_str(), found) {
        _ if error.is_eof() => ("it ends before it is complete".to_owned(), text.lines().last().map_or(0, str::len)),
        ("NaN" | "Infinity" | "-Infinity" | "nan" | "inf" | "-inf", _) => {
            (format!("`{word}` is not a JSON number (write null, or a string)"), start)
        }
        ("None" | "True" | "False", _) => {
            (format!("`{word}` is Python (print json.dumps(answer), not the answer itself)"), start)
        }
        ("undefined", _) => ("`undefined` is not a JSON value (write null)".to_owned(), start),
        (_, Some('\'')) => {
            ("`'`: strings need double quotes (print json.dumps(answer), not the answer itself)".to_owned(), at)
        }
        _ => {
            let said = error.to_string();
            let said = said.split(" at line ").next().unwrap_or(&said).to_owned();
            let said = if said == "trailing characters" { "more text follows the value".to_owned() } else { said };
            (said, at)
        }
    };
    let column = line.get(..place.min(line.len())).map_or(place, |before| before.chars().count()) + 1;
    let line_at = lines_before + row;
    format!("{what} at line {line_at}, column {column}: {}", shown(line))
}

fn shown(line: &str) -> String {
    let beginning: String = line.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() > SHOWN { format!("{beginning}...") } else { beginning }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_answer_is_the_whole_or_the_last_line() {
        let of = |text: &str| {
            let (said, answer) = divide(text.as_bytes());
            (said, answer.ok())
        };
        assert_eq!(of("{\"a\":\n1}\n"), (String::new(), Some(json!({ "a": 1 }))));
        assert_eq!(of("hello\n{\"a\":1}\n\n"), ("hello\n".to_owned(), Some(json!({ "a": 1 }))));
        assert_eq!(of("\u{feff}{\"a\":1}\r\n"), (String::new(), Some(json!({ "a": 1 }))));
        assert_eq!(of("hello\n\u{feff}{\"a\":1}\r\n").1, Some(json!({ "a": 1 })));
        assert_eq!(of("hello\nworld\n"), ("hello\nworld".to_owned(), None));
        assert_eq!(of(""), (String::new(), None));
    }

    #[test]
    fn why_an_answer_is_none_is_said_with_its_place() {
        for (output, part) in [
            (&b""[..], "it printed nothing"),
            (b" \n\n", "it printed nothing"),
            (
                b"{\"score\": NaN}",
                "`NaN` is not a JSON number (write null, or a string) at line 1, column 11: {\"score\": NaN}",
            ),
            (
                b"log\n{\"score\": -Infinity}\n",
                "`-Infinity` is not a JSON number (write null, or a string) at line 2, column 11",
            ),
            (b"[Infinity]", "`Infinity` is not a JSON number (write null, or a string) at line 1, column 2"),
            (
                b"{'a': 1}",
                "`'`: strings need double quotes (print json.dumps(answer), not the answer itself) at line 1, column 2",
            ),
            (b"{\"a\": None}", "`None` is Python"),
            (b"{\"a\": True}", "`True` is Python"),
            (b"{\"a\": undefined}", "`undefined` is not a JSON value"),
            (b"{\"a\": 1", "it ends before it is complete at line 1, column 8: {\"a\": 1"),
            (b"{\"a\": \"x", "it ends before it is complete"),
            (b"{\"a\": 1} done", "more text follows the value at line 1, column 10"),
            (b"{\"a\": 1}{\"b\": 2}", "more text follows the value"),
            (b"{\"a\": 1,}", "trailing comma at line 1, column 9"),
            (b"done", "expected value at line 1, column 1: done"),
            (b"Hello", "expected value at line 1, column 1: Hello"),
            (b"log\n{\n  \"a\": 1\n}\n", "print it on one line"),
            (b"{\n  \"a\": NaN\n}\n", "`NaN` is not a JSON number (write null, or a string) at line 2, column 8"),
            (
                b"{\"a\": \"caf\xe9\"}",
                "its output is not UTF-8: byte 0xE9 in line 1, column 11, behind `{\"a\": \"caf`",
            ),
            (b"log \xff\n{\"a\": NaN}", "`NaN`"),
        ] {
            let why = divide(output).1.unwrap_err();
            assert!(why.contains(part), "{}: {why}", String::from_utf8_lossy(output));
        }
        let long = format!("{{\"a\": NaN, \"b\": \"{}\"}}", "x".repeat(500));
        assert!(divide(long.as_bytes()).1.unwrap_err().len() < 250);
        assert!(divide("é'".as_bytes()).1.is_err());
    }
}
