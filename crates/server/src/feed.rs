//! A body that is sent as it is made.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::HttpBody;
use bytes::Bytes;
use hyper::body::Frame;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// A body that is sent as it is made, and what is given back with its end.
pub struct Feed {
    parts: mpsc::Receiver<Bytes>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Feed {
    /// The parts, in order, until nobody can send more.
    pub fn of(parts: mpsc::Receiver<Bytes>) -> Feed {
        Feed { parts, _permit: None }
    }

    /// The same, which holds a place until it ends.
    pub fn holding(parts: mpsc::Receiver<Bytes>, permit: OwnedSemaphorePermit) -> Feed {
        Feed { parts, _permit: Some(permit) }
    }
}

impl HttpBody for Feed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.parts.poll_recv(cx).map(|part| part.map(|bytes| Ok(Frame::data(bytes))))
    }
}
