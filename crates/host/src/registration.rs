//! The host's registration with its server, renewed when the server does not know the host any more.

use std::time::Duration;

use kapelle_api::{self as api, Client, ClientError};
use serde::{Serialize, de::DeserializeOwned};

use crate::{builder::Listener, event::HostEvent};

/// The wait between two tries to register.
const RETRY: Duration = Duration::from_secs(1);
/// Tries of a host with work under way: longer than a restart of the server takes, and than a lease.
const TRIES: u32 = 60;
/// Time limit of a heartbeat: three of them fit into a lease.
const BEAT: Duration = Duration::from_secs(5);

/// The wait before an unreachable server is tried again: 200 ms after the first failure, and at most 2 s.
pub(crate) fn pause(failures: u32) -> Duration {
    Duration::from_millis((100 << failures.min(5)).min(2_000))
}

/// A host as its server knows it. A server that was restarted knows no hosts until they register again.
pub(crate) struct Registration {
    pub(crate) client: Client,
    /// The client of the heartbeats, whose connections no blocked runtime holds up.
    beats: Client,
    pub(crate) register: api::Register,
    pub(crate) listener: Listener,
    known: tokio::sync::Mutex<Option<api::Registered>>,
}

impl Registration {
    /// Makes a registration that is not sent yet.
    ///
    /// # Errors
    /// When the system provides no connections.
    pub(crate) fn new(
        client: Client,
        register: api::Register,
        listener: Listener,
    ) -> Result<Registration, ClientError> {
        let beats = client.apart()?;
        Ok(Registration { client, beats, register, listener, known: tokio::sync::Mutex::default() })
    }

    /// Returns the registration. With `gone`, an id that the server does not know any more, the host registers again.
    pub(crate) async fn current(&self, gone: Option<&str>) -> Result<api::Registered, ClientError> {
        self.current_by(&self.client, gone).await
    }

    async fn current_by(&self, client: &Client, gone: Option<&str>) -> Result<api::Registered, ClientError> {
        let mut known = self.known.lock().await;
        if let Some(registered) = known.as_ref().filter(|registered| Some(registered.id.as_str()) != gone) {
            return Ok(registered.clone());
        }
        let mut told = false;
        let mut tries = 0..TRIES;
        loop {
            match client.post::<api::Registered>("/api/v1/hosts", &self.register).await {
                // A new host waits for its server without end; one with work under way must be able to end.
                Err(error) if error.is_temporary() && (gone.is_none() || tries.next().is_some()) => {
                    if !std::mem::replace(&mut told, true) {
                        (self.listener)(&HostEvent::WaitingForServer { error: error.to_string() });
                    }
                    tokio::time::sleep(RETRY).await;
                }
                Err(error) => return Err(error),
                Ok(registered) => {
                    *known = Some(registered.clone());
                    return Ok(registered);
                }
            }
        }
    }

    /// Sends a request of this host, and once more when the host had to register again.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        what: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, ClientError> {
        self.ask_by(&self.client, what, body).await
    }

    async fn ask_by<T: DeserializeOwned>(
        &self,
        client: &Client,
        what: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, ClientError> {
        let id = self.current(None).await?.id;
        match client.post(&format!("/api/v1/hosts/{id}/{what}"), body).await {
            Err(ClientError::Refused(problem)) if problem.code == api::code::NOT_FOUND => {
                let id = self.current_by(client, Some(&id)).await?.id;
                client.post(&format!("/api/v1/hosts/{id}/{what}"), body).await
            }
            answered => answered,
        }
    }

    /// Sends a heartbeat.
    pub(crate) async fn beat(&self, beat: &api::Beat) -> Result<api::BeatAnswer, ClientError> {
        let late = |_| ClientError::Unreachable {
            address: self.beats.base().to_owned(),
            message: format!("no answer to a heartbeat within {BEAT:?}"),
        };
        tokio::time::timeout(BEAT, self.ask_by(&self.beats, "heartbeat", beat)).await.map_err(late)?
    }

    /// Tells the server that the host is gone.
    pub(crate) async fn leave(&self) {
        if let Some(registered) = self.known.lock().await.as_ref() {
            let path = format!("/api/v1/hosts/{}", registered.id);
            // A server that is away notices by itself.
            let _ = self.client.delete::<serde_json::Value>(&path).await;
        }
    }
}
