//! The gateway as a script sees it: `/v1` without the sockets.
//!
//! `admit (token, limits) -> replay -> cache -> single flight -> reserve -> route over the chain -> stream -> meter ->
//! settle -> journal`. The HTTP server takes the bearer token and the body, calls [`Service::call`], and sends the
//! [`Reply`]. When its client leaves, it drops the reply, and the upstream call ends.

mod deliver;
mod pipeline;
mod reply;
mod stream;

pub use pipeline::Service;
pub use reply::{Body, Reply};
pub use stream::ReplyStream;
