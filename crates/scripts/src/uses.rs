//! The parts of the provider's SDK that a script uses, by its imports and calls.

use serde::Serialize;

use super::lexer::{Language, Placed, Token, tokens};

/// The parts of the SDK that a script uses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Uses {
    /// The packages of the OpenAI SDK that it imports: `openai`, `@openai/agents`, `agents`.
    pub imports: Vec<String>,
    /// The calls it makes: `chat.completions.create`, `responses.create`.
    pub calls: Vec<&'static str>,
}

/// The calls that are searched for, word by word.
const CALLS: [(&str, &[&str]); 2] =
    [("chat.completions.create", &["chat", "completions", "create"]), ("responses.create", &["responses", "create"])];

impl Uses {
    /// Says whether it uses the SDK at all.
    #[must_use]
    pub fn sdk(&self) -> bool {
        !self.imports.is_empty() || !self.calls.is_empty()
    }

    /// Returns a description for people.
    #[must_use]
    pub fn in_words(&self) -> String {
        let imports = self.imports.iter().map(|import| format!("imports {import}"));
        let calls = self.calls.iter().map(|call| format!("calls {call}"));
        imports.chain(calls).collect::<Vec<_>>().join(", ")
    }

    /// Returns what the code of a script uses. Comments and strings do not count.
    pub(super) fn of(source: &str, language: Language) -> Uses {
        let tokens = tokens(source, language);
        let mut uses = Uses::default();
        for at in 0..tokens.len() {
            let import = match language {
                Language::JavaScript => javascript_import(&tokens[at..]),
                Language::Python => python_import(&tokens, at),
            };
            if let Some(package) = import.filter(|package| !uses.imports.contains(package)) {
                uses.imports.push(package);
            }
            for (name, words) in CALLS {
                if !uses.calls.contains(&name) && calls(&tokens[at..], words) {
                    uses.calls.push(name);
                }
            }
        }
        uses
    }
}

fn word<'a>(placed: Option<&Placed<'a>>) -> Option<&'a str> {
    match placed {
        Some((Token::Word(word), _)) => Some(word),
        _ => None,
    }
}

fn text<'a>(placed: Option<&Placed<'a>>) -> Option<&'a str> {
    match placed {
        Some((Token::Text(text), _)) => Some(text),
        _ => None,
    }
}

fn is_mark(placed: Option<&Placed<'_>>, mark: char) -> bool {
    matches!(placed, Some((Token::Mark(c), _)) if *c == mark)
}

/// Returns the package of the SDK that a module's name means.
fn package(module: &str) -> Option<String> {
    let bare = module.strip_prefix("npm:").unwrap_or(module);
    let base = if let Some(scoped) = bare.strip_prefix("@openai/") {
        let name = scoped.split(['/', '@']).next().unwrap_or("");
        return (name == "agents" || name.starts_with("agents-")).then(|| format!("@openai/{name}"));
    } else {
        bare.split(['/', '@']).next().unwrap_or("")
    };
    (base == "openai").then(|| base.to_owned())
}

/// Finds `from 'openai'`, `import 'openai'`, `import('openai')`, `require('openai')`, `import OpenAI`.
fn javascript_import(tokens: &[Placed<'_>]) -> Option<String> {
    let first = word(tokens.first())?;
    match first {
        "from" => package(text(tokens.get(1))?),
        "import" if word(tokens.get(1)) == Some("OpenAI") && word(tokens.get(2)) == Some("from") => {
            Some(package(text(tokens.get(3))?).unwrap_or_else(|| "openai".to_owned()))
        }
        "import" if text(tokens.get(1)).is_some() => package(text(tokens.get(1))?),
        "import" | "require" if is_mark(tokens.get(1), '(') => package(text(tokens.get(2))?),
        _ => None,
    }
}

/// The names that identify the OpenAI Agents SDK for Python; its module has a common name.
const AGENTS: [&str; 6] = ["Agent", "Runner", "function_tool", "Handoff", "handoff", "GuardrailFunctionOutput"];

/// Finds `import openai`, `import a, openai.types as b`, `from openai import`, `from agents import Agent`.
fn python_import(tokens: &[Placed<'_>], at: usize) -> Option<String> {
    let begins = at == 0 || matches!(tokens[at - 1].0, Token::Line | Token::Mark(';' | ':'));
    let statement = &tokens[at..];
    if !begins {
        return None;
    }
    match word(statement.first())? {
        "import" => {
            let mut fresh = true;
            for placed in &statement[1..] {
                match placed.0 {
                    Token::Word("openai") if fresh => return Some("openai".to_owned()),
                    Token::Line => return None,
                    Token::Mark(',') => fresh = true,
                    _ => fresh = false,
                }
            }
            None
        }
        "from" if word(statement.get(1)) == Some("openai") => Some("openai".to_owned()),
        "from" if word(statement.get(1)) == Some("agents") => {
            let names = statement[2..].iter().skip_while(|placed| placed.0 != Token::Word("import")).skip(1);
            let mut open = false;
            for (token, _) in names {
                match token {
                    Token::Word(name) if AGENTS.contains(name) => return Some("agents".to_owned()),
                    Token::Mark('(') => open = true,
                    Token::Mark(')') => return None,
                    Token::Line if !open => return None,
                    _ => {}
                }
            }
            None
        }
        _ => None,
    }
}

/// Finds `.chat.completions.create(`, also over several lines and with `?.`.
fn calls(tokens: &[Placed<'_>], words: &[&str]) -> bool {
    let mut rest = tokens.iter().filter(|(token, _)| !matches!(token, Token::Line | Token::Mark('?')));
    words.iter().all(|wanted| {
        matches!(rest.next(), Some((Token::Mark('.'), _)))
            && matches!(rest.next(), Some((Token::Word(w), _)) if w == wanted)
    }) && matches!(rest.next(), Some((Token::Mark('('), _)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const JS: Language = Language::JavaScript;
    const PY: Language = Language::Python;

    #[test]
    fn imports_and_calls_are_recognised_in_every_form() {
        for source in [
            "import OpenAI from 'openai';",
            "import OpenAI, { toFile } from \"openai\"",
            "import { OpenAI } from 'openai/index.mjs'",
            "import 'openai/shims/node'",
            "const OpenAI = require('openai')",
            "const { OpenAI } = await import(\"openai\")",
            "export { OpenAI } from 'openai'",
            "import OpenAI from 'https://esm.sh/openai@4'",
            "import OpenAI from 'npm:openai@5'",
            "x = a / b; import('openai') // '",
            "`${await import('openai')}`",
            "if (/['\"]/.test(x)) require('openai')",
        ] {
            assert_eq!(Uses::of(source, JS).imports, ["openai"], "{source}");
        }
        assert_eq!(Uses::of("import { Agent, run } from '@openai/agents';", JS).imports, ["@openai/agents"]);
        for source in [
            "import openai",
            "import os, openai as ai",
            "import openai.types",
            "from openai import OpenAI",
            "from openai.types.chat import X",
            "try:\n    import openai\nexcept ImportError: pass",
            "x = 1; import openai",
            "if x: from openai import AsyncOpenAI",
        ] {
            assert_eq!(Uses::of(source, PY).imports, ["openai"], "{source}");
        }
        assert_eq!(Uses::of("from agents import (\n    Runner,\n    Agent)\n", PY).imports, ["agents"]);
        for (source, language) in [
            ("await client.chat.completions.create({})", JS),
            ("client\n  .chat\n  ?.completions\n  .create(", JS),
            ("client.chat.completions.create(\n", PY),
            ("(client.chat\n   .completions.create(x))", PY),
        ] {
            assert_eq!(Uses::of(source, language).calls, ["chat.completions.create"], "{source}");
        }
        assert_eq!(Uses::of("r = client.responses.create(model=m)", PY).calls, ["responses.create"]);
    }

    #[test]
    fn comments_strings_and_namesakes_are_not() {
        for source in [
            "// import OpenAI from 'openai'",
            "/* require('openai')\n client.responses.create() */",
            "const s = \"import OpenAI from 'openai'\"",
            "const s = `require('openai') ${1 + `from 'openai'`} from 'openai'`",
            "const r = /require('openai')/",
            "import x from 'openai-like'",
            "import x from './openai'",
            "responses.created(); chat.completions.create",
            "const openai = 1; from = 'openai'",
        ] {
            assert!(!Uses::of(source, JS).sdk(), "{source}: {:?}", Uses::of(source, JS));
        }
        for source in [
            "# import openai",
            "'''\nimport openai\n'''",
            "x = \"\\\nimport openai\"",
            "import openai_like",
            "from myopenai import x",
            "from .openai import x",
            "from agents import my_helper\nAgent = 1",
            "important = openai",
            "print('from openai import OpenAI')",
        ] {
            assert!(!Uses::of(source, PY).sdk(), "{source}: {:?}", Uses::of(source, PY));
        }
    }

    proptest! {
        /// Reading ends for any file, and lines stay lines.
        #[test]
        fn any_text_can_be_read(source in "(?s).{0,300}", pieces in proptest::collection::vec(
            prop_oneof![Just("'"), Just("\""), Just("`"), Just("${"), Just("}"), Just("/"), Just("/*"), Just("*/"), Just("#"),
                Just("\\"), Just("\n"), Just("'''"), Just("import openai"), Just("é")], 0..40)) {
            for text in [source, pieces.concat()] {
                for language in [JS, PY] {
                    let _ = Uses::of(&text, language);
                    let bare = super::super::lexer::without_comments(&text, language);
                    prop_assert_eq!(bare.matches('\n').count(), text.matches('\n').count());
                }
            }
        }

        /// Text in a comment or in a string never counts; code after it always does.
        #[test]
        fn only_code_counts(words in "[a-z ('\"]{0,30}") {
            let words = words.replace(['\'', '"'], "");
            let hidden = [
                (JS, format!("// {words} import OpenAI from 'openai'\n"), "import OpenAI from 'openai'"),
                (JS, format!("/* {words}\nrequire('openai') */\n"), "require('openai')"),
                (JS, format!("const s = \"{words} require('openai')\";\n"), "require('openai')"),
                (JS, format!("const s = `{words}\nrequire('openai')`;\n"), "require('openai')"),
                (PY, format!("# {words} import openai\n"), "import openai"),
                (PY, format!("s = '''{words}\nimport openai\n'''\n"), "import openai"),
                (PY, format!("s = \"{words}; import openai\"\n"), "import openai"),
            ];
            for (language, hidden, code) in hidden {
                prop_assert!(!Uses::of(&hidden, language).sdk(), "{}", hidden);
                prop_assert_eq!(Uses::of(&format!("{hidden}{code}\n"), language).imports, ["openai"], "{}", hidden);
            }
        }
    }
}
