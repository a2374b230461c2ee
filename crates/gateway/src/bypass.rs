//! Detection of provider addresses in scripts: calls to them are neither metered nor capped.

/// Hosts of providers as scripts name them. A name that begins with a dot or a dash is the end of a host name.
const HOSTS: &[&str] = &[
    "api.openai.com",
    ".openai.azure.com",
    ".services.ai.azure.com",
    "bedrock-runtime.",
    "bedrock-mantle.",
    "generativelanguage.googleapis.com",
    "/aiplatform.googleapis.com",
    "-aiplatform.googleapis.com",
    "api.anthropic.com",
    "api.mistral.ai",
    "api.groq.com",
    "api.deepseek.com",
    "api.together.xyz",
    "api.cohere.com",
    "api.fireworks.ai",
    "api.perplexity.ai",
    "api.x.ai",
    "openrouter.ai",
];

/// An address of a provider in a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bypass {
    /// Line number, from 1.
    pub line: usize,
    /// The host, or the known part of it.
    pub host: &'static str,
}

/// Finds addresses of known providers in the text of a script. Comment lines are skipped. An address that is built at
/// run time is not found.
#[must_use]
pub fn addresses(source: &str) -> Vec<Bypass> {
    let mut found = Vec::new();
    for (at, line) in source.lines().enumerate() {
        let text = line.trim_start();
        if ["#", "//", "*", "/*"].iter().any(|mark| text.starts_with(mark)) {
            continue;
        }
        let lower = text.to_ascii_lowercase();
        found.extend(HOSTS.iter().filter(|host| names(&lower, host)).map(|&host| Bypass { line: at + 1, host }));
    }
    found
}

/// Tells whether a line holds the host itself and not a longer name that ends with it (`myapi.x.ai`).
fn names(line: &str, host: &str) -> bool {
    line.match_indices(host).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        host.starts_with(['.', '-', '/']) || !before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_with_their_lines_and_comments_are_not() {
        let source = "import os\n# see https://api.openai.com/v1\nurl = 'https://API.openai.com/v1'\n\
                      c = Client(base_url=\"https://acme.openai.azure.com/openai/v1\")\n\
                      r = f'https://{loc}-aiplatform.googleapis.com/v1'\nok = 'https://myapi.x.ai.example'\n";
        let found: Vec<(usize, &str)> = addresses(source).into_iter().map(|b| (b.line, b.host)).collect();
        assert_eq!(found, [(3, "api.openai.com"), (4, ".openai.azure.com"), (5, "-aiplatform.googleapis.com")]);
        assert!(addresses("client = OpenAI()\n").is_empty());
    }
}
