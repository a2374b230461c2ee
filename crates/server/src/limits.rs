//! How much one client may ask of the server.

use std::time::Duration;

/// How much one client may ask of the server. The defaults are those of `kapelle serve`.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of inputs, outputs and questions in one page of a list or one claim, about: the row that reaches it is the last.
    pub page_bytes: usize,
    /// From the first byte of a request to the end of its headers; also how long an idle connection is kept.
    pub header_time: Duration,
    /// Between two parts of a body, and what a body may take at most besides the time for its bytes at `body_rate`.
    pub body_idle: Duration,
    /// Bytes a second that a body comes with at least, on average.
    pub body_rate: u64,
    /// How long a body waits for memory, while it holds none.
    pub body_wait: Duration,
    /// Bytes of memory for bodies, what is read from them, and large answers under way.
    pub body_bytes: u64,
    /// A client that takes nothing for that long, or too little, while it is sent something is let go.
    pub write_stall: Duration,
    /// Bytes of the headers together.
    pub header_bytes: usize,
    /// Connections in all.
    pub connections: usize,
    /// Connections of one address on which no right credential was shown.
    pub connections_per_peer: usize,
    /// Live streams in all.
    pub streams: usize,
    /// Files and exports on their way in or out, in all.
    pub transfers: usize,
    /// Wrong credentials of one address within a minute; more are told to wait.
    pub failures_per_minute: u32,
    /// How often a live stream looks whether its key still holds.
    pub recheck: Duration,
    /// How long a drain waits for answers under way.
    pub drain: Duration,
    /// How long a claimed task may go unacknowledged by a host that promised to acknowledge.
    pub ack: Duration,
    /// How long a worker host may be silent before its tasks go to others; the engine has the same.
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
