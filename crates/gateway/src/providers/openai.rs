//! OpenAI itself, and any server configured as one.

use super::{
    format::OpenaiFormat,
    server::{Auth, Parts},
};
use crate::{
    config::{ConfigError, OPENAI_BASE_URL, Provider},
    wire::Features,
};

/// Builds the parts of the provider, at its own address unless another is configured. A key is used only if a variable
/// is named for it.
pub(crate) fn parts(provider: &Provider) -> Result<Parts, ConfigError> {
    Ok(Parts {
        base: Some(OPENAI_BASE_URL.to_owned()),
        key_env: provider.api_key_env.clone(),
        auth: Auth::Bearer,
        dialect: Box::new(OpenaiFormat { features: Features::of_openai() }),
    })
}
