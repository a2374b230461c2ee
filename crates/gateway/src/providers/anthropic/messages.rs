//! Anthropic's Messages behind the gateway's [`Dialect`].

use super::{answer, native, request, stream};
use crate::{
    config::{ConfigError, Provider},
    providers::{
        dialect::{Asked, Broken, Dialect, Events, Whole},
        server::{Auth, Parts},
    },
    wire::{Feature, Features, ModelCall, Operation},
};

const BASE_URL: &str = "https://api.anthropic.com/v1";

/// Version header of the format.
const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

/// Anthropic's Messages format.
struct Messages;

/// Builds the parts of the provider, at its own address unless another is configured.
pub(crate) fn parts(provider: &Provider) -> Result<Parts, ConfigError> {
    Ok(Parts {
        base: Some(BASE_URL.to_owned()),
        key_env: Some(provider.api_key_env.clone().unwrap_or_else(|| "ANTHROPIC_API_KEY".to_owned())),
        auth: Auth::Header("x-api-key"),
        dialect: Box::new(Messages),
    })
}

impl Dialect for Messages {
    fn features(&self) -> Features {
        Features::default().with(&[
            Feature::Chat,
            Feature::Tools,
            Feature::JsonSchema,
            Feature::Images,
            Feature::StreamUsage,
            Feature::Messages,
        ])
    }

    fn path(&self, _: Operation) -> &'static [&'static str] {
        &["messages"]
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[VERSION]
    }

    fn body(&self, call: &ModelCall, ask: &Asked<'_>) -> Result<Vec<u8>, String> {
        match call.operation {
            Operation::Messages => Ok(native::body(call, ask)),
            _ => request::body(call, ask),
        }
    }

    fn whole(&self, operation: Operation, body: Vec<u8>) -> Result<Whole, Broken> {
        match operation {
            Operation::Messages => native::whole(body),
            _ => answer::whole(body),
        }
    }

    fn events(&self, call: &ModelCall) -> Box<dyn Events> {
        match call.operation {
            Operation::Messages => native::events(),
            _ => Box::new(stream::MessageEvents::new(call.wants_usage)),
        }
    }
}
