//! A configured server: its address, key, connections and features.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::transport::{Client, Response, Url, header};
use kapelle_core::Category;
use serde_json::value::RawValue;

use super::{
    Fault, FaultKind, anthropic, azure, bedrock, compatible,
    dialect::{Asked, Broken, Dialect, Whole},
    gemini,
    http::{self, BODY_MAX, BodyFault},
    openai, vertex,
};
use crate::{
    clock::Clock,
    config::{ConfigError, Kind, LimitField, OPENAI_BASE_URL, Provider},
    rate::Rate,
    secret::{Secret, scrub_key_like},
    status::LinkState,
    wire::{Feature, Features, ModelCall, Operation},
};

/// Operations in the order of [`Server::addresses`].
const OPERATIONS: [Operation; 4] = [Operation::Chat, Operation::Responses, Operation::Embeddings, Operation::Messages];

/// Differences between kinds of providers.
pub(crate) struct Parts {
    /// Default address.
    pub(crate) base: Option<String>,
    /// Variable of the key.
    pub(crate) key_env: Option<String>,
    /// Place of the key in a request.
    pub(crate) auth: Auth,
    /// Wire format.
    pub(crate) dialect: Box<dyn Dialect>,
}

/// Place of a key in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Auth {
    /// `Authorization: Bearer`.
    Bearer,
    /// A header of that name.
    Header(&'static str),
}

/// A configured server.
pub(crate) struct Server {
    name: String,
    provider: Provider,
    pub(crate) base: Url,
    /// Address of each operation.
    addresses: [Url; 4],
    key: Option<Secret>,
    key_env: Option<String>,
    key_file: Option<PathBuf>,
    key_refused: AtomicBool,
    /// The key as last read from its file and sent, to be removed from texts that come back.
    sent: Mutex<Option<Secret>>,
    auth: Auth,
    pub(crate) features: Features,
    pub(crate) dialect: Box<dyn Dialect>,
    pub(crate) rate: Rate,
    clock: Clock,
    // Built at the first call: loading the certificates of the system takes time that a start without calls saves.
    client: OnceLock<Result<Client, String>>,
}

impl Server {
    /// Reads the address and the key. It opens no connections. Returns `None` for the offline kind.
    pub(crate) fn new(
        name: &str,
        provider: &Provider,
        env: &dyn Fn(&str) -> Option<String>,
        clock: &Clock,
    ) -> Result<Option<Server>, ConfigError> {
        let parts = match provider.kind {
            Kind::Offline => return Ok(None),
            Kind::Openai => openai::parts(provider)?,
            Kind::Azure => azure::parts(provider)?,
            Kind::Bedrock => bedrock::parts(provider)?,
            Kind::Gemini => gemini::parts(provider)?,
            Kind::Vertex => vertex::parts(provider)?,
            Kind::Anthropic => anthropic::parts(provider)?,
            Kind::Compatible => compatible::parts(provider)?,
        };
        let base = base(name, provider, &parts, env)?;
        let key = parts.key_env.as_ref().and_then(|variable| Secret::new(&env(variable)?));
        if let (Some(key), Some(variable)) = (&key, &parts.key_env)
            && header::HeaderValue::from_str(key.expose()).is_err()
        {
            return Err(ConfigError::at(variable, "the key holds characters that cannot be sent"));
        }
        let mut features = parts.dialect.features();
        for (&feature, &on) in &provider.supports {
            features = if on { features.with(&[feature]) } else { features.without(&[feature]) };
        }
        Ok(Some(Server {
            name: name.to_owned(),
            provider: provider.clone(),
            addresses: OPERATIONS.map(|operation| below(&base, parts.dialect.path(operation))),
            base,
            key,
            key_env: parts.key_env,
            key_file: provider.api_key_file.clone(),
            key_refused: AtomicBool::new(false),
            sent: Mutex::new(None),
            auth: parts.auth,
            features,
            dialect: parts.dialect,
            rate: Rate::new(provider.limits),
            clock: clock.clone(),
            client: OnceLock::new(),
        }))
    }

    /// Returns the name in the configuration.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Tells whether it is the same server with the same key, so that connections and learned limits may be kept.
    pub(crate) fn same_as(&self, other: &Server) -> bool {
        let key = |server: &Server| server.key.as_ref().map(|key| key.expose().to_owned());
        self.provider == other.provider && self.base == other.base && key(self) == key(other)
    }

    /// Returns the reason why the server cannot be called when its key is not set.
    pub(crate) fn key_missing(&self) -> Option<String> {
        if let Some(file) = &self.key_file {
            return (!file.exists()).then(|| format!("no key in {}", file.display()));
        }
        let variable = self.key_env.as_ref()?;
        self.key.is_none().then(|| format!("no {variable}"))
    }

    /// Returns the current state.
    pub(crate) fn state(&self) -> LinkState {
        if self.key_missing().is_some() {
            LinkState::NoKey
        } else if self.key_refused.load(Ordering::Relaxed) {
            LinkState::KeyRefused
        } else {
            LinkState::Ready
        }
    }

    /// Describes the fault of its key.
    pub(crate) fn trouble(&self) -> Option<String> {
        match self.state() {
            LinkState::KeyRefused => Some(format!("{} was refused", self.key_name())),
            _ => self.key_missing(),
        }
    }

    pub(super) fn key_name(&self) -> String {
        let file = self.key_file.as_ref().map(|file| file.display().to_string());
        file.or_else(|| self.key_env.clone()).unwrap_or_else(|| format!("the key of {}", self.name))
    }

    /// Returns the name of the field that limits an answer when the caller set no limit. Returns `None` to add nothing.
    pub(crate) fn limit_field(&self, alias: Option<LimitField>) -> Option<&'static str> {
        let usual = match self.provider.kind {
            Kind::Openai | Kind::Azure => LimitField::MaxCompletionTokens,
            _ => LimitField::MaxTokens,
        };
        alias.or(self.provider.limit_field).unwrap_or(usual).as_str()
    }

    /// Returns the first field of a request that this provider must not get, and the refusal.
    pub(crate) fn withheld<'a>(&self, call: &'a ModelCall) -> Option<(&'a str, String)> {
        let field = call.unknown.iter().find(|name| !self.provider.pass.contains(name))?;
        let shown: String = field.chars().filter(|c| !c.is_control()).take(80).collect();
        let message = format!(
            "`{shown}`: unknown field; expected a field of `{}` as its API publishes it; leave it out, or list it under \
             `providers.{}.pass` in kapelle.yaml",
            call.operation.as_str(),
            self.name
        );
        Some((field, message))
    }

    /// Tells whether the server counts tokens on a stream on request.
    pub(crate) fn counts_streams(&self) -> bool {
        self.features.has(Feature::StreamUsage)
    }

    /// Builds the body in the provider's format.
    ///
    /// # Errors
    /// The part of the request that its format cannot express.
    pub(crate) fn body(&self, call: &ModelCall, ask: &Asked<'_>) -> Result<Vec<u8>, Fault> {
        let unsaid = |why: String| {
            let link = format!("{}/{}", self.name, ask.model);
            Fault::unsent(&link, FaultKind::Request, Category::InvalidInput, &why).unsupported()
        };
        self.dialect.body(call, ask).map_err(unsaid)
    }

    /// Sends one request and returns the answer if its status and type are right. `within` is the timeout of
    /// everything, including the reading of the body.
    pub(crate) async fn open(
        &self,
        (operation, body): (Operation, Vec<u8>),
        ask: &Asked<'_>,
        within: Duration,
    ) -> Result<Response, Fault> {
        let link = format!("{}/{}", self.name, ask.model);
        let client = self.client.get_or_init(|| http::client(&self.base)).as_ref().map_err(|why| {
            if !cfg!(feature = "http") {
                // Like a missing key: the next link of the chain answers.
                return Fault::unsent(&link, FaultKind::Key, Category::ModelRequired, why);
            }
            let why = format!("no HTTP client ({why}): are the CA certificates of the system installed?");
            Fault::unsent(&link, FaultKind::Request, Category::Internal, &why)
        })?;
        let key =
            self.current_key().map_err(|why| Fault::unsent(&link, FaultKind::Key, Category::ModelRequired, &why))?;
        let mut sending = client
            .post(self.address(operation))
            .timeout(within)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body);
        for (name, value) in self.dialect.headers() {
            sending = sending.header(*name, *value);
        }
        if let Some(key) = &key {
            sending = match self.auth {
                Auth::Bearer => sending.bearer_auth(key.expose()),
                Auth::Header(name) => sending.header(name, key.expose()),
            };
        }
        if self.key_file.is_some() {
            self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&key);
        }
        let response = sending.send().await.map_err(|error| self.transport(&link, error))?;
        self.rate.learn(self.clock.now_ms(), ask.model, response.headers());
        if !response.status().is_success() {
            return Err(self.refusal(&link, response).await);
        }
        self.key_refused.store(false, Ordering::Relaxed);
        let wanted = if ask.stream { "text/event-stream" } else { "application/json" };
        // A server that cannot stream answers as a whole, and the answer was paid for.
        match http::unreadable(response.headers(), wanted).filter(|_| !http::is_json(response.headers())) {
            Some(why) => Err(self.other_type(&link, response, why).await),
            None => Ok(response),
        }
    }

    /// Reads a whole answer.
    pub(crate) async fn read(&self, model: &str, operation: Operation, response: Response) -> Result<Whole, Fault> {
        let link = format!("{}/{model}", self.name);
        let (status, wait) = (response.status().as_u16(), http::retry_after(response.headers()));
        let bytes = match http::body(response, BODY_MAX).await {
            Ok(bytes) => bytes,
            Err(BodyFault::Broken(error)) => return Err(self.transport(&link, error)),
            Err(BodyFault::TooLong) => {
                let reason = "the answer is larger than 10 MiB";
                return Err(Fault::sent(&link, FaultKind::Request, Category::Provider, reason).unsettled());
            }
        };
        self.dialect.whole(operation, bytes).map_err(|broken| match broken {
            Broken::Told(told, counted) => {
                let mut fault = self.broke_off(&link, *told, counted);
                fault.error.retry_after = wait.filter(|_| fault.error.retryable);
                fault
            }
            Broken::Garbled(error, bytes)
                if serde_json::from_slice::<&RawValue>(&bytes).is_err() && !bytes.starts_with(b"{") =>
            {
                self.not_json(&link, status, None, &bytes, &error)
            }
            Broken::Garbled(error, _) => {
                let reason = format!("the answer is not {}: {error}", operation.answer());
                Fault::sent(&link, FaultKind::Passing, Category::Provider, &self.clean(&reason)).unsettled()
            }
        })
    }

    /// Returns the address of an operation, which comes from the configuration alone.
    fn address(&self, operation: Operation) -> Url {
        let [chat, responses, embeddings, messages] = &self.addresses;
        match operation {
            Operation::Chat => chat.clone(),
            Operation::Responses => responses.clone(),
            Operation::Embeddings => embeddings.clone(),
            Operation::Messages => messages.clone(),
        }
    }

    fn current_key(&self) -> Result<Option<Secret>, String> {
        let Some(file) = &self.key_file else { return Ok(self.key.clone()) };
        let text = fs::read_to_string(file).map_err(|error| format!("the key in {}: {error}", file.display()))?;
        let key =
            Secret::new(text.trim_start_matches('\u{feff}')).ok_or_else(|| format!("no key in {}", file.display()))?;
        match header::HeaderValue::from_str(key.expose()) {
            Ok(_) => Ok(Some(key)),
            Err(_) => Err(format!("the key in {} holds characters that cannot be sent", file.display())),
        }
    }

    /// Makes the fault of a connection.
    pub(crate) fn transport(&self, link: &str, error: crate::transport::Error) -> Fault {
        let error = error.without_url();
        let cause = self.clean(&http::chain_of(&error));
        if error.is_connect() {
            let category = if error.is_timeout() { Category::Timeout } else { Category::Unavailable };
            return Fault::sent(link, FaultKind::Passing, category, &format!("cannot be reached: {cause}"));
        }
        // The request was sent: whether it is charged is not known.
        let (category, reason) = if error.is_timeout() {
            (Category::Timeout, "no answer in time".to_owned())
        } else {
            (Category::Unavailable, format!("the connection was cut: {cause}"))
        };
        Fault::sent(link, FaultKind::Passing, category, &reason).unsettled()
    }

    /// Records that the provider refused the key.
    pub(super) fn refuse_key(&self) {
        self.key_refused.store(true, Ordering::Relaxed);
    }

    /// Removes keys from text of the provider and shortens it.
    pub(crate) fn clean(&self, text: &str) -> String {
        self.clean_to(text, 300)
    }

    /// Removes keys from text of the provider and cuts it to that many characters.
    pub(super) fn clean_to(&self, text: &str, max: usize) -> String {
        let mut text = scrub_key_like(text);
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for key in self.key.iter().chain(&sent) {
            text = key.scrub(&text);
        }
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(max).collect()
    }
}

fn base(
    name: &str,
    provider: &Provider,
    parts: &Parts,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Url, ConfigError> {
    let from_env = provider.base_url_env.as_ref().and_then(|variable| {
        let text = env(variable)?.trim().to_owned();
        (!text.is_empty()).then(|| (variable.clone(), text))
    });
    let (place, text) = match (from_env, &provider.base_url, &parts.base) {
        (Some((variable, text)), ..) => (variable, text),
        (None, Some(text), _) => (format!("providers.{name}.base_url"), text.clone()),
        (None, None, Some(text)) => (format!("providers.{name}"), text.clone()),
        (None, None, None) => {
            let needs = match provider.kind {
                Kind::Azure => "`resource` or `base_url`",
                Kind::Bedrock => "`region` or `base_url`",
                Kind::Vertex => "`project` (and `location`) or `base_url`",
                _ => "`base_url`",
            };
            return Err(ConfigError::at(format!("providers.{name}"), format!("give {needs}")));
        }
    };
    let url = address(&text).and_then(|url| http::allowed(url, name, provider.insecure));
    url.map_err(|message| ConfigError::at(place, message))
}

fn below(base: &Url, path: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url
}

/// Parses a base address such as `http://localhost:11434/v1`.
fn address(base: &str) -> Result<Url, String> {
    // The part before an @ may be a password.
    let shown: String = base.rsplit('@').next().unwrap_or("").chars().take(60).collect();
    let url = Url::parse(base)
        .map_err(|error| format!("`{shown}` is not an address ({error}): write one such as {OPENAI_BASE_URL}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(format!("`{shown}` is not an http or https address: write one such as {OPENAI_BASE_URL}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("an address must not hold a user or password: put the key into the variable".to_owned());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(provider: &Provider) -> Result<Server, ConfigError> {
        Server::new("p", provider, &|_| None, &Clock::default()).map(Option::unwrap)
    }

    #[test]
    fn the_endpoint_is_below_the_base() {
        for base in ["http://localhost:11434/v1", "http://localhost:11434/v1/"] {
            let provider = Provider { base_url: Some(base.to_owned()), ..Provider::of(Kind::Compatible) };
            let url = server(&provider).unwrap().address(Operation::Chat);
            assert_eq!(url.as_str(), "http://localhost:11434/v1/chat/completions");
        }
        for base in ["", "localhost:80", "ftp://x/y", "http://user:pw@x/v1", "/v1"] {
            assert!(address(base).is_err(), "{base}");
        }
    }

    #[test]
    fn each_kind_has_its_address_or_says_what_it_needs() {
        let some = |text: &str| Some(text.to_owned());
        let azure = Provider { resource: some("acme"), ..Provider::of(Kind::Azure) };
        let bedrock = Provider { region: some("eu-west-1"), ..Provider::of(Kind::Bedrock) };
        let vertex = Provider { project: some("p1"), location: some("us-east5"), ..Provider::of(Kind::Vertex) };
        for (provider, url) in [
            (Provider::of(Kind::Openai), "https://api.openai.com/v1/chat/completions"),
            (azure, "https://acme.openai.azure.com/openai/v1/chat/completions"),
            (bedrock, "https://bedrock-mantle.eu-west-1.api.aws/v1/chat/completions"),
            (Provider::of(Kind::Gemini), "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions"),
            (
                vertex,
                "https://us-east5-aiplatform.googleapis.com/v1/projects/p1/locations/us-east5/endpoints/openapi/chat/completions",
            ),
            (Provider::of(Kind::Anthropic), "https://api.anthropic.com/v1/messages"),
        ] {
            assert_eq!(server(&provider).unwrap().address(Operation::Chat).as_str(), url);
        }
        for (kind, part) in [
            (Kind::Azure, "`resource`"),
            (Kind::Bedrock, "`region`"),
            (Kind::Vertex, "`project`"),
            (Kind::Compatible, "`base_url`"),
        ] {
            let error = server(&Provider::of(kind)).err().unwrap().to_string();
            assert!(error.starts_with("providers.p: give") && error.contains(part), "{error}");
        }
    }

    #[test]
    fn what_a_server_supports_can_be_said() {
        let mut provider = Provider { base_url: Some("https://x/v1".to_owned()), ..Provider::of(Kind::Compatible) };
        provider.supports.insert(Feature::Responses, false);
        let features = server(&provider).unwrap().features;
        assert!(!features.has(Feature::Responses) && features.has(Feature::Chat));
    }
}
