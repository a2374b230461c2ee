//! Addresses to which keys are sent, and whether each key is meant for its address.

use std::path::PathBuf;

use crate::{
    clock::Clock,
    config::{ConfigError, GatewayConfig, Kind, Provider},
    providers::Server,
};

/// A key that is sent to a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Sends {
    /// Name of the provider in the configuration.
    pub provider: String,
    /// Source of the key.
    pub key: KeyPlace,
    pub url: String,
    /// Source of the address.
    pub said_by: SaidBy,
    /// Whether the key is meant for that address: the service's own, or a variable of this provider alone.
    pub meant: bool,
}

/// Source of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPlace {
    /// An environment variable.
    Variable(String),
    /// A file.
    File(PathBuf),
}

/// Source of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SaidBy {
    /// An environment variable.
    Variable(String),
    /// The entry of the provider in the configuration.
    Entry,
}

impl Sends {
    /// Describes the key and the address for people.
    #[must_use]
    pub fn in_words(&self) -> String {
        match &self.key {
            KeyPlace::Variable(name) => format!("{name} -> {}", self.url),
            KeyPlace::File(path) => format!("file {} -> {}", path.display(), self.url),
        }
    }
}

impl GatewayConfig {
    /// Returns the keys that are set, and the address of each.
    ///
    /// # Errors
    /// When an address is invalid.
    pub fn sends(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Vec<Sends>, ConfigError> {
        let mut sends = Vec::new();
        for (name, provider) in &self.providers {
            let Some(server) = Server::new(name, provider, env, &Clock::default())? else { continue };
            let url = &server.base;
            let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
            let said_by = said_by(provider, env);
            let variable = provider.key_variable().filter(|variable| env(variable).is_some());
            let usual = match provider.kind {
                Kind::Openai => Some("OPENAI_API_KEY"),
                kind => kind.usual_variable(),
            };
            let own_host = url.scheme() == "https" && usual.is_some_and(|variable| is_meant(variable, &host));
            let keys = provider.api_key_file.iter().map(|path| (KeyPlace::File(path.clone()), own_host));
            let of_variable = variable.map(|name| {
                let meant = is_meant(name, &host) && url.scheme() == "https" || is_nobodys(name);
                (KeyPlace::Variable(name.to_owned()), meant)
            });
            sends.extend(keys.chain(of_variable).map(|(key, meant)| Sends {
                provider: name.clone(),
                key,
                url: url.to_string(),
                said_by: said_by.clone(),
                meant,
            }));
        }
        Ok(sends)
    }
}

fn said_by(provider: &Provider, env: &dyn Fn(&str) -> Option<String>) -> SaidBy {
    let set = |name: &&String| env(name).is_some_and(|value| !value.trim().is_empty());
    provider.base_url_env.as_ref().filter(set).map_or(SaidBy::Entry, |name| SaidBy::Variable(name.clone()))
}

/// Key variables of services, and the hosts that their keys are meant for. A host that begins with a dot stands for all
/// that end with it.
const SERVICES: [(&str, &[&str]); 22] = [
    ("OPENAI_API_KEY", &["api.openai.com", ".api.openai.com"]),
    ("OPENAI_ADMIN_KEY", &["api.openai.com"]),
    ("ANTHROPIC_API_KEY", &["api.anthropic.com"]),
    ("GEMINI_API_KEY", &["generativelanguage.googleapis.com"]),
    ("GOOGLE_API_KEY", &["generativelanguage.googleapis.com"]),
    ("VERTEX_ACCESS_TOKEN", &["aiplatform.googleapis.com"]),
    ("AZURE_OPENAI_API_KEY", &[".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com"]),
    ("AWS_BEARER_TOKEN_BEDROCK", &[]),
    ("MISTRAL_API_KEY", &["api.mistral.ai"]),
    ("GROQ_API_KEY", &["api.groq.com"]),
    ("DEEPSEEK_API_KEY", &["api.deepseek.com"]),
    ("OPENROUTER_API_KEY", &["openrouter.ai"]),
    ("TOGETHER_API_KEY", &["api.together.xyz", "api.together.ai"]),
    ("FIREWORKS_API_KEY", &["api.fireworks.ai"]),
    ("XAI_API_KEY", &["api.x.ai"]),
    ("COHERE_API_KEY", &["api.cohere.com", "api.cohere.ai"]),
    ("PERPLEXITY_API_KEY", &["api.perplexity.ai"]),
    ("CEREBRAS_API_KEY", &["api.cerebras.ai"]),
    ("NVIDIA_API_KEY", &["integrate.api.nvidia.com"]),
    ("HF_TOKEN", &["router.huggingface.co", "api-inference.huggingface.co"]),
    ("GITHUB_TOKEN", &["models.github.ai", "models.inference.ai.azure.com"]),
    ("DASHSCOPE_API_KEY", &["dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com"]),
];

/// Prefixes of variables that hold secrets of other services than model providers.
const OTHERS: [&str; 40] = [
    "AWS_",
    "AZURE_",
    "GOOGLE_",
    "GCP_",
    "GCLOUD_",
    "CLOUDSDK_",
    "GITHUB_",
    "GH_",
    "GITLAB_",
    "BITBUCKET_",
    "CI_",
    "NPM_",
    "NODE_",
    "YARN_",
    "PYPI_",
    "TWINE_",
    "UV_",
    "CARGO_",
    "DOCKER_",
    "REGISTRY_",
    "SLACK_",
    "STRIPE_",
    "TWILIO_",
    "SENDGRID_",
    "HF_",
    "HUGGING",
    "CLOUDFLARE_",
    "DIGITALOCEAN_",
    "HEROKU_",
    "VAULT_",
    "KUBE",
    "SSH_",
    "GPG_",
    "PG",
    "MYSQL_",
    "REDIS_",
    "SENTRY_",
    "DD_",
    "DATADOG_",
    "KAPELLE_",
];

/// Tells whether the key of a variable is meant for a host.
fn is_meant(variable: &str, host: &str) -> bool {
    let of = |wanted: &&str| match wanted.strip_prefix('.') {
        Some(_) => host.ends_with(*wanted),
        None => host == *wanted,
    };
    match variable {
        "AWS_BEARER_TOKEN_BEDROCK" => {
            let parts: Vec<&str> = host.split('.').collect();
            matches!(
                parts[..],
                ["bedrock-runtime" | "bedrock", _, "amazonaws", "com"] | ["bedrock-mantle", _, "api", "aws"]
            )
        }
        "VERTEX_ACCESS_TOKEN" => {
            let region = host.strip_suffix("-aiplatform.googleapis.com");
            host == "aiplatform.googleapis.com" || region.is_some_and(|region| !region.contains('.'))
        }
        _ => SERVICES.iter().any(|(name, hosts)| *name == variable && hosts.iter().any(of)),
    }
}

/// Tells whether a variable belongs to a provider of the user's own, such as `LOCAL_KEY`. It is named as a key is, and
/// is not that of a known service.
fn is_nobodys(variable: &str) -> bool {
    let name = variable.to_ascii_uppercase();
    let service = SERVICES.iter().any(|(service, _)| *service == name);
    let family = SERVICES
        .iter()
        .any(|(service, _)| service.split_once('_').is_some_and(|(family, _)| name.starts_with(&format!("{family}_"))));
    let other = OTHERS.iter().any(|begins| name.starts_with(begins));
    let like_a_key = ["KEY", "TOKEN", "SECRET"].iter().any(|ends| name.ends_with(ends));
    like_a_key && !service && !family && !other
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(provider: Provider, env: &[(&str, &str)]) -> Result<Vec<(String, bool)>, ConfigError> {
        let providers = std::iter::once(("p".to_owned(), provider)).collect();
        let config = GatewayConfig { providers, ..GatewayConfig::default() };
        let value = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let sends = config.sends(&value)?;
        Ok(sends.into_iter().map(|sends| (sends.in_words(), sends.meant)).collect())
    }

    fn meant(kind: Kind, base: Option<&str>, variable: Option<&str>) -> bool {
        let mut provider = Provider::of(kind);
        provider.base_url = base.map(str::to_owned);
        provider.api_key_env = variable.map(str::to_owned);
        provider.resource = Some("res".to_owned());
        provider.region = Some("eu-west-1".to_owned());
        provider.project = Some("p".to_owned());
        let name = provider.key_variable().unwrap().to_owned();
        sent(provider, &[(&name, "secret")]).unwrap()[0].1
    }

    #[test]
    fn a_key_is_meant_for_the_hosts_of_its_service_only() {
        for (kind, variable) in [
            (Kind::Openai, Some("OPENAI_API_KEY")),
            (Kind::Azure, None),
            (Kind::Bedrock, None),
            (Kind::Gemini, None),
            (Kind::Vertex, None),
            (Kind::Anthropic, None),
        ] {
            assert!(meant(kind, None, variable), "{kind:?}");
            let mut file = Provider { api_key_file: Some("/run/token".into()), ..Provider::of(kind) };
            (file.resource, file.region, file.project) = (Some("r".into()), Some("eu".into()), Some("p".into()));
            assert!(sent(file.clone(), &[]).unwrap()[0].1, "{kind:?}");
            file.base_url = Some("https://llm.example/v1".to_owned());
            assert!(!sent(file, &[]).unwrap()[0].1, "{kind:?}");
            for elsewhere in
                ["http://127.0.0.1:9/v1", "https://llm.example/v1", "https://api.openai.com.evil.example/v1"]
            {
                assert!(!meant(kind, Some(elsewhere), variable), "{kind:?} {elsewhere}");
            }
        }
        for (variable, base, right) in [
            ("GROQ_API_KEY", "https://api.groq.com/openai/v1", true),
            ("GROQ_API_KEY", "http://127.0.0.1:1/v1", false),
            ("OPENAI_API_KEY", "https://eu.api.openai.com/v1", true),
            ("OPENAI_API_KEY", "https://evilapi.openai.com/v1", false),
            ("LOCAL_KEY", "http://127.0.0.1:1/v1", true),
            ("UP_KEY", "https://llm.example/v1", true),
            ("HOME", "https://llm.example/v1", false),
            ("AWS_SECRET_ACCESS_KEY", "https://llm.example/v1", false),
            ("GITHUB_TOKEN", "https://llm.example/v1", false),
            ("openai_api_key", "https://llm.example/v1", false),
            ("OPENAI_OTHER_KEY", "https://llm.example/v1", false),
        ] {
            assert_eq!(meant(Kind::Compatible, Some(base), Some(variable)), right, "{variable} {base}");
        }
        assert!(!is_meant("AWS_BEARER_TOKEN_BEDROCK", "bucket.s3.amazonaws.com"));
        assert!(!is_meant("VERTEX_ACCESS_TOKEN", "a.evil-aiplatform.googleapis.com.example"));
    }

    #[test]
    fn parts_of_an_address_that_lead_elsewhere_are_seen() {
        let azure = Provider { resource: Some("evil.example/".to_owned()), ..Provider::of(Kind::Azure) };
        let sent = sent(azure, &[("AZURE_OPENAI_API_KEY", "k")]).unwrap();
        assert!(!sent[0].1 && sent[0].0.contains("https://evil.example/"), "{sent:?}");
    }

    #[test]
    fn plain_http_beyond_this_machine_needs_a_word() {
        let at = |base: &str, insecure| {
            let provider = Provider { base_url: Some(base.to_owned()), insecure, ..Provider::of(Kind::Compatible) };
            sent(provider, &[]).map_err(|error| error.to_string())
        };
        for local in ["http://127.0.0.1:1/v1", "http://localhost/v1", "http://[::1]/v1", "http://127.9.9.9/v1"] {
            assert_eq!(at(local, false), Ok(vec![]), "{local}");
        }
        for far in ["http://llm.example.internal/v1", "http://10.0.0.1/v1", "http://localhost.evil.example/v1"] {
            assert!(at(far, false).unwrap_err().contains("plain http to another machine"), "{far}");
            assert_eq!(at(far, true), Ok(vec![]), "{far}");
        }
    }
}
