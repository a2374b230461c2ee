//! Hints about the code of a script: keys written into it, reads of standard input, and files that only define
//! functions for others.

use super::lexer::{Language, Placed, Token, tokens};

/// Arguments that hold a key of a provider.
const KEYS: [&str; 2] = ["api_key", "apiKey"];
/// Words that begin a statement of Python that does nothing by itself.
const DEFINES: [&str; 7] = ["import", "from", "def", "class", "async", "global", "pass"];

/// Returns the lines that write a key into the code. Comments do not count.
pub(super) fn literal_keys(source: &str, language: Language) -> Vec<usize> {
    let tokens = tokens(source, language);
    let found = tokens.windows(3).filter(|window| {
        matches!(
            [window[0].0, window[1].0, window[2].0],
            [Token::Word(name), Token::Mark('=' | ':'), Token::Text(text)] if KEYS.contains(&name) && !text.is_empty()
        )
    });
    let mut lines: Vec<usize> = found.map(|window| window[0].1).collect();
    lines.dedup();
    lines
}

/// Returns the first line that reads standard input. `None` when the code does not.
pub(super) fn stdin_line(source: &str, language: Language) -> Option<usize> {
    let tokens = tokens(source, language);
    let reads = |window: &[Placed<'_>]| match language {
        Language::Python => matches!(
            [window[0].0, window[1].0, window[2].0],
            [Token::Word("sys"), Token::Mark('.'), Token::Word("stdin")]
        ),
        Language::JavaScript => {
            matches!(
                [window[0].0, window[1].0, window[2].0],
                [Token::Word("process"), Token::Mark('.'), Token::Word("stdin")]
                    | [Token::Word("readFileSync"), Token::Mark('('), Token::Word("0") | Token::Text("/dev/stdin")]
            )
        }
    };
    tokens.windows(3).find(|window| reads(window)).map(|window| window[0].1)
}

/// Says whether a file only imports, defines and assigns, so that running it does nothing that others could see.
pub(super) fn only_defines(source: &str, language: Language) -> bool {
    let tokens = tokens(source, language);
    match language {
        Language::Python => python_only_defines(source, &tokens),
        Language::JavaScript => javascript_only_defines(&tokens),
    }
}

/// Looks at the first token of each statement that is not indented.
fn python_only_defines(source: &str, tokens: &[Placed<'_>]) -> bool {
    let indented: Vec<bool> = source.lines().map(|line| line.starts_with([' ', '\t'])).collect();
    let (mut depth, mut begins, mut defines) = (0_i32, true, false);
    for (at, (token, line)) in tokens.iter().enumerate() {
        let first = begins && depth == 0 && !indented.get(line.saturating_sub(1)).copied().unwrap_or(false);
        match token {
            Token::Line => begins = depth == 0,
            Token::Mark('(' | '[' | '{') => depth += 1,
            Token::Mark(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        if matches!(token, Token::Line) {
            continue;
        }
        begins = false;
        if !first {
            continue;
        }
        let harmless = match token {
            Token::Word(word) if DEFINES.contains(word) => {
                defines |= matches!(*word, "def" | "class" | "async");
                true
            }
            Token::Word(_) => is_assignment(&tokens[at..]),
            Token::Text(_) | Token::Mark('@') => true,
            _ => false,
        };
        if !harmless {
            return false;
        }
    }
    defines
}

/// Says whether a statement assigns a value that needs no call of a model: `client = OpenAI()`.
fn is_assignment(tokens: &[Placed<'_>]) -> bool {
    let statement = tokens.iter().map(|(token, _)| *token).take_while(|token| !matches!(token, Token::Line));
    let statement: Vec<Token<'_>> = statement.collect();
    let assigns = matches!(statement.get(1..3), Some([Token::Mark('='), next]) if *next != Token::Mark('='))
        || matches!(statement.get(1), Some(Token::Mark(':')));
    let works = |token: &Token<'_>| matches!(token, Token::Word("create" | "run" | "run_sync" | "await" | "stream"));
    assigns && !statement.iter().any(works)
}

/// Looks for an export, and for calls and loops outside of every bracket.
fn javascript_only_defines(tokens: &[Placed<'_>]) -> bool {
    let (mut depth, mut exports) = (0_i32, false);
    let word = |at: Option<usize>| match at.and_then(|at| tokens.get(at)) {
        Some((Token::Word(word), _)) => *word,
        _ => "",
    };
    for (at, (token, _)) in tokens.iter().enumerate() {
        match token {
            Token::Mark('(') if depth == 0 => {
                let (called, before) = (word(at.checked_sub(1)), word(at.checked_sub(2)));
                let harmless = called.is_empty()
                    || ["require", "import", "async", "function"].contains(&called)
                    || ["new", "function"].contains(&before);
                if !harmless {
                    return false;
                }
                depth += 1;
            }
            Token::Mark('(' | '[' | '{') => depth += 1,
            Token::Mark(')' | ']' | '}') => depth -= 1,
            Token::Word("await" | "for" | "while" | "do" | "if" | "try") if depth == 0 => return false,
            Token::Word("export") if depth == 0 => exports = true,
            Token::Word("exports") if depth == 0 => exports = true,
            _ => {}
        }
    }
    exports
}

#[cfg(test)]
mod tests {
    use super::*;

    const JS: Language = Language::JavaScript;
    const PY: Language = Language::Python;

    #[test]
    fn keys_in_the_code_are_found_with_their_lines() {
        let python = "# api_key=\"sk-1\"\nclient = OpenAI(\n    api_key=\"sk-2\")\nother = OpenAI(api_key=KEY)\n";
        assert_eq!(literal_keys(python, PY), [3]);
        assert_eq!(literal_keys("new OpenAI({ apiKey: 'sk-1' });\nx({ apiKey: process.env.KEY })", JS), [1]);
        assert_eq!(literal_keys("OpenAI(api_key=\"\")", PY), [0_usize; 0]);
    }

    #[test]
    fn reads_of_standard_input_are_found() {
        assert_eq!(stdin_line("import sys\ndata = json.load(sys.stdin)", PY), Some(2));
        assert_eq!(stdin_line("# sys.stdin\nprint(1)", PY), None);
        assert_eq!(stdin_line("for await (const line of process.stdin) {}", JS), Some(1));
        assert_eq!(stdin_line("const text = fs.readFileSync(0, 'utf8')", JS), Some(1));
    }

    #[test]
    fn files_that_only_define_are_told_from_those_that_work() {
        for (source, language) in [
            (
                "\"\"\"Helps.\"\"\"\nfrom openai import OpenAI\nclient = OpenAI()\n\ndef ask(q):\n    return client.responses.create(input=q)\n",
                PY,
            ),
            ("import openai\nMODELS = [\n    'a',\n]\nclass Helper:\n    def run(self):\n        print(1)\n", PY),
            (
                "import OpenAI from 'openai';\nconst client = new OpenAI();\nexport async function ask(q) { return client.responses.create({ input: q }); }",
                JS,
            ),
            ("const OpenAI = require('openai');\nmodule.exports = { ask: (q) => q };", JS),
        ] {
            assert!(only_defines(source, language), "{source}");
        }
        for (source, language) in [
            ("from openai import OpenAI\nclient = OpenAI()\nprint(client)\n", PY),
            ("import openai\ndef main():\n    pass\nmain()\n", PY),
            ("import openai\nwhile True:\n    pass\n", PY),
            ("import openai\nanswer = openai.responses.create(input='x')\n", PY),
            ("import openai\nclient = openai.OpenAI()\n", PY),
            ("import OpenAI from 'openai';\nexport const x = 1;\nsetInterval(() => ask(), 1000);", JS),
            ("import OpenAI from 'openai';\nexport const x = await ask();", JS),
            ("import OpenAI from 'openai';\nconst client = new OpenAI();", JS),
        ] {
            assert!(!only_defines(source, language), "{source}");
        }
    }
}
