//! The files of the folder that a script imports: those are its modules, not scripts of their own.

use std::path::{Component, Path, PathBuf};

use super::lexer::{Language, Placed, Token, tokens};

/// Returns the files that a script may import, as paths in the folder; they need not all exist.
pub(super) fn imports(file: &Path, source: &str, language: Language) -> Vec<PathBuf> {
    let tokens = tokens(source, language);
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut found: Vec<PathBuf> = match language {
        Language::JavaScript => {
            let texts = (0..tokens.len()).filter_map(|at| javascript(&tokens[at..]));
            texts.flat_map(|text| javascript_files(folder, text)).collect()
        }
        Language::Python => {
            let lines = tokens.split(|(token, _)| matches!(token, Token::Line | Token::Mark(';')));
            lines.flat_map(python).flat_map(|module| python_files(folder, &module)).collect()
        }
    };
    found.sort();
    found.dedup();
    found.retain(|path| path != file);
    found
}

/// Says whether a script has a main entry point, and so may be imported as well.
pub(super) fn starts_itself(source: &str, language: Language) -> bool {
    let tokens = tokens(source, language);
    match language {
        Language::Python => tokens.windows(4).any(|window| {
            matches!(
                [window[0].0, window[1].0, window[2].0],
                [Token::Word("__name__"), Token::Mark('='), Token::Mark('=')]
            ) && matches!(window[3].0, Token::Text(_))
        }),
        Language::JavaScript => tokens.windows(3).any(|window| {
            matches!(
                [window[0].0, window[1].0, window[2].0],
                [Token::Word("require"), Token::Mark('.'), Token::Word("main")]
                    | [Token::Word("meta"), Token::Mark('.'), Token::Word("main")]
            )
        }),
    }
}

/// Finds `from './x'`, `import './x'`, `import('./x')`, `require('./x')`.
fn javascript<'a>(tokens: &[Placed<'a>]) -> Option<&'a str> {
    let text = match tokens {
        [(Token::Word("from" | "import"), _), (Token::Text(text), _), ..] => text,
        [(Token::Word("import" | "require"), _), (Token::Mark('('), _), (Token::Text(text), _), ..] => text,
        _ => return None,
    };
    text.starts_with('.').then_some(text)
}

fn javascript_files(folder: &Path, text: &str) -> Vec<PathBuf> {
    let base = plain(&folder.join(text));
    let endings = ["js", "mjs", "cjs", "ts", "mts", "cts"];
    let mut files = vec![base.clone()];
    let named = |path: &Path, ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(".");
        name.push(ending);
        PathBuf::from(name)
    };
    files.extend(endings.iter().map(|ending| named(&base, ending)));
    files.extend(endings.iter().map(|ending| base.join(format!("index.{ending}"))));
    // TypeScript names the compiled file.
    if let Some(ending) = base.extension().and_then(|ending| ending.to_str()).and_then(|e| e.strip_suffix("js")) {
        files.push(base.with_extension(format!("{ending}ts")));
    }
    files
}

/// Returns the modules that a line of Python imports: dots in front, and names.
fn python(line: &[Placed<'_>]) -> Vec<String> {
    let mut words = line.iter().map(|(token, _)| *token);
    match words.next() {
        Some(Token::Word("import")) => {
            let mut modules = vec![String::new()];
            let mut skipping = false;
            for token in words {
                match token {
                    Token::Mark(',') => {
                        modules.push(String::new());
                        skipping = false;
                    }
                    Token::Word("as") => skipping = true,
                    Token::Word(word) if !skipping => modules.last_mut().into_iter().for_each(|m| m.push_str(word)),
                    Token::Mark('.') if !skipping => modules.last_mut().into_iter().for_each(|m| m.push('.')),
                    _ => {}
                }
            }
            modules
        }
        Some(Token::Word("from")) => {
            let mut base = String::new();
            for token in words.by_ref() {
                match token {
                    Token::Mark('.') => base.push('.'),
                    Token::Word("import") => break,
                    Token::Word(word) => base.push_str(word),
                    _ => return Vec::new(),
                }
            }
            let join = |name: &str| {
                if base.ends_with('.') || base.is_empty() { format!("{base}{name}") } else { format!("{base}.{name}") }
            };
            let mut modules = vec![base.clone()];
            let mut skip = false;
            for token in words {
                match token {
                    Token::Word("as") => skip = true,
                    Token::Word(_) if skip => skip = false,
                    Token::Word(word) => modules.push(join(word)),
                    _ => {}
                }
            }
            modules
        }
        _ => Vec::new(),
    }
}

fn python_files(folder: &Path, module: &str) -> Vec<PathBuf> {
    let names = module.trim_start_matches('.');
    let dots = module.len() - names.len();
    let mut base = folder.to_owned();
    for _ in 1..dots {
        base.pop();
    }
    base.extend(names.split('.').filter(|name| !name.is_empty()));
    if base == folder {
        return Vec::new();
    }
    vec![base.with_extension("py"), base.join("__init__.py")]
}

/// Returns the path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_beside_a_script_are_found() {
        for (file, source, wanted) in [
            ("main.py", "import helpers", "helpers.py"),
            ("main.py", "import os, helpers as h", "helpers.py"),
            ("main.py", "from helpers import ask", "helpers.py"),
            ("main.py", "from lib.ask import x", "lib/ask.py"),
            ("main.py", "from lib import ask", "lib/ask.py"),
            ("main.py", "import lib", "lib/__init__.py"),
            ("a/main.py", "from . import ask", "a/ask.py"),
            ("a/main.py", "from .ask import (\n    x,\n    y)", "a/ask.py"),
            ("a/main.py", "from ..ask import x", "ask.py"),
            ("main.js", "import { x } from './ask.js'", "ask.js"),
            ("main.js", "const x = require('./ask')", "ask.js"),
            ("a/main.ts", "import x from '../lib/ask.js'", "lib/ask.ts"),
            ("main.mjs", "await import('./lib')", "lib/index.mjs"),
        ] {
            let language = if file.ends_with("py") { Language::Python } else { Language::JavaScript };
            let found = imports(Path::new(file), source, language);
            assert!(found.contains(&PathBuf::from(wanted)), "{source}: {found:?}");
        }
        assert!(imports(Path::new("a.py"), "# import b\nx = 'import b'", Language::Python).is_empty());
        assert!(imports(Path::new("a.js"), "import x from 'openai'", Language::JavaScript).is_empty());
    }

    #[test]
    fn a_module_that_starts_itself_is_known() {
        assert!(starts_itself("if __name__ == '__main__':\n    main()", Language::Python));
        assert!(!starts_itself("# if __name__ == '__main__':", Language::Python));
        assert!(starts_itself("if (require.main === module) main()", Language::JavaScript));
        assert!(starts_itself("if (import.meta.main) main()", Language::JavaScript));
    }
}
