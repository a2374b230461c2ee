//! Limits of what one client may use.

use std::time::Duration;

/// Limits of what one client may use. The defaults are those of `kapelle serve`.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Approximate bytes of inputs, outputs and questions in one page of a list or one claim: the row that reaches the
    /// limit is the last.
    pub page_bytes: usize,
    /// Time from the first byte of a request to the end of its headers; also how long an idle connection is kept.
    pub header_time: Duration,
    /// Time between two parts of a body, and the time that a whole body may take in addition to its bytes at
    /// `body_rate`.
    pub body_idle: Duration,
    /// Minimum average rate of a body, in bytes a second.
    pub body_rate: u64,
    /// Time that a body waits for memory, while it holds none.
    pub body_wait: Duration,
    /// Bytes of memory for bodies, for what is read from them, and for large responses in progress.
    pub body_bytes: u64,
    /// Time after which a client is disconnected that reads nothing, or too little, while data waits for it.
    pub write_stall: Duration,
    /// Bytes of all headers together.
    pub header_bytes: usize,
    /// Connections in all.
    pub connections: usize,
    /// Connections of one address without a right credential so far.
    pub connections_per_peer: usize,
    /// Live streams in all.
    pub streams: usize,
    /// Uploads, downloads and exports in progress.
    pub transfers: usize,
    /// Wrong credentials of one address per minute; after more it has to wait.
    pub failures_per_minute: u32,
    /// Interval at which a live stream checks its key.
    pub recheck: Duration,
    /// Time that a drain waits for responses in progress.
    pub drain: Duration,
    /// Time that a claimed task may go unacknowledged by a host that promised to acknowledge.
    pub ack: Duration,
    /// Silence after which a worker host loses its tasks; the engine has the same value.
    pub lease: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            page_bytes: 16 << 20,
            header_time: Duration::from_secs(10),
            body_idle: Duration::from_secs(30),
            body_rate: 32 * 1024,
            body_wait: Duration::from_secs(10),
            body_bytes: 256 << 20,
            write_stall: Duration::from_secs(30),
            header_bytes: 32 * 1024,
            connections: 8_192,
            connections_per_peer: 4_096,
            streams: 1_024,
            transfers: 1_024,
            failures_per_minute: 20,
            recheck: Duration::from_secs(2),
            drain: Duration::from_secs(10),
            ack: Duration::from_millis(1_500),
            lease: Duration::from_secs(15),
        }
    }
}
