//! Replies to a caller.

use kapelle_core::Money;

use super::ReplyStream;
use crate::{
    replay::{Recorded, Source},
    wire::{Door, Refusal, new_request_id},
};

/// Header of an answer's id, as Anthropic's SDKs read it.
const REQUEST_ID: &str = "request-id";

/// A reply for the HTTP server to send unchanged.
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers, without those of the provider.
    pub headers: Vec<(&'static str, String)>,
    pub body: Body,
}

/// Body of a reply.
pub enum Body {
    /// The whole body.
    Whole(Vec<u8>),
    /// A stream of pieces.
    Stream(Box<ReplyStream>),
}

impl Reply {
    /// Makes an error in the shape of a door.
    #[must_use]
    pub fn refused(refusal: &Refusal, door: Door) -> Reply {
        let id = new_request_id();
        let body = Body::Whole(refusal.shaped(door, &id).to_string().into_bytes());
        let mut headers = refusal.headers();
        if door == Door::Anthropic {
            headers.push((REQUEST_ID, id));
        }
        Reply { status: refusal.status, headers, body }
    }

    /// Adds the header by which the SDKs of that door name an answer.
    pub(crate) fn named(mut self, door: Door) -> Reply {
        if door == Door::Anthropic {
            self.headers.push((REQUEST_ID, new_request_id()));
        }
        self
    }

    /// Makes a whole answer.
    pub(crate) fn recorded(answer: &Recorded, source: Source, paid: Money) -> Reply {
        let mut headers = origin((&answer.provider, &answer.model), source, answer.degraded.as_deref());
        headers.push(("content-type", answer.content_type.to_owned()));
        headers.push(("x-kapelle-cost-nanousd", paid.0.to_string()));
        Reply { status: 200, headers, body: Body::Whole(answer.body.to_vec()) }
    }

    /// Makes the head of a stream; the cost is known at its end.
    pub(crate) fn streamed(stream: Box<ReplyStream>) -> Reply {
        let (link, degraded) = stream.origin();
        let mut headers = origin(link, Source::Provider, degraded);
        headers.push(("content-type", "text/event-stream".to_owned()));
        headers.push(("cache-control", "no-cache".to_owned()));
        Reply { status: 200, headers, body: Body::Stream(stream) }
    }

    /// Returns the whole body; a stream is read to its end.
    pub async fn collect(self) -> Vec<u8> {
        match self.body {
            Body::Whole(bytes) => bytes,
            Body::Stream(mut stream) => {
                let mut all = Vec::new();
                while let Some(piece) = stream.next().await {
                    all.extend(piece);
                }
                all
            }
        }
    }
}

fn origin((provider, model): (&str, &str), source: Source, degraded: Option<&str>) -> Vec<(&'static str, String)> {
    // A model's name may come from a script and a reason from a provider: neither may end the header.
    let plain = |text: &str| text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(300).collect::<String>();
    let mut headers = vec![
        ("x-kapelle-provider", plain(provider)),
        ("x-kapelle-model", plain(model)),
        ("x-kapelle-source", source.as_str().to_owned()),
    ];
    headers.extend(degraded.map(|why| ("x-kapelle-degraded", plain(why))));
    headers
}
