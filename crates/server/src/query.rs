//! Parameters of a path's query.

use axum::{extract::Query, http::Uri};
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// Reads the query of a path.
///
/// # Errors
/// An unknown parameter, or one of the wrong type.
pub fn read<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    Query::try_from_uri(uri).map(|Query(query)| query).map_err(|error| {
        let text = error.to_string();
        let text = text.rsplit_once("Failed to deserialize query string: ").map_or(text.as_str(), |(_, rest)| rest);
        Problem::invalid(format!("the query of the path: {text}"))
    })
}
