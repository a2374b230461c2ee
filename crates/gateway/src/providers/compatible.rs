//! Any server that speaks the format of OpenAI: Ollama, vLLM, mistral.rs, a gateway of one's own.

use super::{
    format::OpenaiFormat,
    server::{Auth, Parts},
};
use crate::{
    config::{ConfigError, Provider},
    wire::Features,
};

/// The address must be given. What the server cannot do is said under `supports`.
pub(crate) fn parts(provider: &Provider) -> Result<Parts, ConfigError> {
    Ok(Parts {
        base: None,
        key_env: provider.api_key_env.clone(),
        auth: Auth::Bearer,
        dialect: Box::new(OpenaiFormat { features: Features::all() }),
    })
}
