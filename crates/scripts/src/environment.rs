//! The environment of a script: a clean one, with only what the script needs.

use std::{collections::BTreeMap, fs::File, io::Read as _, path::PathBuf};

use super::{discover::Script, token::Access};

/// Variables that every script inherits, because programs do not run without them.
const ALWAYS: [&str; 9] = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "PYENV_ROOT"];

/// The longest file that holds a secret, in bytes.
const SECRET_MAX: u64 = 16 << 10;

/// Says whether a variable of that name is likely to hold a secret.
#[must_use]
pub fn sounds_secret(name: &str) -> bool {
    let name = name.to_uppercase();
    ["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL"].iter().any(|part| name.contains(part))
}
/// Variables that turn off the telemetry of SDKs, unless the settings say otherwise.
const QUIET: [(&str, &str); 1] = [("OPENAI_AGENTS_DISABLE_TRACING", "1")];

/// Variables that lead to the gateway. Those of this process name the provider and its key, and are never passed on.
const GATEWAY: [&str; 8] = [
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "OPENAI_API_BASE",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_API_BASE",
    "KAPELLE_TOKEN",
];

/// Returns the value of a variable.
pub type Lookup = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Settings that all scripts share.
pub struct Surroundings {
    /// Lookup of the variables of this process.
    pub lookup: Lookup,
    /// Names of variables that hold keys of providers. They are never passed on.
    pub keys: Vec<String>,
    /// Values that are removed from every script's output: keys and passwords of the user.
    pub secrets: Vec<String>,
    /// Files whose content is such a value, such as the token of the data folder. They are read when a process is
    /// started, because they may be made or replaced later.
    pub secret_files: Vec<PathBuf>,
    /// The address of the server, when there is one.
    pub url: Option<String>,
    /// The default model alias for scripts.
    pub model: String,
}

/// A process that is about to start.
pub(super) struct Person<'a> {
    pub(super) script: &'a Script,
    pub(super) id: &'a str,
    pub(super) instance: u32,
    pub(super) access: Option<&'a Access>,
    pub(super) task: Option<(&'a str, u32)>,
    pub(super) trace: &'a str,
}

impl Surroundings {
    /// Says whether a variable is a key that may not be passed on.
    #[must_use]
    pub fn is_key(&self, name: &str) -> bool {
        self.keys.iter().any(|key| key == name) || GATEWAY.contains(&name)
    }

    /// Returns the whole environment of a process.
    pub(super) fn of(&self, person: &Person<'_>) -> Vec<(String, String)> {
        let settings = &person.script.settings;
        let mut all = BTreeMap::new();
        let passed = ALWAYS.iter().copied().chain(settings.passed.iter().map(String::as_str));
        for name in passed.filter(|name| !self.is_key(name)) {
            all.extend((self.lookup)(name).map(|value| (name.to_owned(), value)));
        }
        // The SDK's traces hold prompts and answers and would go to the provider past the gateway, with the script's
        // token.
        for (name, value) in QUIET {
            all.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
        let own = settings.environment.iter().filter(|(name, _)| !self.is_key(name));
        all.extend(own.map(|(name, value)| (name.clone(), value.clone())));
        let mut give = |name: &str, value: &str| drop(all.insert(name.to_owned(), value.to_owned()));
        give("AI_MODEL", settings.model.as_deref().unwrap_or(&self.model));
        give("KAPELLE_WORKER", person.script.name.as_str());
        give("KAPELLE_WORKER_ID", person.id);
        give("KAPELLE_INSTANCE", &person.instance.to_string());
        give("KAPELLE_MODE", person.script.mode().as_str());
        give("TRACEPARENT", person.trace);
        // Output appears at once instead of being buffered.
        give("PYTHONUNBUFFERED", "1");
        if let Some(url) = &self.url {
            give("KAPELLE_URL", url);
        }
        if let Some((task, attempt)) = person.task {
            give("KAPELLE_TASK", task);
            give("KAPELLE_ATTEMPT", &attempt.to_string());
        }
        if let Some(access) = person.access {
            give("OPENAI_API_KEY", &access.token);
            give("OPENAI_BASE_URL", &access.base_url);
            // The older name of the variable, which LangChain, LlamaIndex, LiteLLM and the SDK before 1.0 read: without
            // it they would send the token to the provider.
            give("OPENAI_API_BASE", &access.base_url);
            // The SDKs of Anthropic add `/v1` themselves.
            let anthropic = access.base_url.strip_suffix("/v1").unwrap_or(&access.base_url);
            give("ANTHROPIC_BASE_URL", anthropic);
            give("ANTHROPIC_API_BASE", anthropic);
            give("ANTHROPIC_API_KEY", &access.token);
            give("ANTHROPIC_AUTH_TOKEN", &access.token);
        }
        all.into_iter().collect()
    }

    /// Returns the values that must not appear in answers and logs: keys of providers, the token of the folder, and
    /// variables of scripts under a name that sounds like a secret.
    pub(super) fn secrets(&self, environment: &[(String, String)]) -> Vec<String> {
        let given = environment.iter().filter(|(name, _)| sounds_secret(name)).map(|(_, value)| value.clone());
        let keys = self.keys.iter().filter_map(|name| (self.lookup)(name));
        let read = |path: &PathBuf| {
            let mut text = String::new();
            File::open(path).ok()?.take(SECRET_MAX).read_to_string(&mut text).ok()?;
            Some(text.trim().to_owned())
        };
        let files = self.secret_files.iter().filter_map(read);
        given.chain(keys).chain(self.secrets.iter().cloned()).chain(files).filter(|value| value.len() >= 6).collect()
    }
}
