//! The one pipeline of every model call, and its door for scripts: `/v1` without the sockets.
//!
//! `admit (token, limits) -> replay -> cache -> single flight -> reserve -> route over the chain -> stream -> meter ->
//! settle -> journal`. The HTTP server takes the bearer token and the body, calls [`Service::call`], and sends the
//! [`Reply`]. When its client leaves, it drops the reply, and the upstream call ends. Prompt workers of this process
//! come in by [`crate::Gateway::complete_for`], with a grant and without a token.

mod decide;
mod deliver;
mod failure;
mod pipeline;
mod reply;
mod stream;
mod v1;

pub(crate) use decide::Terms;
pub(crate) use failure::Failure;
pub(crate) use pipeline::{Bought, Outcome, Pipeline, Request, WholeAnswer};
pub use reply::{Body, Reply};
pub use stream::ReplyStream;
pub use v1::Service;
