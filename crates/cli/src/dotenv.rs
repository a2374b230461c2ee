//! `.env`: names and values, one a line.

use std::{collections::BTreeMap, path::Path};

use crate::failure::Failure;

/// A file longer than this is no `.env`.
const FILE_MAX: usize = 1 << 20;

/// Reads the `.env` of a folder; none is fine.
///
/// # Errors
/// A line that is not `NAME=value`, with its number.
pub fn read(folder: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let path = folder.join(".env");
    let bytes = match std::fs::read(&path) {
        Ok(bytes) if bytes.len() <= FILE_MAX => bytes,
        Ok(_) => return Err(Failure::usage(format!("{}: longer than 1 MiB", path.display()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(Failure::io(&path, &error)),
    };
    let text = String::from_utf8(bytes).map_err(|_| Failure::usage(format!("{}: not UTF-8", path.display())))?;
    parse(&text).map_err(|(line, message)| {
        Failure::usage(format!("{}:{line}: {message}", path.display())).help("write NAME=value, one a line")
    })
}

fn parse(text: &str) -> Result<BTreeMap<String, String>, (usize, String)> {
    let mut values = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim().trim_start_matches('\u{feff}');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=').ok_or((number + 1, "there is no `=`".to_owned()))?;
        let name = name.trim();
        let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !plain {
            return Err((number + 1, "what stands before `=` is not a name".to_owned()));
        }
        let value = unquote(value.trim()).ok_or((number + 1, "a quote is not closed".to_owned()))?;
        values.insert(name.to_owned(), value);
    }
    Ok(values)
}

/// The value without its quotes; without quotes, ` #` begins a remark.
fn unquote(text: &str) -> Option<String> {
    let quote = match text.chars().next() {
        Some(quote @ ('"' | '\'')) => quote,
        _ => return Some(text.split(" #").next().unwrap_or(text).trim_end().to_owned()),
    };
    let inner = &text[1..];
    let end = inner.rfind(quote)?;
    let inner = &inner[..end];
    Some(if quote == '"' { inner.replace("\\n", "\n").replace("\\\"", "\"") } else { inner.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_shells_write_them() {
        let text = "\u{feff}# keys\nA=1\n export B = two # remark\nC=\"a # b\"\nD='x'\n\nE=\n";
        let values = parse(text).unwrap();
        let get = |name: &str| values[name].as_str();
        assert_eq!((get("A"), get("B"), get("C"), get("D"), get("E")), ("1", "two", "a # b", "x", ""));
        assert_eq!(parse("A=1\nnonsense").unwrap_err().0, 2);
        assert!(parse("A=\"x").is_err() && parse("a b=1").is_err());
    }
}
