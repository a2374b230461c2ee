//! What goes back to a caller.

use kapelle_core::Money;

use super::ReplyStream;
use crate::{replay::Recorded, wire::Refusal};

/// An answer for the HTTP face to send as it is.
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers; none of the provider's own is among them.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Body,
}

/// The body of a reply.
pub enum Body {
    /// All of it.
    Whole(Vec<u8>),
    /// In pieces, as they come.
    Stream(Box<ReplyStream>),
}

impl Reply {
    /// An error in the shape of OpenAI.
    #[must_use]
    pub fn refused(refusal: &Refusal) -> Reply {
        let body = Body::Whole(refusal.body().to_string().into_bytes());
        Reply { status: refusal.status, headers: refusal.headers(), body }
    }

    /// An answer that is all there. `source` says where it comes from: `provider`, `replay`,
    /// `recorded`, `cache` or `shared`.
    pub(crate) fn recorded(answer: &Recorded, source: &str, paid: Money) -> Reply {
        let mut headers = origin((&answer.provider, &answer.model), source, answer.degraded.as_deref());
        headers.push(("content-type", answer.content_type.to_owned()));
        headers.push(("x-kapelle-cost-nanousd", paid.0.to_string()));
        Reply { status: 200, headers, body: Body::Whole(answer.body.to_vec()) }
    }

    /// The head of a stream; what it cost is known at its end.
    pub(crate) fn streamed(stream: ReplyStream, link: (&str, &str), degraded: Option<&str>) -> Reply {
        let mut headers = origin(link, "provider", degraded);
        headers.push(("content-type", "text/event-stream".to_owned()));
        headers.push(("cache-control", "no-cache".to_owned()));
        Reply { status: 200, headers, body: Body::Stream(Box::new(stream)) }
    }

    /// The whole body; a stream is read to its end.
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

fn origin((provider, model): (&str, &str), source: &str, degraded: Option<&str>) -> Vec<(&'static str, String)> {
    // A model's name may come from a script and a reason from a provider: nothing of it may end the header.
    let plain = |text: &str| text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(300).collect::<String>();
    let mut headers = vec![
        ("x-kapelle-provider", plain(provider)),
        ("x-kapelle-model", plain(model)),
        ("x-kapelle-source", source.to_owned()),
    ];
    headers.extend(degraded.map(|why| ("x-kapelle-degraded", plain(why))));
    headers
}
