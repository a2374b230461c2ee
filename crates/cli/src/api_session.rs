//! Access to the use cases: through a server, or in this process.

use std::sync::Arc;

use kapelle::{Caller, InProcess, Kapelle};
use kapelle_api::{Api, Client, ClientError};

use crate::{app::App, failure::Failure, remote};

/// The use cases for one verb.
pub struct ApiSession {
    api: Box<dyn Api>,
    access: Access,
}

/// The way to the use cases.
enum Access {
    /// The server that is named, or works on the folder.
    Server(Client),
    /// The folder, opened for one change. This process works on no task.
    Change(Kapelle),
    /// The folder, read beside a process that may work on it.
    Reading,
}

/// Returns the use cases of an open folder, in the name of its owner.
pub fn in_process(kapelle: &Kapelle) -> InProcess {
    InProcess { app: Arc::clone(kapelle.app()), caller: Caller::owner("folder") }
}

impl ApiSession {
    /// Finds the server, or opens the folder for reading.
    ///
    /// # Errors
    /// When the folder has no data yet, or cannot be read.
    pub fn reading(app: &App) -> Result<ApiSession, Failure> {
        if let Some(client) = remote::server(app)? {
            return Ok(ApiSession::of(client));
        }
        app.has_data()?;
        ApiSession::folder(app)
    }

    /// Does as [`ApiSession::reading`]; a folder without data reads as an empty one.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn reading_any(app: &App) -> Result<ApiSession, Failure> {
        match remote::server(app)? {
            Some(client) => Ok(ApiSession::of(client)),
            None => ApiSession::folder(app),
        }
    }

    fn folder(app: &App) -> Result<ApiSession, Failure> {
        let kapelle = app.builder(&app.settings()?)?.read()?;
        app.warn_problems(kapelle.worker_problems());
        Ok(ApiSession { api: Box::new(in_process(&kapelle)), access: Access::Reading })
    }

    /// Finds the server, or opens the folder for one change, and creates it when it does not exist.
    ///
    /// # Errors
    /// When the folder cannot be opened.
    pub async fn open(app: &App) -> Result<ApiSession, Failure> {
        if let Some(client) = remote::server(app)? {
            return Ok(ApiSession::of(client));
        }
        let kapelle = app.open_idle().await?;
        Ok(ApiSession { api: Box::new(in_process(&kapelle)), access: Access::Change(kapelle) })
    }

    /// Does as [`ApiSession::open`] for a change of a thing that must exist already: no folder is created for it.
    ///
    /// # Errors
    /// When the folder has no data yet, or cannot be opened.
    pub async fn open_existing(app: &App) -> Result<ApiSession, Failure> {
        if let Some(client) = remote::server(app)? {
            return Ok(ApiSession::of(client));
        }
        app.has_data()?;
        ApiSession::open(app).await
    }

    fn of(client: Client) -> ApiSession {
        ApiSession { api: Box::new(client.clone()), access: Access::Server(client) }
    }

    /// Returns the use cases.
    pub fn api(&self) -> &dyn Api {
        &*self.api
    }

    /// Returns the server; `None` when the use cases are done in this process.
    pub fn server(&self) -> Option<&Client> {
        match &self.access {
            Access::Server(client) => Some(client),
            Access::Change(_) | Access::Reading => None,
        }
    }

    /// Says whether the use cases are done in this process, so that a later process continues the work.
    pub fn is_local(&self) -> bool {
        self.server().is_none()
    }

    /// Closes the folder, and returns the answer.
    ///
    /// # Errors
    /// The refusal.
    pub async fn close<T>(self, answer: Result<T, ClientError>) -> Result<T, Failure> {
        if let Access::Change(kapelle) = &self.access {
            kapelle.drain().await;
        }
        Ok(answer?)
    }
}
