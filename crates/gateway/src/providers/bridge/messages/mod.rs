//! Anthropic's Messages for providers that have only chat.

mod answer;
mod request;
mod stream;

pub(super) use answer::whole;
pub(super) use request::chat;
pub(super) use stream::MessagePieces;
