//! Prompt templates: text with `{{ }}`, `{% if %}`, `{% for %}`, `{% set %}` and `{% with %}`.

use std::{fmt, io, sync::Arc};

use minijinja::{Environment, syntax::SyntaxConfig};

use super::{
    OUTPUT_MAX, PROMPT_MAX, SOURCE_MAX,
    context::Context,
    error::{ExprError, ExprErrorKind},
    expression::{explain, place},
    filters::{self, ENVIRONMENT},
    guard::{Guard, Guarded},
    path::Path,
    stack::with_room,
    token::{Kind, Token, tokenize},
    work::PROMPT_FUEL,
};

const NAME: &str = "prompt";
/// Nesting limit of blocks.
const BLOCKS_MAX: usize = 32;
/// Limit of `elif` in one `if`.
const ELIF_MAX: usize = 100;
/// Allowed statements.
const STATEMENTS: &str = "if, elif, else, endif, for, endfor, set, with, endwith and raw";

/// A compiled prompt. Cloning copies a pointer.
#[derive(Clone)]
pub struct Prompt(Arc<Compiled>);

struct Compiled {
    source: Box<str>,
    environment: Environment<'static>,
    guarded: Guarded,
    references: Box<[Path]>,
    names: Box<[Box<str>]>,
}

impl Prompt {
    /// Compiles the text of a prompt.
    ///
    /// # Errors
    /// When it is longer than [`PROMPT_MAX`], not well formed, or uses an unknown name.
    pub fn compile(source: &str) -> Result<Prompt, ExprError> {
        Prompt::compile_as(source, false)
    }

    /// Compiles the text of an HTML page, in which every value that is filled in is text and never markup.
    ///
    /// # Errors
    /// As [`Prompt::compile`].
    pub fn compile_html(source: &str) -> Result<Prompt, ExprError> {
        Prompt::compile_as(source, true)
    }

    fn compile_as(source: &str, markup: bool) -> Result<Prompt, ExprError> {
        if source.len() > PROMPT_MAX {
            let message = format!("the prompt has {} bytes; at most {PROMPT_MAX} are allowed", source.len());
            return Err(ExprError::new(ExprErrorKind::Limit, message).hint("pass long text as an input"));
        }
        let mut reader = Reader::default();
        reader.guard.callable = Some("loop");
        reader.read(source)?;
        let Reader { guard, locals, .. } = reader;
        let (guarded, mut references) = guard.finish(source);
        let mut names: Vec<Box<str>> = references.iter().map(|path| path.root().into()).collect();
        names.sort_unstable();
        names.dedup();
        references.retain(|path| !locals.iter().any(|local| local == path.root()));
        let mut environment = ENVIRONMENT.clone();
        if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
            environment.set_syntax(syntax);
        }
        environment.set_fuel(Some(PROMPT_FUEL));
        if markup {
            environment.set_formatter(filters::write_markup);
        }
        let text = guarded.source.clone();
        with_room(usize::MAX, || environment.add_template_owned(NAME, text))
            .map_err(|error| place(explain(&error), &error, &guarded))?;
        let (references, names) = (references.into(), names.into());
        Ok(Prompt(Arc::new(Compiled { source: source.into(), environment, guarded, references, names })))
    }

    /// Returns the source text.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Returns the references, without names that the prompt sets itself.
    #[must_use]
    pub fn references(&self) -> &[Path] {
        &self.0.references
    }

    /// Returns the names it can look up, each once: a context without the others renders the same text.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.names.iter().map(|name| &**name)
    }

    /// Renders the prompt.
    ///
    /// # Errors
    /// When a value is missing or has the wrong type, or a limit is exceeded.
    pub fn render(&self, context: &Context) -> Result<String, ExprError> {
        let failed = |error: minijinja::Error| place(explain(&error), &error, &self.0.guarded);
        let template = self.0.environment.get_template(NAME).map_err(failed)?;
        let mut output = Capped(Vec::new());
        let outcome = template.render_captured_to(context.value(), &mut output).map(drop);
        match outcome {
            Err(_) if output.is_full() => {
                let message = format!("the rendered prompt is longer than {} MiB", OUTPUT_MAX >> 20);
                Err(ExprError::new(ExprErrorKind::Limit, message))
            }
            Err(error) => Err(failed(error)),
            Ok(()) => String::from_utf8(output.0)
                .map_err(|_| ExprError::new(ExprErrorKind::Type, "the rendered prompt is not UTF-8")),
        }
    }
}

impl fmt::Debug for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prompt({} bytes)", self.0.source.len())
    }
}

/// Output with a size limit.
struct Capped(Vec<u8>);

impl Capped {
    fn is_full(&self) -> bool {
        self.0.len() > OUTPUT_MAX
    }
}

impl io::Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        if self.is_full() { Err(io::Error::other("too long")) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Scans the text once and collects the guards to add.
#[derive(Default)]
struct Reader {
    guard: Guard,
    locals: Vec<String>,
    depth: usize,
    elifs: usize,
}

impl Reader {
    fn read(&mut self, source: &str) -> Result<(), ExprError> {
        let mut at = 0;
        while let Some(found) = source[at..].find('{').map(|found| at + found) {
            let kind = source.as_bytes().get(found + 1).copied();
            at = match kind {
                Some(b'#') => match source[found..].find("#}") {
                    Some(end) => found + end + 2,
                    None => return Err(syntax("the comment does not end: `#}` is missing", found)),
                },
                Some(b'{') => {
                    let (tokens, end) = tokenize(source, inside(source, found), Some("}}"))?;
                    Reader::short(&tokens)?;
                    self.guard.scan(source, &tokens)?;
                    end
                }
                Some(b'%') => {
                    let (tokens, end) = tokenize(source, inside(source, found), Some("%}"))?;
                    Reader::short(&tokens)?;
                    self.statement(source, &tokens, found, end)?
                }
                _ => found + 1,
            };
        }
        Ok(())
    }

    fn short(tokens: &[Token]) -> Result<(), ExprError> {
        match (tokens.first(), tokens.last()) {
            (Some(first), Some(last)) if last.end - first.start > SOURCE_MAX => {
                let message = format!("an expression of a prompt has at most {SOURCE_MAX} bytes");
                Err(ExprError::new(ExprErrorKind::Limit, message).at(first.start))
            }
            _ => Ok(()),
        }
    }

    /// Reads one `{% %}`. Returns the position after it.
    fn statement(&mut self, source: &str, tokens: &[Token], start: usize, end: usize) -> Result<usize, ExprError> {
        let text = |at: usize| tokens.get(at).map_or("", |token| token.text(source));
        match text(0) {
            "if" | "for" | "with" => self.depth += 1,
            "endif" | "endfor" | "endwith" => self.depth = self.depth.saturating_sub(1),
            "elif" => self.elifs += 1,
            _ => {}
        }
        if self.depth > BLOCKS_MAX || self.elifs > ELIF_MAX {
            return Err(ExprError::new(ExprErrorKind::Limit, "the prompt has too many nested blocks").at(start));
        }
        let position = |word: &str| (1..tokens.len()).find(|&at| text(at) == word);
        match text(0) {
            "raw" => {
                return raw_end(source, end).ok_or_else(|| syntax("`{% endraw %}` is missing", start));
            }
            "else" | "endif" | "endfor" | "endwith" => {}
            "if" | "elif" => self.guard.scan(source, &tokens[1..])?,
            "for" => {
                let Some(list) = position("in") else { return Err(syntax("`for` needs `in`", start)) };
                if let Some(at) = position("recursive") {
                    return Err(syntax("recursive loops are not supported", tokens[at].start));
                }
                self.assign(source, &tokens[1..list])?;
                self.locals.push("loop".to_owned());
                self.guard.scan(source, &tokens[list + 1..])?;
            }
            "set" => {
                let Some(value) = position("=") else {
                    return Err(syntax("`set` needs a value: write `{% set name = value %}`", start));
                };
                self.assign(source, &tokens[1..value])?;
                self.guard.scan(source, &tokens[value + 1..])?;
            }
            "with" => {
                for pair in tokens.windows(2) {
                    if pair[0].kind == Kind::Ident && pair[1].text(source) == "=" {
                        self.assign(source, &pair[..1])?;
                    }
                }
                self.guard.scan(source, &tokens[1..])?;
            }
            other => {
                let message = format!("there is no statement `{}`", other.chars().take(40).collect::<String>());
                return Err(syntax(&message, start).hint(format!("there are {STATEMENTS}")));
            }
        }
        Ok(end)
    }

    fn assign(&mut self, source: &str, targets: &[Token]) -> Result<(), ExprError> {
        for token in targets {
            match (token.kind, token.text(source)) {
                (Kind::Ident, name) => self.locals.push(name.to_owned()),
                (Kind::Op, "," | "(" | ")") => {}
                _ => return Err(syntax("only names can be set", token.start)),
            }
        }
        Ok(())
    }
}

fn inside(source: &str, found: usize) -> usize {
    let sign = matches!(source.as_bytes().get(found + 2), Some(b'-' | b'+'));
    // `{{-1}}` is a number; the engine still reads the sign as a trim mark.
    found + 2 + usize::from(sign)
}

fn raw_end(source: &str, from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += source[at..].find("{%")? + 2;
        let rest = source[at..].trim_start_matches(['-', '+']).trim_start();
        if let Some(rest) = rest.strip_prefix("endraw") {
            let rest = rest.trim_start().trim_start_matches(['-', '+']);
            if let Some(rest) = rest.strip_prefix("%}") {
                return Some(source.len() - rest.len());
            }
        }
    }
}

fn syntax(message: &str, at: usize) -> ExprError {
    ExprError::new(ExprErrorKind::Syntax, message).at(at)
}
