//! `responses` for providers that have only chat. The request becomes a chat request, and its answer, whole or
//! streamed, becomes a response. A request that chat cannot express is refused before anything is reserved or sent.
//!
//! Such a response is not stored: it cannot be fetched later or be followed by `previous_response_id`.

mod answer;
mod request;
mod stream;

pub(crate) use answer::whole;
pub(crate) use request::chat;
pub(crate) use stream::ResponsePieces;
