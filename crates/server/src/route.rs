//! A route: its line in the table says the permission, the size limit and the handler.

use std::{future::Future, pin::Pin, sync::Arc};

use axum::{
    http::{Method, StatusCode},
    response::Response,
};
use kapelle_app::Permission;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::{call::Call, problem::Problem};

/// The owner of the data that a route touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The key's tenant: data of others does not exist.
    Tenant,
    /// The server as a whole: only keys of tenant 1, unless the route is public.
    Server,
    /// No data.
    Nobody,
}

/// The result of a handler.
pub type Answer = Result<Response, Problem>;

/// A handler.
pub type Handler = Arc<dyn Fn(Call) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync>;

/// A schema for the description of the interface.
pub type Describe = fn(&mut SchemaGenerator) -> Schema;

/// A route.
#[derive(Clone)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Route {
    pub method: Method,
    /// The path, with parameters in braces.
    pub path: &'static str,
    pub permission: Permission,
    /// The owner of the data.
    pub scope: Scope,
    /// The most bytes of a body; 0 when it takes none.
    pub body: usize,
    /// Whether the body is taken as a stream, of any type, instead of as JSON.
    pub raw: bool,
    /// One line for people.
    pub summary: &'static str,
    /// Parameters of the query: name and meaning.
    pub query: &'static [(&'static str, &'static str)],
    /// The schema of its body.
    pub takes: Option<Describe>,
    /// The schema of the messages that a client sends over the socket.
    pub messages: Option<Describe>,
    /// The status and body of its usual response.
    pub gives: (StatusCode, Option<Describe>),
    /// The media type of that response.
    pub media: &'static str,
    /// Whether the response carries an `ETag`, and is left out for a client that has it already.
    pub marked: bool,
    /// Whether refusals have the shape that the SDKs of model providers read, and tokens of attempts are accepted.
    pub openai: bool,
    pub(crate) handler: Handler,
}

/// The most bytes of an ordinary body.
pub const BODY: usize = 2 << 20;
/// The most bytes of an answer that a person with a link sends.
pub const BODY_LINK: usize = 16 << 10;
/// The most bytes of a one-time code.
pub const BODY_CODE: usize = 1 << 10;
/// The most bytes of a body that carries many items.
pub const BODY_MANY: usize = 32 << 20;
/// The most bytes of a file.
pub const BODY_FILE: usize = 64 << 20;

impl Route {
    pub(crate) fn new<F, Fut>(
        (method, path): (Method, &'static str),
        permission: Permission,
        scope: Scope,
        summary: &'static str,
        handler: F,
    ) -> Route
    where
        F: Fn(Call) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Answer> + Send + 'static,
    {
        Route {
            method,
            path,
            permission,
            scope,
            body: 0,
            raw: false,
            summary,
            query: &[],
            takes: None,
            messages: None,
            gives: (StatusCode::OK, None),
            media: "application/json",
            marked: false,
            openai: false,
            handler: Arc::new(move |call| Box::pin(handler(call))),
        }
    }

    pub(crate) fn takes<T: JsonSchema>(self, most: usize) -> Route {
        Route { body: most, takes: Some(|schemas| schemas.subschema_for::<T>()), ..self }
    }

    /// Names the messages that a client sends over the socket.
    pub(crate) fn takes_messages<T: JsonSchema>(self) -> Route {
        Route { messages: Some(|schemas| schemas.subschema_for::<T>()), ..self }
    }

    pub(crate) fn takes_bytes(self, most: usize) -> Route {
        Route { body: most, raw: true, ..self }
    }

    pub(crate) fn gives<T: JsonSchema>(self, status: StatusCode) -> Route {
        Route { gives: (status, Some(|schemas| schemas.subschema_for::<T>())), ..self }
    }

    pub(crate) fn media(self, status: StatusCode, media: &'static str) -> Route {
        Route { gives: (status, None), media, ..self }
    }

    /// Changes the media type of the response, for events of a stream.
    pub(crate) fn sends(self, media: &'static str) -> Route {
        Route { media, ..self }
    }

    pub(crate) fn marked(self) -> Route {
        Route { marked: true, ..self }
    }

    /// Marks a route of the model gateway.
    pub(crate) fn openai(self, body: usize) -> Route {
        Route { openai: true, body, ..self }
    }

    pub(crate) fn query(self, query: &'static [(&'static str, &'static str)]) -> Route {
        Route { query, ..self }
    }
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}
