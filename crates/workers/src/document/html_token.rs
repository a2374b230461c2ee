//! A web page as a stream of tags and text. No tree is built, so no depth of nesting costs anything.

/// One piece of a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// Text with its entities still in it.
    Text(&'a str),
    /// An opening tag: its name in lower case and all that follows the name.
    Open(String, &'a str),
    /// A closing tag.
    Close(String),
}

/// Elements whose content is no markup; it ends only at their own closing tag.
const RAW: [&str; 6] = ["script", "style", "textarea", "title", "xmp", "noembed"];

/// Longer names of tags are cut: no element is called that.
const NAME_MAX: usize = 32;

/// Splits a page into tokens, each byte looked at a bounded number of times.
pub(super) struct Tokens<'a> {
    rest: &'a str,
    raw: Option<String>,
}

impl<'a> Tokens<'a> {
    /// The tokens of this page.
    pub(super) fn of(page: &'a str) -> Tokens<'a> {
        Tokens { rest: page, raw: None }
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// Drops a comment, a doctype or a processing instruction. One that never ends takes the rest of the page with it.
    fn skip_declaration(&mut self) {
        let end = if self.rest.starts_with("<!--") {
            // `<!-->` is a whole comment.
            self.rest[2..].find("-->").map(|at| at + 5)
        } else {
            self.rest.find('>').map(|at| at + 1)
        };
        self.take(end.unwrap_or(self.rest.len()));
    }

    fn tag(&mut self) -> Token<'a> {
        let closing = self.rest.starts_with("</");
        self.take(if closing { 2 } else { 1 });
        let ends = |c: char| c.is_ascii_whitespace() || matches!(c, '>' | '/');
        let name = self.take(self.rest.find(ends).unwrap_or(self.rest.len()));
        let name: String = name.chars().take(NAME_MAX).map(|c| c.to_ascii_lowercase()).collect();
        let attributes = self.take(end_of_tag(self.rest));
        self.take(1);
        if closing {
            return Token::Close(name);
        }
        if RAW.contains(&name.as_str()) {
            self.raw = Some(name.clone());
        }
        Token::Open(name, attributes)
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        if let Some(name) = self.raw.take() {
            let end = find_close(self.rest, &name).unwrap_or(self.rest.len());
            if end > 0 {
                return Some(Token::Text(self.take(end)));
            }
        }
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let bytes = self.rest.as_bytes();
            match (bytes[0], bytes.get(1)) {
                (b'<', Some(b'!' | b'?')) => self.skip_declaration(),
                (b'<', Some(b'/')) if !bytes.get(2).is_some_and(u8::is_ascii_alphabetic) => self.skip_declaration(),
                (b'<', Some(next)) if *next == b'/' || next.is_ascii_alphabetic() => return Some(self.tag()),
                // A lone `<` is text, up to the next one.
                _ => {
                    let end = bytes[1..].iter().position(|&byte| byte == b'<').map_or(bytes.len(), |at| at + 1);
                    return Some(Token::Text(self.take(end)));
                }
            }
        }
    }
}

/// Where the `>` of a tag stands, quotes honoured.
fn end_of_tag(rest: &str) -> usize {
    let mut quote = None;
    for (at, byte) in rest.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return at,
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), close) if open == close => quote = None,
            _ => {}
        }
    }
    // A quote that never closes: the tag ends at the first `>`, as its author meant.
    rest.find('>').unwrap_or(rest.len())
}

/// Where `</name` stands, in any case.
fn find_close(rest: &str, name: &str) -> Option<usize> {
    let matches = |at: usize| {
        rest.as_bytes()
            .get(at + 2..at + 2 + name.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()))
    };
    rest.match_indices("</").map(|(at, _)| at).find(|&at| matches(at))
}

/// The value of an attribute, its entities still in it.
pub(super) fn attribute<'a>(attributes: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = attributes;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        let end = rest.find(|c: char| c.is_ascii_whitespace() || matches!(c, '=' | '/')).unwrap_or(rest.len());
        if end == 0 {
            // A stray `=` names nothing.
            rest = rest.strip_prefix('=')?;
            continue;
        }
        let (found, after) = rest.split_at(end);
        let (value, after) = match after.trim_start().strip_prefix('=') {
            Some(value) => split_value(value.trim_start()),
            None => ("", after),
        };
        if found.eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = after;
    }
}

fn split_value(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote) {
            return inner.split_once(quote).unwrap_or((inner, ""));
        }
    }
    text.split_at(text.find(|c: char| c.is_ascii_whitespace()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(page: &str) -> Vec<Token<'_>> {
        Tokens::of(page).collect()
    }

    #[test]
    fn splits_tags_and_text() {
        let open = |name: &str, rest| Token::Open(name.to_owned(), rest);
        assert_eq!(
            tokens("<!DOCTYPE html><P class='a>b'>1 < 2<br/></p ><!-- <b> -->é"),
            [
                open("p", " class='a>b'"),
                Token::Text("1 "),
                Token::Text("< 2"),
                open("br", "/"),
                Token::Close("p".to_owned()),
                Token::Text("é")
            ]
        );
        assert_eq!(tokens("<script>a<b></p></SCRIPT>x").len(), 4);
    }

    #[test]
    fn survives_what_never_ends() {
        for page in ["<", "</", "<a", "<a href=\"x>y", "<!--", "<!", "<script>", "a<", "</>", "< é<é", "<!-->"] {
            let _ = tokens(page);
        }
    }

    #[test]
    fn reads_attributes() {
        let attributes = " A=1 b = \"two words\" c='3' checked d";
        assert_eq!(attribute(attributes, "a"), Some("1"));
        assert_eq!(attribute(attributes, "b"), Some("two words"));
        assert_eq!(attribute(attributes, "c"), Some("3"));
        assert_eq!(attribute(attributes, "checked"), Some(""));
        assert_eq!(attribute(attributes, "e"), None);
        assert_eq!(attribute(" = / =", "e"), None);
    }
}
