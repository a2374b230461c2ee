//! A tokenizer of JavaScript and Python that tells code from comments and strings.

/// A language that the tokenizer reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    JavaScript,
    Python,
}

/// A piece of code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A name or keyword.
    Word(&'a str),
    /// The text between quotes, as written.
    Text(&'a str),
    /// One character of anything else.
    Mark(char),
    /// The end of a line, in Python.
    Line,
}

/// A token and the line it stands in, from 1.
pub(super) type Placed<'a> = (Token<'a>, usize);

/// Returns the tokens of a source. It ends for any text; other languages give meaningless tokens.
pub(super) fn tokens(source: &str, language: Language) -> Vec<Placed<'_>> {
    let mut lexer = Lexer { source, at: 0, line: 1, tokens: Vec::new(), templates: Vec::new() };
    while lexer.at < source.len() {
        match language {
            Language::JavaScript => lexer.javascript(),
            Language::Python => lexer.python(),
        }
    }
    lexer.tokens
}

/// Returns the source with every comment blanked out, its lines unchanged.
pub(super) fn without_comments(source: &str, language: Language) -> String {
    let mut lexer = Lexer { source, at: 0, line: 1, tokens: Vec::new(), templates: Vec::new() };
    let mut bare = String::with_capacity(source.len());
    while lexer.at < source.len() {
        let from = lexer.at;
        let comment = match language {
            Language::JavaScript => lexer.comment(),
            Language::Python => lexer.rest().starts_with('#') && lexer.skip_line(),
        };
        if comment {
            bare.extend(source[from..lexer.at].chars().filter(|c| *c == '\n'));
            continue;
        }
        match language {
            Language::JavaScript => lexer.javascript(),
            Language::Python => lexer.python(),
        }
        bare.push_str(&source[from..lexer.at]);
    }
    bare
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    line: usize,
    tokens: Vec<Placed<'a>>,
    /// Open braces within each open template string.
    templates: Vec<usize>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn next(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self) {
        if let Some(c) = self.next() {
            self.at += c.len_utf8();
            self.line += usize::from(c == '\n');
        }
    }

    fn push(&mut self, token: Token<'a>, line: usize) {
        self.tokens.push((token, line));
    }

    fn skip_line(&mut self) -> bool {
        self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        true
    }

    /// Skips a comment of JavaScript, if one begins here.
    fn comment(&mut self) -> bool {
        let rest = self.rest();
        if rest.starts_with("//") || (self.at == 0 && rest.starts_with("#!")) {
            return self.skip_line();
        }
        if !rest.starts_with("/*") {
            return false;
        }
        let end = rest[2..].find("*/").map_or(rest.len(), |end| end + 4);
        self.line += rest[..end].matches('\n').count();
        self.at += end;
        true
    }

    fn javascript(&mut self) {
        if self.comment() {
            return;
        }
        let Some(c) = self.next() else { return };
        match c {
            '\'' | '"' => self.quoted(c),
            '`' => {
                self.take();
                self.template();
            }
            '}' if self.templates.last() == Some(&0) => {
                self.take();
                self.templates.pop();
                self.template();
            }
            '/' if self.begins_regex() && self.regex() => {}
            _ => {
                if let Some(open) = self.templates.last_mut() {
                    match c {
                        '{' => *open += 1,
                        '}' => *open = open.saturating_sub(1),
                        _ => {}
                    }
                }
                self.plain(c);
            }
        }
    }

    fn python(&mut self) {
        let Some(c) = self.next() else { return };
        match c {
            '#' => {
                self.skip_line();
            }
            '\n' => {
                let line = self.line;
                self.take();
                self.push(Token::Line, line);
            }
            '\\' if self.rest()[1..].starts_with(['\n', '\r']) => {
                self.take();
                if self.next() == Some('\r') {
                    self.take();
                }
                self.take();
            }
            '\'' | '"' => {
                let three = if c == '"' { "\"\"\"" } else { "'''" };
                if self.rest().starts_with(three) { self.thrice(three) } else { self.quoted(c) }
            }
            _ => self.plain(c),
        }
    }

    fn plain(&mut self, c: char) {
        let (line, from) = (self.line, self.at);
        if c.is_alphanumeric() || matches!(c, '_' | '$') {
            let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
            self.at += self.rest().find(|c| !word(c)).unwrap_or(self.rest().len());
            self.push(Token::Word(&self.source[from..self.at]), line);
        } else {
            self.take();
            if !c.is_whitespace() {
                self.push(Token::Mark(c), line);
            }
        }
    }

    /// Reads a string, which ends with its line at the latest.
    fn quoted(&mut self, quote: char) {
        let line = self.line;
        self.take();
        let from = self.at;
        while let Some(c) = self.next() {
            if c == quote || c == '\n' {
                break;
            }
            if c == '\\' {
                self.take();
            }
            self.take();
        }
        self.push(Token::Text(&self.source[from..self.at]), line);
        if self.next() == Some(quote) {
            self.take();
        }
    }

    fn thrice(&mut self, quotes: &str) {
        let line = self.line;
        self.at += 3;
        let from = self.at;
        while self.at < self.source.len() && !self.rest().starts_with(quotes) {
            if self.next() == Some('\\') {
                self.take();
            }
            self.take();
        }
        self.push(Token::Text(&self.source[from..self.at]), line);
        self.at = (self.at + 3).min(self.source.len());
    }

    /// Reads a template string up to its end or to the code within it.
    fn template(&mut self) {
        let (line, from) = (self.line, self.at);
        while let Some(c) = self.next() {
            if c == '`' || self.rest().starts_with("${") {
                break;
            }
            if c == '\\' {
                self.take();
            }
            self.take();
        }
        self.push(Token::Text(&self.source[from..self.at]), line);
        if self.rest().starts_with("${") {
            self.at += 2;
            self.templates.push(0);
        } else {
            self.take();
        }
    }

    /// Says whether a slash begins a pattern: it does not after a value, where it divides.
    fn begins_regex(&self) -> bool {
        match self.tokens.last() {
            None => true,
            Some((Token::Word(word), _)) => {
                ["return", "typeof", "case", "in", "of", "do", "else", "await", "yield", "void", "delete"]
                    .contains(word)
            }
            Some((Token::Text(_), _)) => false,
            Some((Token::Mark(mark), _)) => !matches!(mark, ')' | ']' | '}'),
            Some((Token::Line, _)) => true,
        }
    }

    /// Skips a pattern. Returns false when no pattern ends on this line.
    fn regex(&mut self) -> bool {
        let line = self.rest().split('\n').next().unwrap_or("");
        let (mut class, mut escaped) = (false, false);
        for (at, c) in line.char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '[' => class = true,
                ']' => class = false,
                '/' if !class => {
                    self.push(Token::Text(&line[1..at]), self.line);
                    self.at += at + 1;
                    return true;
                }
                _ => {}
            }
        }
        false
    }
}
