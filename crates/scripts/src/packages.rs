//! The packages by which programs ask models: SDKs of providers, and frameworks over them.

/// Python modules. A submodule counts as its module.
const PYTHON: [Package; 23] = [
    plain("openai"),
    plain("anthropic"),
    plain("claude_agent_sdk"),
    plain("langchain"),
    plain("langchain_openai"),
    plain("langchain_anthropic"),
    plain("langgraph"),
    plain("pydantic_ai"),
    plain("autogen"),
    plain("autogen_agentchat"),
    plain("autogen_ext"),
    plain("smolagents"),
    plain("dspy"),
    plain("semantic_kernel"),
    plain("instructor"),
    plain("litellm"),
    plain("llama_index"),
    plain("crewai"),
    unmetered("google.genai"),
    unmetered("google.generativeai"),
    unmetered("langchain_google_genai"),
    unmetered("langchain_google_vertexai"),
    unmetered("vertexai"),
];

/// Packages of npm. A subpath counts as its package.
const JAVASCRIPT: [Package; 16] = [
    plain("openai"),
    plain("@anthropic-ai/sdk"),
    plain("@anthropic-ai/claude-agent-sdk"),
    plain("ai"),
    plain("@ai-sdk/openai"),
    plain("@ai-sdk/openai-compatible"),
    plain("@ai-sdk/anthropic"),
    plain("langchain"),
    plain("@langchain/openai"),
    plain("@langchain/anthropic"),
    plain("@langchain/langgraph"),
    plain("llamaindex"),
    plain("@llamaindex/openai"),
    unmetered("@google/genai"),
    unmetered("@google/generative-ai"),
    unmetered("@ai-sdk/google"),
];

/// Prefix of the packages of OpenAI's agents for JavaScript.
const AGENTS: &str = "@openai/agents";

/// Calls that ask a model, and the beginnings of the packages whose calls they are. Without one of these packages a
/// call of that name is somebody else's. No packages: the name is enough.
pub(super) const CALLS: [Call; 28] = [
    call("chat.completions.create", &[]),
    call("responses.create", &[]),
    call("messages.create", ANTHROPIC),
    call("messages.stream", ANTHROPIC),
    call("messages.parse", ANTHROPIC),
    call("query", &["claude_agent_sdk", "@anthropic-ai/claude", "llama"]),
    call("invoke", CHAINS),
    call("ainvoke", CHAINS),
    call("astream", CHAINS),
    call("run_sync", &["pydantic_ai", "agents"]),
    call("run", &["pydantic_ai", "smolagents", "autogen", "agents", AGENTS]),
    call("run_stream", &["pydantic_ai", "autogen"]),
    call("initiate_chat", &["autogen"]),
    call("Predict", &["dspy"]),
    call("ChainOfThought", &["dspy"]),
    call("invoke_prompt", &["semantic_kernel"]),
    call("get_response", &["semantic_kernel"]),
    call("completion", &["litellm"]),
    call("acompletion", &["litellm"]),
    call("complete", &["llama"]),
    call("kickoff", &["crewai"]),
    call("generateText", VERCEL),
    call("streamText", VERCEL),
    call("generateObject", VERCEL),
    call("streamObject", VERCEL),
    call("generate_content", &["google", "vertexai"]),
    call("generate_content_stream", &["google", "vertexai"]),
    call("generateContent", &["@google"]),
];

const ANTHROPIC: &[&str] = &["anthropic", "@anthropic-ai/sdk"];
const CHAINS: &[&str] = &["langchain", "langgraph", "@langchain", "semantic_kernel"];
const VERCEL: &[&str] = &["ai", "@ai-sdk"];

/// A call that asks a model.
pub(super) struct Call {
    /// Its words, joined by points.
    pub(super) name: &'static str,
    of: &'static [&'static str],
}

const fn call(name: &'static str, of: &'static [&'static str]) -> Call {
    Call { name, of }
}

impl Call {
    /// Says whether the name alone tells what it is.
    pub(super) fn stands_alone(&self) -> bool {
        self.of.is_empty()
    }

    /// Says whether the call belongs to one of the imported packages.
    pub(super) fn is_of(&self, imports: &[String]) -> bool {
        self.stands_alone() || imports.iter().any(|import| self.of.iter().any(|begins| import.starts_with(begins)))
    }
}

struct Package {
    name: &'static str,
    /// Whether its calls can be sent through the gateway.
    metered: bool,
}

const fn plain(name: &'static str) -> Package {
    Package { name, metered: true }
}

const fn unmetered(name: &'static str) -> Package {
    Package { name, metered: false }
}

/// Returns the package of a Python module, such as `google.genai` for `google.genai.types`.
pub(super) fn of_python(module: &str) -> Option<&'static str> {
    let is = |name: &str| module == name || module.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
    PYTHON.iter().map(|package| package.name).find(|name| is(name))
}

/// Returns the package that a JavaScript module's name means, also `npm:openai@5` and `openai/index.mjs`.
pub(super) fn of_javascript(module: &str) -> Option<String> {
    let bare = module.strip_prefix("npm:").unwrap_or(module);
    let (scope, rest) = match bare.strip_prefix('@').and_then(|scoped| scoped.split_once('/')) {
        Some((scope, rest)) => (format!("@{scope}/"), rest),
        None => (String::new(), bare),
    };
    let base = rest.split(['/', '@']).next().unwrap_or("");
    let name = format!("{scope}{base}");
    // Parts of this package are for pages in a browser.
    if name == "ai" && rest.starts_with("ai/") {
        return None;
    }
    let agents = name == AGENTS || name.strip_prefix(AGENTS).is_some_and(|rest| rest.starts_with('-'));
    (agents || JAVASCRIPT.iter().any(|package| package.name == name)).then_some(name)
}

/// Says whether calls of an imported package can be sent through the gateway.
pub(super) fn is_metered(import: &str) -> bool {
    !PYTHON.iter().chain(&JAVASCRIPT).any(|package| package.name == import && !package.metered)
}

/// Returns the name by which pip installs a module.
pub(super) fn of_pip(module: &str) -> String {
    match module {
        "agents" => "openai-agents".to_owned(),
        "autogen" => "ag2".to_owned(),
        "vertexai" => "google-cloud-aiplatform".to_owned(),
        other => other.replace(['_', '.'], "-"),
    }
}
