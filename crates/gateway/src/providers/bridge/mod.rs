//! `responses` and `messages` for providers that have only chat. The request becomes a chat request, and its answer,
//! whole or streamed, becomes one in the caller's format. A request that chat cannot express is refused before anything
//! is reserved or sent.
//!
//! A response made here is not stored: it cannot be fetched later or be followed by `previous_response_id`.

mod answer;
mod dispatch;
mod messages;
mod pieces;
mod request;
mod stream;
pub(crate) mod unrolled;

pub(crate) use dispatch::{chat, events, needed, whole};
