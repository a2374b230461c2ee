//! Responses in progress, and the memory that they hold until they are sent.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Error,
    body::{Body, HttpBody},
    response::Response,
};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use crate::{
    connections::Busy,
    problem::Problem,
    shares::{Party, Share},
    site::Site,
};

/// Bytes of a response that need no share of the memory: the number of connections bounds them.
const FREE: u64 = 64 * 1024;

/// A body whose bytes hold a share of the memory until they are written.
struct Held {
    body: Body,
    share: Option<Arc<Share>>,
    _busy: Option<Arc<Busy>>,
}

/// Bytes, and the share that is released when they are written.
struct Counted {
    bytes: Bytes,
    _share: Arc<Share>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        let share = self.share.clone();
        Poll::Ready(frame.map(|frame| {
            let count = |bytes| match share {
                Some(share) => Bytes::from_owner(Counted { bytes, _share: share }),
                None => bytes,
            };
            frame.map(|frame| frame.map_data(count))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Counts a response against the memory of the caller, as far as it is in memory; a stream keeps its connection busy
/// instead.
///
/// # Errors
/// When the party's other responses and bodies leave no room for it.
pub fn hold(site: &Site, party: Option<Party>, busy: &Arc<Busy>, response: Response) -> Result<Response, Problem> {
    let (share, busy) = match (response.body().size_hint().exact(), party) {
        (None, _) => (None, Some(Arc::clone(busy))),
        (Some(length), Some(party)) if length > FREE => {
            let taken = site.memory.take(party, length);
            (Some(Arc::new(taken.map_err(|full| full.problem("bytes of responses in progress", 2))?)), None)
        }
        _ => return Ok(response),
    };
    Ok(response.map(|body| Body::new(Held { body, share, _busy: busy })))
}

/// A body that is sent while it is produced, and the share that is released at its end.
pub struct Feed {
    parts: tokio::sync::mpsc::Receiver<Bytes>,
    _share: Share,
}

impl Feed {
    /// Makes a body of the parts, in order, until every sender is dropped. The share is held until then.
    pub fn new(parts: tokio::sync::mpsc::Receiver<Bytes>, share: Share) -> Feed {
        Feed { parts, _share: share }
    }
}

impl HttpBody for Feed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.parts.poll_recv(cx).map(|part| part.map(|bytes| Ok(Frame::data(bytes))))
    }
}
