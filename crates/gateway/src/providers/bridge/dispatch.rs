//! The conversion that each operation takes.

use super::{answer, messages, pieces::Bridged, request, stream};
use crate::{
    providers::dialect::{Dialect, Events, Whole},
    wire::{Feature, Features, ModelCall, Operation},
};

/// Tells whether a server with those features gets the call as a chat request.
pub(crate) fn needed(operation: Operation, features: Features) -> bool {
    let own = match operation {
        Operation::Responses => Feature::Responses,
        Operation::Messages => Feature::Messages,
        Operation::Chat | Operation::Embeddings => return false,
    };
    !features.has(own) && features.has(Feature::Chat)
}

/// Builds the equivalent chat request.
///
/// # Errors
/// The part of the request that chat cannot express.
pub(crate) fn chat(call: &ModelCall) -> Result<ModelCall, String> {
    match call.operation {
        Operation::Messages => messages::chat(call),
        _ => request::chat(call),
    }
}

/// Converts the whole answer to a chat request into one in the caller's format.
///
/// # Errors
/// When it is not a chat completion.
pub(crate) fn whole(call: &ModelCall, whole: Whole) -> Result<Whole, String> {
    match call.operation {
        Operation::Messages => messages::whole(whole),
        _ => answer::whole(call, whole),
    }
}

/// Makes a reader of the chat stream that writes events in the caller's format.
pub(crate) fn events(call: &ModelCall, dialect: &dyn Dialect) -> Box<dyn Events> {
    // A chat request can be made of it: it was, before it was sent.
    let Ok(chat) = chat(call) else { return dialect.events(call) };
    match call.operation {
        Operation::Messages => Box::new(Bridged::new(dialect.events(&chat), messages::MessagePieces::new(call))),
        _ => Box::new(Bridged::new(dialect.events(&chat), stream::ResponsePieces::new(call))),
    }
}
