//! `responses` for providers that have only chat: the request becomes a chat request, and its answer, whole or in
//! pieces, a response. What a chat request cannot say is refused before anything is reserved or sent.
//!
//! Such a response is stored nowhere: it cannot be fetched again or be followed by `previous_response_id`.

mod answer;
mod request;
mod stream;

pub(crate) use answer::whole;
pub(crate) use request::chat;
pub(crate) use stream::ResponsePieces;
