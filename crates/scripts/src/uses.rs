//! The SDKs and frameworks by which a script asks models, by its imports and calls.

use serde::Serialize;

use super::{
    lexer::{Language, Placed, Token, tokens},
    packages::{self, CALLS},
};

/// The SDKs and frameworks that a script uses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Uses {
    /// The packages that it imports, as its language names them: `openai`, `@openai/agents`, `langgraph`.
    pub imports: Vec<String>,
    /// The calls it makes: `chat.completions.create`, `responses.create`.
    pub calls: Vec<&'static str>,
}

impl Uses {
    /// Says whether it asks models at all.
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

    /// Returns a warning about packages whose calls cannot be sent through the gateway.
    #[must_use]
    pub fn unmetered(&self) -> Option<String> {
        let names: Vec<&str> =
            self.imports.iter().map(String::as_str).filter(|import| !packages::is_metered(import)).collect();
        (!names.is_empty()).then(|| {
            let names = names.join(", ");
            format!("calls of {names} are unmetered: they go to the provider past the gateway, with a key of their own")
        })
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
        }
        let wanted: Vec<_> = CALLS.iter().filter(|call| call.is_of(&uses.imports)).collect();
        for at in 0..tokens.len() {
            for call in &wanted {
                if !uses.calls.contains(&call.name) && calls(&tokens, at, call.name, !call.stands_alone()) {
                    uses.calls.push(call.name);
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

/// Finds `from 'openai'`, `import 'openai'`, `import('openai')`, `require('openai')`, `import OpenAI`.
fn javascript_import(tokens: &[Placed<'_>]) -> Option<String> {
    let first = word(tokens.first())?;
    match first {
        "from" => packages::of_javascript(text(tokens.get(1))?),
        "import" if word(tokens.get(1)) == Some("OpenAI") && word(tokens.get(2)) == Some("from") => {
            Some(packages::of_javascript(text(tokens.get(3))?).unwrap_or_else(|| "openai".to_owned()))
        }
        "import" if text(tokens.get(1)).is_some() => packages::of_javascript(text(tokens.get(1))?),
        "import" | "require" if is_mark(tokens.get(1), '(') => packages::of_javascript(text(tokens.get(2))?),
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
            let line = statement[1..].iter().take_while(|placed| placed.0 != Token::Line);
            let line: Vec<Placed<'_>> = line.copied().collect();
            let mut modules = line.split(|placed| placed.0 == Token::Mark(','));
            modules.find_map(|module| packages::of_python(&dotted(module))).map(str::to_owned)
        }
        "from" if word(statement.get(1)) == Some("agents") && word(statement.get(2)) == Some("import") => {
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
        "from" => {
            let module = dotted(&statement[1..]);
            // `from google import genai` names the module in two parts.
            let parts = statement.iter().skip_while(|placed| placed.0 != Token::Word("import")).skip(1);
            let parts = parts.take_while(|placed| placed.0 != Token::Line).filter_map(|placed| word(Some(placed)));
            let mut named = parts.map(|part| format!("{module}.{part}"));
            packages::of_python(&module)
                .or_else(|| named.find_map(|name| packages::of_python(&name)))
                .map(str::to_owned)
        }
        _ => None,
    }
}

/// Reads a name with points, such as `google.genai`.
fn dotted(tokens: &[Placed<'_>]) -> String {
    let mut name = String::new();
    for (token, _) in tokens {
        match token {
            Token::Word("as" | "import") => break,
            Token::Word(word) => name.push_str(word),
            Token::Mark('.') => name.push('.'),
            _ => break,
        }
    }
    name
}

/// Finds `.chat.completions.create(`, also over several lines and with `?.`. `bare`: also a function that was imported
/// by itself, such as `completion(`, but not one that is defined here.
fn calls(tokens: &[Placed<'_>], at: usize, name: &str, bare: bool) -> bool {
    let mut rest = tokens[at..].iter().filter(|(token, _)| !matches!(token, Token::Line | Token::Mark('?')));
    let mut words = name.split('.').peekable();
    let first = word(tokens.get(at)).filter(|first| bare && words.peek() == Some(first));
    if first.is_some() && !name.contains('.') {
        let defined = at > 0 && matches!(tokens[at - 1].0, Token::Word("def" | "function") | Token::Mark('.'));
        rest.next();
        return !defined && matches!(rest.next(), Some((Token::Mark('('), _)));
    }
    words.all(|wanted| {
        matches!(rest.next(), Some((Token::Mark('.'), _)))
            && matches!(rest.next(), Some((Token::Word(w), _)) if *w == wanted)
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
    fn scripts_of_each_framework_are_recognised() {
        for (source, language, import, call) in [
            (
                "from anthropic import Anthropic\nclient = Anthropic()\nm = client.messages.create(model='fast')",
                PY,
                "anthropic",
                "messages.create",
            ),
            (
                "import anthropic\nwith anthropic.Anthropic().messages.stream(max_tokens=9) as s: pass",
                PY,
                "anthropic",
                "messages.stream",
            ),
            (
                "from claude_agent_sdk import query\nasync for m in query(prompt='x'):\n    print(m)",
                PY,
                "claude_agent_sdk",
                "query",
            ),
            (
                "from langchain_openai import ChatOpenAI\nprint(ChatOpenAI(model='fast').invoke('x'))",
                PY,
                "langchain_openai",
                "invoke",
            ),
            ("from langchain.agents import create_agent\ncreate_agent('fast').invoke({})", PY, "langchain", "invoke"),
            (
                "from langgraph.graph import StateGraph\napp = g.compile()\nawait app.ainvoke({})",
                PY,
                "langgraph",
                "ainvoke",
            ),
            ("from pydantic_ai import Agent\nprint(Agent('openai:fast').run_sync('x'))", PY, "pydantic_ai", "run_sync"),
            (
                "from autogen_agentchat.agents import AssistantAgent\nawait agent.run(task='x')",
                PY,
                "autogen_agentchat",
                "run",
            ),
            ("import autogen\nuser.initiate_chat(bot, message='x')", PY, "autogen", "initiate_chat"),
            (
                "from smolagents import CodeAgent, OpenAIServerModel\nCodeAgent(tools=[]).run('x')",
                PY,
                "smolagents",
                "run",
            ),
            ("import dspy\ndspy.Predict('q -> a')(q='x')", PY, "dspy", "Predict"),
            ("import semantic_kernel as sk\nawait kernel.invoke_prompt('x')", PY, "semantic_kernel", "invoke_prompt"),
            (
                "import instructor\nclient.chat.completions.create(response_model=M)",
                PY,
                "instructor",
                "chat.completions.create",
            ),
            ("from litellm import completion\ncompletion(model='openai/fast')", PY, "litellm", "completion"),
            ("import litellm\nlitellm.completion(model='openai/fast')", PY, "litellm", "completion"),
            ("from llama_index.llms.openai import OpenAI\nOpenAI().complete('x')", PY, "llama_index", "complete"),
            ("from crewai import Agent, Crew\nCrew(agents=[]).kickoff()", PY, "crewai", "kickoff"),
            (
                "from google import genai\nclient.models.generate_content(model='m')",
                PY,
                "google.genai",
                "generate_content",
            ),
            (
                "import google.generativeai as genai\nmodel.generate_content('x')",
                PY,
                "google.generativeai",
                "generate_content",
            ),
            (
                "import Anthropic from '@anthropic-ai/sdk';\nawait client.messages.create({})",
                JS,
                "@anthropic-ai/sdk",
                "messages.create",
            ),
            (
                "import { query } from '@anthropic-ai/claude-agent-sdk';\nfor await (const m of query({})) {}",
                JS,
                "@anthropic-ai/claude-agent-sdk",
                "query",
            ),
            ("import { generateText } from 'ai';\nawait generateText({})", JS, "ai", "generateText"),
            (
                "import { openai } from '@ai-sdk/openai';\nimport { streamText } from 'ai';\nstreamText({})",
                JS,
                "@ai-sdk/openai",
                "streamText",
            ),
            ("import { Agent, run } from '@openai/agents';\nawait run(agent, 'x')", JS, "@openai/agents", "run"),
            (
                "import { ChatOpenAI } from '@langchain/openai';\nawait model.invoke('x')",
                JS,
                "@langchain/openai",
                "invoke",
            ),
            (
                "import { GoogleGenAI } from '@google/genai';\nawait ai.models.generateContent({})",
                JS,
                "@google/genai",
                "generateContent",
            ),
        ] {
            let uses = Uses::of(source, language);
            assert_eq!(uses.imports.first().map(String::as_str), Some(import), "{source}");
            assert!(uses.calls.contains(&call), "{source}: {:?}", uses.calls);
            assert_eq!(uses.unmetered().is_some(), import.contains("google"), "{source}");
        }
        let both = Uses::of("import anthropic, google.genai\nfrom google import genai", PY);
        assert_eq!(both.imports, ["anthropic", "google.genai"]);
        assert!(both.unmetered().is_some_and(|why| why.starts_with("calls of google.genai are unmetered")));
    }

    #[test]
    fn calls_of_other_packages_with_the_same_names_are_not() {
        for (source, language) in [
            ("from twilio.rest import Client\nclient.messages.create(body='x')", PY),
            ("import subprocess\nsubprocess.run(['ls'])", PY),
            ("from google.cloud import storage", PY),
            ("from langchain_text_splitters import X", PY),
            ("from .anthropic import x\nimport anthropic_like", PY),
            ("import { useChat } from 'ai/react'", JS),
            ("import x from '@ai-sdk/react'; import y from './ai'", JS),
            ("import { query } from './db'; query('x')", JS),
        ] {
            assert!(!Uses::of(source, language).sdk(), "{source}: {:?}", Uses::of(source, language));
        }
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
