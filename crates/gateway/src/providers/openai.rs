//! OpenAI itself, and any server that is named as one.

use super::{
    format::OpenaiFormat,
    server::{Auth, Parts},
};
use crate::{
    config::{ConfigError, OPENAI_BASE_URL, Provider},
    wire::Features,
};

/// The provider's own address unless one is given; a key only when a variable is named for it.
pub(crate) fn parts(provider: &Provider) -> Result<Parts, ConfigError> {
    Ok(Parts {
        base: Some(OPENAI_BASE_URL.to_owned()),
        key_env: provider.api_key_env.clone(),
        auth: Auth::Bearer,
        dialect: Box::new(OpenaiFormat { features: Features::all() }),
    })
}
