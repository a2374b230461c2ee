//! The use cases, wherever they are done: by the server that works on the folder, or in this process.

use std::sync::Arc;

use kapelle::{Caller, InProcess, Kapelle};
use kapelle_api::{Api, ClientError};

use crate::{app::App, failure::Failure, remote};

/// The use cases for one verb. With a server on the folder that server does them; else the folder is opened for one change,
/// and no task is worked on.
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

    /// The use cases.
    pub fn api(&self) -> &dyn Api {
        &*self.api
    }

    /// Whether they are done in this process, so that a later process goes on with the work.
    pub fn is_local(&self) -> bool {
        self.kapelle.is_some()
    }

    /// Closes the folder, and gives what was answered.
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
