//! HTTP in a build without it (feature `http`): types of which there is no value, so that no provider can be called.
//!
//! They have the parts of reqwest that the gateway uses. Addresses are still read, so that a wrong configuration is
//! refused in every build.

use std::{fmt, time::Duration};

pub(crate) use http::header;
use http::{HeaderMap, StatusCode, Uri};

/// An address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    text: String,
    uri: Uri,
}

/// The scheme, host and port of an address.
pub(crate) struct Origin(String);

/// The path of an address while it is changed; the type has no values.
pub(crate) enum Segments {}

impl Url {
    pub(crate) fn parse(text: &str) -> Result<Url, String> {
        let uri: Uri = text.trim().parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
        if uri.scheme().is_none() {
            return Err("relative URL without a base".to_owned());
        }
        Ok(Url { text: text.trim().to_owned(), uri })
    }

    pub(crate) fn scheme(&self) -> &str {
        self.uri.scheme_str().unwrap_or_default()
    }

    pub(crate) fn host_str(&self) -> Option<&str> {
        self.uri.host().filter(|host| !host.is_empty())
    }

    fn login(&self) -> Option<&str> {
        Some(self.uri.authority()?.as_str().rsplit_once('@')?.0)
    }

    pub(crate) fn username(&self) -> &str {
        self.login().unwrap_or_default()
    }

    pub(crate) fn password(&self) -> Option<&str> {
        Some(self.login()?.split_once(':')?.1)
    }

    pub(crate) fn origin(&self) -> Origin {
        let authority = self.uri.authority().map(|authority| authority.as_str());
        Origin(format!("{}://{}", self.scheme(), authority.unwrap_or_default()))
    }

    /// Returns an error: without HTTP, addresses below the base are not needed.
    pub(crate) fn path_segments_mut(&mut self) -> Result<Segments, ()> {
        Err(())
    }

    pub(crate) fn join(&self, other: &str) -> Result<Url, String> {
        Url::parse(other)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Origin {
    pub(crate) fn ascii_serialization(&self) -> String {
        self.0.clone()
    }
}

impl Segments {
    pub(crate) fn pop_if_empty(&mut self) -> &mut Segments {
        self
    }

    pub(crate) fn extend(&mut self, _path: &[&str]) -> &mut Segments {
        self
    }
}

/// A client; the type has no values.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Client {}

/// A request; the type has no values.
#[derive(Debug)]
pub(crate) enum RequestBuilder {}

/// An answer; the type has no values.
#[derive(Debug)]
pub(crate) enum Response {}

/// A fault of the transport; the type has no values.
#[derive(Debug)]
pub(crate) enum Error {}

impl Client {
    pub(crate) fn post(&self, _to: Url) -> RequestBuilder {
        match *self {}
    }
}

impl RequestBuilder {
    pub(crate) fn timeout(self, _within: Duration) -> RequestBuilder {
        self
    }

    pub(crate) fn header<N, V>(self, _name: N, _value: V) -> RequestBuilder {
        self
    }

    pub(crate) fn bearer_auth(self, _token: &str) -> RequestBuilder {
        self
    }

    pub(crate) fn body<B>(self, _body: B) -> RequestBuilder {
        self
    }

    pub(crate) async fn send(self) -> Result<Response, Error> {
        match self {}
    }
}

impl Response {
    pub(crate) fn status(&self) -> StatusCode {
        match *self {}
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        match *self {}
    }

    pub(crate) fn content_length(&self) -> Option<u64> {
        match *self {}
    }

    pub(crate) fn url(&self) -> &Url {
        match *self {}
    }

    pub(crate) async fn chunk(&mut self) -> Result<Option<Vec<u8>>, Error> {
        match *self {}
    }
}

impl Error {
    pub(crate) fn is_timeout(&self) -> bool {
        match *self {}
    }

    pub(crate) fn is_connect(&self) -> bool {
        match *self {}
    }

    pub(crate) fn without_url(self) -> Error {
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl std::error::Error for Error {}
