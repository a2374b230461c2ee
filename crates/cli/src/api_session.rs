//! Access to the use cases: through the server that works on the folder, or in this process.

use std::sync::Arc;

use kapelle::{Caller, InProcess, Kapelle};
use kapelle_api::{Api, ClientError};

use crate::{app::App, failure::Failure, remote};

/// The use cases for one verb. A server on the folder does them; without one, the folder is opened for one change, and
/// no task is worked on.
pub struct ApiSession {
    api: Box<dyn Api>,
    kapelle: Option<Kapelle>,
}

impl ApiSession {
    /// Finds the server, or opens the folder.
    ///
    /// # Errors
    /// When the folder cannot be opened.
    pub async fn open(app: &App) -> Result<ApiSession, Failure> {
        if let Some(client) = remote::server(app)? {
            return Ok(ApiSession { api: Box::new(client), kapelle: None });
        }
        let kapelle = app.open_idle().await?;
        let api = InProcess { app: Arc::clone(kapelle.app()), caller: Caller::owner("folder") };
        Ok(ApiSession { api: Box::new(api), kapelle: Some(kapelle) })
    }

    /// Returns the use cases.
    pub fn api(&self) -> &dyn Api {
        &*self.api
    }

    /// Says whether they are done in this process, so that a later process continues the work.
    pub fn is_local(&self) -> bool {
        self.kapelle.is_some()
    }

    /// Closes the folder, and returns the answer.
    ///
    /// # Errors
    /// The refusal.
    pub async fn close<T>(self, answer: Result<T, ClientError>) -> Result<T, Failure> {
        if let Some(kapelle) = &self.kapelle {
            kapelle.drain().await;
        }
        Ok(answer?)
    }
}
