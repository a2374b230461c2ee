//! `.env`, read by the rules of python-dotenv; text in backticks is quoted, as for npm's dotenv. The file belongs to
//! the whole project, so nothing in it stops a verb: lines that cannot be read are skipped with a warning.

use std::{
    collections::BTreeMap,
    io::Read as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError, mpsc},
    time::Duration,
};

/// The longest `.env`, in bytes; a longer file is ignored.
const FILE_MAX: u64 = 1 << 20;
/// Time limit for reading a `.env` that is a pipe.
const PIPE_WAIT: Duration = Duration::from_secs(5);

/// The content of a `.env`.
#[derive(Debug, Default, Clone)]
pub struct Dotenv {
    pub values: BTreeMap<String, String>,
    /// Skipped lines, with their numbers.
    pub warnings: Vec<String>,
}

/// Reads the `.env` of a folder; the file may be missing. `variable` gives the variables of the process, for `${NAME}`.
pub fn read(folder: &Path, variable: &dyn Fn(&str) -> Option<String>) -> Dotenv {
    let path = folder.join(".env");
    let passed_over =
        |why: &str| Dotenv { warnings: vec![format!("{}: {why}: skipped", path.display())], ..Dotenv::default() };
    match bytes(&path) {
        Ok(None) => Dotenv::default(),
        Ok(Some(bytes)) if bytes.len() as u64 > FILE_MAX => passed_over("longer than 1 MiB"),
        Ok(Some(bytes)) => {
            let mut read = parse(&String::from_utf8_lossy(&bytes), variable);
            if bytes.contains(&0) {
                return passed_over("not UTF-8 text");
            }
            for warning in &mut read.warnings {
                *warning = format!("{}:{warning}", path.display());
            }
            read
        }
        Err(error) => passed_over(&error.to_string()),
    }
}

/// Returns the bytes of the file; `None` when it does not exist. A folder of that name is an environment of Python.
fn bytes(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    let about = match std::fs::metadata(path) {
        Ok(about) if about.is_dir() => return Ok(None),
        Ok(about) => about,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let open = path.to_owned();
    let read = move || {
        let mut bytes = Vec::new();
        std::fs::File::open(open)?.take(FILE_MAX + 1).read_to_end(&mut bytes).map(|_| Some(bytes))
    };
    if about.is_file() {
        return read();
    }
    // A pipe, as password managers provide it, gives its content once, and may have no writer.
    static PIPES: Mutex<BTreeMap<PathBuf, Vec<u8>>> = Mutex::new(BTreeMap::new());
    let mut known = PIPES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(bytes) = known.get(path) {
        return Ok(Some(bytes.clone()));
    }
    let (done, answer) = mpsc::channel();
    std::thread::spawn(move || drop(done.send(read())));
    let read = answer.recv_timeout(PIPE_WAIT);
    let read = read.unwrap_or_else(|_| Err(std::io::Error::other("a pipe without a writer")));
    known.insert(path.to_owned(), read.as_ref().ok().cloned().flatten().unwrap_or_default());
    read
}

fn parse(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Dotenv {
    let mut found = Dotenv::default();
    let mut reader = Reader { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1 };
    loop {
        reader.skip(char::is_whitespace);
        if reader.rest.is_empty() {
            return found;
        }
        let line = reader.line;
        match reader.binding() {
            Some(Some((name, value))) if !name.contains('\0') && !value.contains('\u{fffd}') => {
                let value = expand(&value, |name| variable(name).or_else(|| found.values.get(name).cloned()));
                found.values.insert(name, value);
            }
            Some(None) => {}
            _ => {
                reader.skip(|letter| !matches!(letter, '\r' | '\n'));
                found.warnings.push(format!("{line}: not `NAME=value`: skipped"));
            }
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl Reader<'_> {
    fn take(&mut self, bytes: usize) -> String {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        let newlines = taken.matches('\n').count();
        self.line += newlines + taken.matches('\r').count() - taken.matches("\r\n").count();
        taken.to_owned()
    }

    fn skip(&mut self, wanted: impl Fn(char) -> bool) -> String {
        self.take(self.rest.find(|letter| !wanted(letter)).unwrap_or(self.rest.len()))
    }

    fn blanks(&mut self) -> bool {
        !self.skip(is_blank).is_empty()
    }

    /// Parses one binding, or a line without one. Returns `None` when the line is neither; then the reader is inside
    /// it.
    fn binding(&mut self) -> Option<Option<(String, String)>> {
        if self.rest.strip_prefix("export").is_some_and(|rest| rest.starts_with(is_blank)) {
            self.take("export".len());
            self.blanks();
        }
        let name = self.name()?;
        self.blanks();
        let mut value = None;
        if self.rest.starts_with('=') {
            self.take(1);
            let apart = self.blanks();
            // After a blank, `#` begins a remark, so the value is empty; without a blank it is part of the value.
            value = Some(if apart && self.rest.starts_with('#') { String::new() } else { self.value()? });
        }
        self.blanks();
        if self.rest.starts_with('#') {
            self.skip(|letter| !matches!(letter, '\r' | '\n'));
        }
        if !self.rest.is_empty() && !self.rest.starts_with(['\r', '\n']) {
            return None;
        }
        Some(name.zip(value))
    }

    /// Parses the name; `Some(None)` for a line that is a remark.
    fn name(&mut self) -> Option<Option<String>> {
        if self.rest.starts_with('#') {
            return Some(None);
        }
        if let Some(quoted) = self.rest.strip_prefix('\'') {
            let end = quoted.find('\'').filter(|end| *end > 0)?;
            let name = self.take(end + 2);
            return Some(Some(name.trim_matches('\'').to_owned()));
        }
        let name = self.skip(|letter| !letter.is_whitespace() && !matches!(letter, '=' | '#'));
        (!name.is_empty()).then_some(Some(name))
    }

    fn value(&mut self) -> Option<String> {
        match self.rest.chars().next() {
            Some(quote @ ('\'' | '"' | '`')) => match self.closing(quote) {
                Some(end) => {
                    let quoted = self.take(end + 1);
                    Some(unescape(&quoted[1..end], quote))
                }
                // Unlike quotes, a single backtick is a letter.
                None if quote == '`' => Some(self.plain()),
                None => None,
            },
            _ => Some(self.plain()),
        }
    }

    /// Parses a value without quotes: up to a remark behind a blank, or to the end of the line.
    fn plain(&mut self) -> String {
        let value = self.skip(|letter| !matches!(letter, '\r' | '\n'));
        let remark = value.match_indices('#').find(|(at, _)| value[..*at].ends_with(char::is_whitespace));
        value[..remark.map_or(value.len(), |(at, _)| at)].trim_end().to_owned()
    }

    /// Returns the position of the closing quote.
    fn closing(&self, quote: char) -> Option<usize> {
        let mut escaped = false;
        for (at, letter) in self.rest.char_indices().skip(1) {
            match letter {
                _ if escaped => escaped = false,
                '\\' if quote != '`' => escaped = true,
                _ if letter == quote => return Some(at),
                _ => {}
            }
        }
        None
    }
}

fn is_blank(letter: char) -> bool {
    letter.is_whitespace() && !matches!(letter, '\r' | '\n')
}

/// Resolves escapes: double quotes know `\n` and the like, single ones only themselves, backticks nothing.
fn unescape(text: &str, quote: char) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let next = letters.peek().copied().filter(|_| letter == '\\' && quote != '`');
        let meant = match (next, quote) {
            (Some(next @ ('\\' | '\'')), _) => next,
            (Some('"'), '"') => '"',
            (Some('a'), '"') => '\u{7}',
            (Some('b'), '"') => '\u{8}',
            (Some('f'), '"') => '\u{c}',
            (Some('n'), '"') => '\n',
            (Some('r'), '"') => '\r',
            (Some('t'), '"') => '\t',
            (Some('v'), '"') => '\u{b}',
            _ => {
                plain.push(letter);
                continue;
            }
        };
        letters.next();
        plain.push(meant);
    }
    plain
}

/// Replaces `${NAME}` and `${NAME:-default}`; an unset variable is empty. `$NAME` stays as it is.
fn expand(text: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut full = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${") {
        full.push_str(before);
        let closed = behind.split_once('}');
        let named = closed.and_then(|(inner, after)| match inner.split_once(':') {
            None => Some((inner, "", after)),
            Some((name, default)) => Some((name, default.strip_prefix('-')?, after)),
        });
        match named {
            Some((name, default, after)) => {
                full.push_str(&value(name).unwrap_or_else(|| default.to_owned()));
                rest = after;
            }
            None => {
                full.push_str("${");
                rest = behind;
            }
        }
    }
    full + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// The answers of python-dotenv 1.2.4 and dotenv 16.6.1 to the same texts.
    const ANSWERS: &str = include_str!("../tests/dotenv.json");

    #[test]
    fn a_file_is_read_as_python_dotenv_and_dotenv_read_it() {
        let rows: Vec<Value> = serde_json::from_str(ANSWERS).unwrap();
        let (mut python, mut npm) = (0, 0);
        for row in &rows {
            let text = row["text"].as_str().unwrap();
            let ours = serde_json::to_value(parse(text, &|_| None).values).unwrap();
            let set = |answer: &Value| {
                let values = answer.as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
                Value::Object(values.map(|(name, value)| (name.clone(), value.clone())).collect())
            };
            let (by_python, by_npm) = (set(&row["python"]), set(&row["npm"]));
            python += u32::from(ours == by_python);
            npm += u32::from(ours == by_npm);
            let wanted = if text.contains('`') { by_npm } else { by_python };
            assert_eq!(ours, wanted, "{text:?}");
        }
        assert!(rows.len() >= 90 && python >= rows.len() as u32 - 2 && npm >= 60, "{python} {npm} of {}", rows.len());
    }

    #[test]
    fn what_is_not_ours_is_passed_over_with_its_line() {
        let read = parse("A=1\r\nB=\"x\ny\"\nnot ours\nC='open\nD=2\n", &|_| None);
        assert_eq!(read.values.keys().collect::<Vec<_>>(), ["A", "B", "D"]);
        assert_eq!(read.warnings.len(), 2);
        assert!(read.warnings[0].starts_with("4: ") && read.warnings[1].starts_with("5: "), "{:?}", read.warnings);
    }

    #[test]
    fn variables_of_the_process_come_first() {
        let process = |name: &str| (name == "A").then(|| "p".to_owned());
        assert_eq!(parse("A=1\nB=${A}-${C:-d}-$A-${X:y}", &process).values["B"], "p-d-$A-${X:y}");
    }
}
