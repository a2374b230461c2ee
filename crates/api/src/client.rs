//! A client of a server.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    client_error::ClientError,
    line_stream::{self, LineSender, LineStream, NotOpened},
    stream::EventStream,
};

/// Time limit of a request: longer than the longest poll.
const LONGEST: Duration = Duration::from_secs(90);
/// Time limit of a download.
const DOWNLOAD: Duration = Duration::from_secs(600);
/// Time limit of one stream; a follower continues with another then.
const FOLLOW: Duration = Duration::from_secs(3_600);
/// Time that an idle connection is kept: shorter than the server keeps it, so that a request never meets a closing
/// connection.
const IDLE: Duration = Duration::from_secs(8);

/// The query of an upload.
#[derive(Serialize)]
struct FileName<'a> {
    name: &'a str,
}

/// A client of a server.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Client {
    /// Makes a client of the server at that address (`http://127.0.0.1:7863`), with a token or key.
    ///
    /// # Errors
    /// When the system provides no connections.
    pub fn new(base: &str, token: &str) -> Result<Client, ClientError> {
        // A second installation is refused, and the first one stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(LONGEST)
            .connect_timeout(Duration::from_secs(10))
            .pool_idle_timeout(IDLE)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build();
        let base = base.trim_end_matches('/').to_owned();
        let http = http.map_err(|error| unreachable(&base, &error))?;
        Ok(Client { http, base, token: token.to_owned() })
    }

    /// Makes a client of the same server that shares no connections with this one, for a runtime of its own.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn apart(&self) -> Result<Client, ClientError> {
        Client::new(&self.base, &self.token)
    }

    /// Returns the address of the server.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Reads a resource.
    ///
    /// # Errors
    /// The problem that the server reported, or that it was not reached.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.send(self.request(Method::GET, path)).await
    }

    /// Sends a request with a body.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        self.post_once(path, None, body).await
    }

    /// Sends a request with an idempotency key, so that it takes effect once.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn post_once<T: DeserializeOwned>(
        &self,
        path: &str,
        key: Option<&str>,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| ClientError::Unreachable {
            address: self.base.clone(),
            message: format!("the request cannot be written: {error}"),
        })?;
        let mut request = self.request(Method::POST, path);
        // An empty object is sent as no body at all: many routes take none.
        if body != b"{}" {
            request = request.header("content-type", "application/json").body(body);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.send(request).await
    }

    /// Uploads a file, to be named in inputs.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn upload(&self, name: &str, media_type: &str, bytes: Vec<u8>) -> Result<crate::Artifact, ClientError> {
        let path = crate::request_path::Path::default().of("/api/v1/artifacts").query(&FileName { name });
        let request = self.request(Method::POST, &path).timeout(DOWNLOAD).header("content-type", media_type);
        self.send(request.body(bytes)).await
    }

    /// Deletes a resource.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// Downloads a path part by part; `take` receives each. A slow answer is not cut off as long as data arrives.
    ///
    /// # Errors
    /// As [`Client::get`], and the failure of `take`.
    pub async fn download(
        &self,
        path: &str,
        mut take: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), ClientError> {
        let failed = |error: reqwest::Error| unreachable(&self.base, &error);
        let mut answer = self.request(Method::GET, path).timeout(DOWNLOAD).send().await.map_err(failed)?;
        let status = answer.status();
        if !status.is_success() {
            let body = answer.bytes().await.map_err(failed)?;
            return Err(refused(&self.base, status, &body));
        }
        while let Some(part) = answer.chunk().await.map_err(failed)? {
            take(&part).map_err(|error| ClientError::Unreachable {
                address: self.base.clone(),
                message: format!("what was sent could not be kept: {error}"),
            })?;
        }
        Ok(())
    }

    /// Follows a stream of events, after the one with the id `last` if given.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn follow(&self, path: &str, last: &str) -> Result<EventStream, ClientError> {
        let mut request = self.request(Method::GET, path).timeout(FOLLOW);
        if !last.is_empty() {
            request = request.header("last-event-id", last);
        }
        let failed = |error: reqwest::Error| unreachable(&self.base, &error);
        let answer = request.send().await.map_err(failed)?;
        let status = answer.status();
        if !status.is_success() {
            return Err(refused(&self.base, status, &answer.bytes().await.map_err(failed)?));
        }
        Ok(EventStream::new(answer, &self.base))
    }

    /// Opens a stream of lines: sends one object, and reads the answer as it comes.
    ///
    /// # Errors
    /// When the server, or something on the way to it, refuses the stream.
    pub async fn lines(&self, path: &str, first: &impl Serialize) -> Result<LineStream, NotOpened> {
        let request = self.request(Method::POST, path).timeout(FOLLOW).json(first);
        self.open(request).await
    }

    /// Opens a stream of lines in both directions. The body of the request begins with `first`, and stays open until the
    /// sender or the stream is dropped.
    ///
    /// # Errors
    /// As [`Client::lines`].
    pub async fn duplex(&self, path: &str, first: &impl Serialize) -> Result<(LineStream, LineSender), NotOpened> {
        let (sender, body) = line_stream::body();
        sender.send(first).map_err(|message| NotOpened::of(unusable(&self.base, message)))?;
        let request = self.request(Method::POST, path).timeout(FOLLOW).header("content-type", "application/x-ndjson");
        Ok((self.open(request.body(body)).await?, sender))
    }

    async fn open(&self, request: reqwest::RequestBuilder) -> Result<LineStream, NotOpened> {
        let failed = |error: reqwest::Error| NotOpened::of(unreachable(&self.base, &error));
        let answer = request.send().await.map_err(failed)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(LineStream::new(answer, &self.base));
        }
        let body = answer.bytes().await.map_err(failed)?;
        Err(NotOpened { status: Some(status.as_u16()), error: refused(&self.base, status, &body) })
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    async fn send<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, ClientError> {
        let failed = |error: reqwest::Error| unreachable(&self.base, &error);
        let answer = request.send().await.map_err(failed)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(failed)?;
        if !status.is_success() {
            return Err(refused(&self.base, status, &body));
        }
        let body: &[u8] = if body.is_empty() { b"null" } else { &body };
        serde_json::from_slice(body).map_err(|error| ClientError::Unreachable {
            address: self.base.clone(),
            message: format!("the answer is not what was expected: {error}"),
        })
    }
}

fn refused(base: &str, status: StatusCode, body: &[u8]) -> ClientError {
    match serde_json::from_slice(body) {
        Ok(problem) => ClientError::Refused(Box::new(problem)),
        Err(_) => ClientError::Unreachable { address: base.to_owned(), message: format!("answered {status}") },
    }
}

fn unusable(base: &str, message: String) -> ClientError {
    ClientError::Unreachable { address: base.to_owned(), message }
}

fn unreachable(base: &str, error: &reqwest::Error) -> ClientError {
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        message = inner.to_string();
        source = inner.source();
    }
    ClientError::Unreachable { address: base.to_owned(), message }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("base", &self.base).finish_non_exhaustive()
    }
}
