//! What a script is started with: a clean environment, and in it nothing but what it needs.

use std::collections::BTreeMap;

use super::{discover::Script, token::Access};

/// Variables that every script is given as they are here, because programs do not run without them.
const ALWAYS: [&str; 9] = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "PYENV_ROOT"];

/// Gives the value of a variable.
pub type Lookup = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What is known of the surroundings of all scripts.
pub struct Surroundings {
    /// The variables here.
    pub lookup: Lookup,
    /// Names of variables that hold keys of providers. They are never passed on.
    pub keys: Vec<String>,
    /// The address of the server, when there is one.
    pub url: Option<String>,
    /// The model that scripts are told of when their settings name none.
    pub model: String,
}

/// One process to be.
pub(super) struct Person<'a> {
    pub(super) script: &'a Script,
    pub(super) id: &'a str,
    pub(super) instance: u32,
    pub(super) access: Option<&'a Access>,
    pub(super) task: Option<(&'a str, u32)>,
    pub(super) trace: &'a str,
}

impl Surroundings {
    /// Whether a variable may not be passed on.
    #[must_use]
    pub fn is_key(&self, name: &str) -> bool {
        self.keys.iter().any(|key| key == name)
            || matches!(name, "OPENAI_API_KEY" | "OPENAI_BASE_URL" | "KAPELLE_TOKEN")
    }

    /// The whole environment of a process.
    pub(super) fn of(&self, person: &Person<'_>) -> Vec<(String, String)> {
        let settings = &person.script.settings;
        let mut all = BTreeMap::new();
        let passed = ALWAYS.iter().copied().chain(settings.passed.iter().map(String::as_str));
        for name in passed.filter(|name| !self.is_key(name)) {
            all.extend((self.lookup)(name).map(|value| (name.to_owned(), value)));
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
        // What is written at once is seen at once.
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
        }
        all.into_iter().collect()
    }

    /// Values that must not be seen in logs: keys of providers, and what scripts were given under a name that sounds
    /// like a secret.
    pub(super) fn secrets(&self, environment: &[(String, String)]) -> Vec<String> {
        let sounds = |name: &str| {
            let name = name.to_uppercase();
            ["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL"].iter().any(|part| name.contains(part))
        };
        let given = environment.iter().filter(|(name, _)| sounds(name)).map(|(_, value)| value.clone());
        let keys = self.keys.iter().filter_map(|name| (self.lookup)(name));
        given.chain(keys).filter(|value| value.len() >= 6).collect()
    }
}
