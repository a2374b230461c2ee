//! Tokenizer of expressions, with advice for the syntax of other languages.

use super::error::{ExprError, ExprErrorKind};

/// Kind of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Ident,
    Number,
    Text,
    Op,
}

/// A piece of the text, by its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

impl Token {
    pub fn text<'a>(&self, source: &'a str) -> &'a str {
        &source[self.start..self.end]
    }
}

/// Nesting limit of brackets.
const NESTING_MAX: usize = 64;
/// Limit of `not` and `-` in a row.
const PREFIX_MAX: usize = 32;

/// Reads tokens from `start` to the closing mark (outside quotes and brackets), or to the end of the text if `close` is
/// `None`. Returns the tokens and the position after the closing mark.
pub(super) fn tokenize(source: &str, start: usize, close: Option<&str>) -> Result<(Vec<Token>, usize), ExprError> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut open: Vec<u8> = Vec::new();
    let mut prefixes = 0;
    let mut at = start;
    while let Some(rest) = source.get(at..).filter(|rest| !rest.is_empty()) {
        if let Some(end) = close.filter(|_| open.is_empty()).and_then(|close| closed(rest, close)) {
            return Ok((tokens, at + end));
        }
        let first = rest.as_bytes()[0];
        if first.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let token = next_token(source, at, &tokens)?;
        nest(first, token, &mut open)?;
        let text = token.text(source);
        prefixes = if text == "not" || text == "-" { prefixes + 1 } else { 0 };
        if prefixes > PREFIX_MAX || open.len() > NESTING_MAX {
            return Err(ExprError::new(ExprErrorKind::Limit, "the expression is nested too deeply").at(at));
        }
        at = token.end;
        tokens.push(token);
    }
    match close {
        None => Ok((tokens, at)),
        Some(close) => Err(ExprError::new(ExprErrorKind::Syntax, format!("`{close}` is missing"))
            .at(start)
            .hint(format!("close the expression with `{close}`"))),
    }
}

/// Returns the length of the closing mark in bytes, with the sign that trims blanks before it.
fn closed(rest: &str, close: &str) -> Option<usize> {
    if rest.starts_with(close) {
        return Some(close.len());
    }
    let trimmed = rest.strip_prefix(['-', '+'])?;
    trimmed.starts_with(close).then_some(close.len() + 1)
}

fn nest(first: u8, token: Token, open: &mut Vec<u8>) -> Result<(), ExprError> {
    if token.kind != Kind::Op {
        return Ok(());
    }
    match first {
        b'(' => open.push(b')'),
        b'[' => open.push(b']'),
        b'{' => open.push(b'}'),
        b')' | b']' | b'}' if open.pop() != Some(first) => {
            let message = format!("`{}` closes nothing", first as char);
            return Err(ExprError::new(ExprErrorKind::Syntax, message).at(token.start));
        }
        _ => {}
    }
    Ok(())
}

fn next_token(source: &str, at: usize, before: &[Token]) -> Result<Token, ExprError> {
    let rest = &source.as_bytes()[at..];
    let first = rest[0];
    let token = |kind, length: usize| Ok(Token { kind, start: at, end: at + length });
    if first.is_ascii_alphabetic() || first == b'_' {
        return token(Kind::Ident, rest.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count());
    }
    if first.is_ascii_digit() {
        let after_dot = before.last().is_some_and(|last| last.end == at && last.text(source) == ".");
        return token(Kind::Number, number_length(rest, after_dot));
    }
    if first == b'"' || first == b'\'' {
        let length = text_length(rest).ok_or_else(|| {
            ExprError::new(ExprErrorKind::Syntax, "the quoted text does not end")
                .at(at)
                .hint(format!("close it with {}", first as char))
        })?;
        return token(Kind::Text, length);
    }
    foreign(source, at)?;
    let pairs: [&[u8]; 6] = [b"**", b"//", b"==", b"!=", b">=", b"<="];
    if pairs.iter().any(|pair| rest.starts_with(pair)) {
        return token(Kind::Op, 2);
    }
    if b"+-*/%.,:~|=><()[]{}".contains(&first) {
        return token(Kind::Op, 1);
    }
    let found = source[at..].chars().next().unwrap_or(' ');
    Err(ExprError::new(ExprErrorKind::Syntax, format!("unexpected character `{}`", found.escape_debug())).at(at))
}

/// Refuses operators of other languages, with advice.
fn foreign(source: &str, at: usize) -> Result<(), ExprError> {
    let rest = &source[at..];
    let found = [
        ("&&", "write `and` instead of `&&`"),
        ("&", "write `and` instead of `&`"),
        ("||", "write `or` instead of `||`"),
        ("===", "write `==` instead of `===`"),
        ("?", "write `a if c else b` instead of `c ? a : b`"),
        ("${{", "an expression cannot hold another `${{ }}`: leave the inner marks out"),
        ("$", "write the name without `$`"),
    ];
    let not = rest.starts_with('!') && !rest.starts_with("!=");
    let hit = found.iter().find(|(mark, _)| rest.starts_with(mark)).copied();
    let hit = if not { Some(("!", "write `not` instead of `!`")) } else { hit };
    match hit {
        None => Ok(()),
        Some((mark, hint)) => {
            let message = format!("`{mark}` is not part of the expression language");
            Err(ExprError::new(ExprErrorKind::Syntax, message).at(at).hint(hint))
        }
    }
}

fn text_length(rest: &[u8]) -> Option<usize> {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == rest[0] => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

/// Returns the length of a number. After a dot it is an index without a fraction.
fn number_length(rest: &[u8], after_dot: bool) -> usize {
    let digits = |from: usize| rest[from..].iter().take_while(|b| b.is_ascii_digit() || **b == b'_').count();
    if matches!(rest.get(..2), Some(b"0x" | b"0X" | b"0o" | b"0O" | b"0b" | b"0B")) {
        return 2 + rest[2..].iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
    }
    let mut length = digits(0);
    if after_dot {
        return length;
    }
    let word = |at: usize| rest.get(at).is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_');
    if rest.get(length) == Some(&b'.') && (!word(length + 1) || exponent_length(&rest[length + 1..]) > 0) {
        length += 1 + digits(length + 1);
    }
    length + exponent_length(&rest[length..])
}

/// Returns the length of an exponent such as `e5` or `E+10`, or 0.
fn exponent_length(rest: &[u8]) -> usize {
    if !matches!(rest.first(), Some(b'e' | b'E')) {
        return 0;
    }
    let sign = usize::from(matches!(rest.get(1), Some(b'+' | b'-')));
    match rest.get(1 + sign..).unwrap_or_default().iter().take_while(|b| b.is_ascii_digit()).count() {
        0 => 0,
        digits => 1 + sign + digits,
    }
}
