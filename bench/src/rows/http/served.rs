//! The server over a bed.

use std::sync::Arc;

use kapelle::core::{Labels, Name};
use kapelle_server::{Limits, Options, Server};

use super::client::Client;
use crate::{bed::Bed, measure::Plan};

/// The server over a bed.
pub struct Served {
    pub bed: Bed,
    server: Server,
    token: Arc<str>,
}

impl Served {
    /// Starts a server over a fresh folder, with that many slots.
    pub async fn start(plan: &Plan, slots: u32) -> anyhow::Result<Served> {
        Served::over(Bed::fresh(plan, "http", slots).await?, slots).await
    }

    /// Starts a server over a bed.
    pub async fn over(bed: Bed, slots: u32) -> anyhow::Result<Served> {
        let options = Options {
            listen: "127.0.0.1:0".to_owned(),
            host_names: Vec::new(),
            insecure: false,
            workflows: None,
            queues: vec![(Name::new("default"), slots)],
            limits: Limits::default(),
            labels: Labels::default(),
            checks: Vec::new(),
            access_log: false,
        };
        let server = Server::start(Arc::clone(bed.kapelle.app()), options).await?;
        let token = std::fs::read_to_string(bed.kapelle.folder().join("token"))?;
        Ok(Served { bed, server, token: Arc::from(token.trim()) })
    }

    /// Opens a client on its own connection.
    pub async fn client(&self) -> anyhow::Result<Client> {
        Client::connect(self.server.address(), &self.token).await
    }

    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.server.stop().await;
        drop(self.server);
        self.bed.remove().await
    }
}
