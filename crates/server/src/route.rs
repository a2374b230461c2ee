//! What a route is: the line of the table that says who may ask for it, how much may be sent, and who answers.

use std::{future::Future, pin::Pin, sync::Arc};

use axum::{
    http::{Method, StatusCode},
    response::Response,
};
use kapelle_app::Permission;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::{call::Call, problem::Problem};

/// Whose data a route touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// That of the key's tenant: the things of others do not exist.
    Tenant,
    /// The server as a whole: only keys of tenant 1, unless it is public.
    Server,
    /// Nobody's.
    Nobody,
}

/// What a handler gives.
pub type Answer = Result<Response, Problem>;

/// Whoever answers.
pub type Handler = Arc<dyn Fn(Call) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync>;

/// A schema for the description of the interface.
pub type Describe = fn(&mut SchemaGenerator) -> Schema;

/// A route.
#[derive(Clone)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with parameters in braces.
    pub path: &'static str,
    /// Who may.
    pub permission: Permission,
    /// Whose data.
    pub scope: Scope,
    /// The most bytes of a body; 0 when it takes none.
    pub body: usize,
    /// The body is taken as it comes, of any kind, instead of as JSON.
    pub raw: bool,
    /// One line for people.
    pub summary: &'static str,
    /// Parameters of the query: name, and what it does.
    pub query: &'static [(&'static str, &'static str)],
    /// The body it takes.
    pub takes: Option<Describe>,
    /// The status and body of its usual answer.
    pub gives: (StatusCode, Option<Describe>),
    /// The media type of that answer.
    pub media: &'static str,
    /// The answer carries an `ETag`, and is left out for who has it already.
    pub marked: bool,
    /// Refusals have the shape that the SDKs of OpenAI read, and tokens of attempts are let in.
    pub openai: bool,
    pub(crate) handler: Handler,
}

/// The most bytes of an ordinary body.
pub const BODY: usize = 2 << 20;
/// The most bytes of an answer that somebody with a link gives.
pub const BODY_LINK: usize = 16 << 10;
/// The most bytes of a body that carries many.
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

    pub(crate) fn takes_bytes(self, most: usize) -> Route {
        Route { body: most, raw: true, ..self }
    }

    pub(crate) fn gives<T: JsonSchema>(self, status: StatusCode) -> Route {
        Route { gives: (status, Some(|schemas| schemas.subschema_for::<T>())), ..self }
    }

    pub(crate) fn media(self, status: StatusCode, media: &'static str) -> Route {
        Route { gives: (status, None), media, ..self }
    }

    /// The same answers under another media type, as events of a stream.
    pub(crate) fn as_media(self, media: &'static str) -> Route {
        Route { media, ..self }
    }

    pub(crate) fn marked(self) -> Route {
        Route { marked: true, ..self }
    }

    /// One of the gateway's own.
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
