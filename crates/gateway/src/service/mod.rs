//! The gateway as a script sees it: `/v1` without the sockets.
//!
//! `admit (token, limits) -> replay -> cache -> single flight -> reserve -> route over the chain -> stream -> meter ->
//! settle -> journal`. An HTTP face takes the bearer token and the body, calls [`Service::call`], and sends what the
//! [`Reply`] holds; when its client goes away it drops the reply, and the upstream call ends with it.

mod deliver;
mod pipeline;
mod reply;
mod stream;

pub use pipeline::Service;
pub use reply::{Body, Reply};
pub use stream::ReplyStream;
