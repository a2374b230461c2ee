//! Write timeouts of connections to clients that stop reading.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep},
};

/// Minimum average rate at which a client reads while data waits for it, in bytes a second.
pub const RATE: u64 = 16 * 1024;

/// A TCP stream with a write-stall timeout and a minimum rate of writing.
///
/// Each stream has an allowance of waiting time. Waiting for the client uses it up, and every written byte restores
/// some of it, so a client that reads a byte now and then is cut off as well as one that reads nothing. A stream with
/// nothing to send never waits.
#[derive(Debug)]
pub struct Guarded {
    stream: TcpStream,
    stall: Duration,
    allowance: Duration,
    /// Set while a write waits, with the time at which the wait began.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Guarded {
    /// Makes a stream whose client may keep a write waiting for `stall`.
    pub fn new(stream: TcpStream, stall: Duration) -> Guarded {
        Guarded { stream, stall, allowance: stall, waiting: None }
    }

    fn guard(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(done) = polled {
            let waited = self.waiting.take().map_or(Duration::ZERO, |(since, _)| since.elapsed());
            let written = done.as_ref().map_or(0, |written| *written as u64);
            let earned = Duration::from_micros(written.saturating_mul(1_000_000) / RATE);
            self.allowance = self.allowance.saturating_sub(waited).saturating_add(earned).min(self.stall);
            return Poll::Ready(done);
        }
        let allowance = self.allowance;
        let (_, timer) = self.waiting.get_or_insert_with(|| {
            let now = Instant::now();
            (now, Box::pin(tokio::time::sleep_until(now + allowance)))
        });
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client reads too slowly"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Guarded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.guard(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.guard(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
