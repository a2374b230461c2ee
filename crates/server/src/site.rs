//! The server's own state, shared among connections. All of it is rebuilt at a start.

use std::sync::Arc;

use bytes::Bytes;
use kapelle_app::{App, Turns};

use crate::{
    auth::Auth,
    connections::{Connections, Most},
    limits::Limits,
    metrics::Metrics,
    origin::Names,
    shares::{Bounds, Shares},
};

/// Files that are read or written at once, each for one part and not for the client's whole transfer.
const FILES: usize = 8;
/// The most of these for one tenant.
const FILES_EACH: usize = 4;
/// Large bodies that are parsed at once.
const PARSING: usize = 2;

/// The server's own state.
pub struct Site {
    /// The use cases behind the routes.
    pub app: Arc<App>,
    pub auth: Auth,
    pub metrics: Metrics,
    pub limits: Limits,
    pub names: Names,
    pub connections: Arc<Connections>,
    /// Live streams.
    pub streams: Arc<Shares>,
    /// Uploads, downloads and exports in progress.
    pub transfers: Arc<Shares>,
    /// Bytes of bodies and large responses in progress.
    pub memory: Arc<Shares>,
    /// Turns at files, so that slow readers and writers do not occupy a thread.
    pub files: Turns,
    /// Turns at parsing large bodies.
    pub parsing: Turns,
    pub description: Bytes,
    /// Whether requests are logged at the level `info` instead of `debug`.
    pub access_log: bool,
}

impl Site {
    /// Makes the state.
    pub fn new(app: Arc<App>, limits: Limits, names: Names, description: String) -> Site {
        let most = Most { all: limits.connections, per_peer: limits.connections_per_peer };
        let shares = |all: usize| Shares::new(Bounds::halves(all as u64));
        let bytes = limits.body_bytes;
        Site {
            app,
            auth: Auth::new(limits.failures_per_minute),
            metrics: Metrics::default(),
            connections: Connections::new(most),
            streams: shares(limits.streams),
            transfers: shares(limits.transfers),
            memory: Shares::new(Bounds { all: bytes, tenant: bytes / 2, key: bytes / 2 }),
            files: Turns::new(FILES, FILES_EACH),
            parsing: Turns::new(PARSING, 1),
            limits,
            names,
            description: Bytes::from(description),
            access_log: false,
        }
    }
}
