//! A server from its start to its end.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use kapelle_app::{App, HealthCheck, Settings, TOKEN_FILE, token};
use kapelle_core::{Labels, Name};
use kapelle_store::private;
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::watch,
    task::JoinHandle,
};

use crate::{
    gatekeeper::Gatekeeper,
    limits::Limits,
    listener::{Phase, listen},
    openapi,
    origin::Names,
    port_owner,
    routes::routes,
    site::Site,
};

/// The file that tells programs of this machine the address of a folder's server and its process id: a killed server
/// leaves the file behind.
pub const ADDRESS_FILE: &str = "address";

/// Connections that may wait to be accepted. The system has a limit of its own (`net.core.somaxconn`, usually equal).
const BACKLOG: u32 = 4_096;

/// The settings of a server.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address to listen on, such as `127.0.0.1:7863`; port 0 takes any free one.
    pub listen: String,
    /// Further host names of the server.
    pub host_names: Vec<String>,
    /// Whether to listen where other machines can connect, although nothing is encrypted here.
    pub insecure: bool,
    /// The folder with the workflows of the project.
    pub workflows: Option<PathBuf>,
    /// Slots of the queues in this process, by name.
    pub queues: Vec<(Name, u32)>,
    /// Limits of one client.
    pub limits: Limits,
    /// Labels of this process.
    pub labels: Labels,
    /// Checks that decide about health.
    pub checks: Vec<HealthCheck>,
    /// Whether requests are logged at the level `info` instead of `debug`.
    pub access_log: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            listen: "127.0.0.1:7863".to_owned(),
            host_names: Vec::new(),
            insecure: false,
            workflows: None,
            queues: Vec::new(),
            limits: Limits::default(),
            labels: Labels::new(),
            checks: Vec::new(),
            access_log: false,
        }
    }
}

/// The reason why a server does not start.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub enum ServerError {
    /// The address is invalid.
    #[error("`{0}` is not an address to listen on; expected one such as 127.0.0.1:7863")]
    Address(String),
    /// Others could read what is sent.
    #[error(
        "{0} can be reached from other machines, and nothing is encrypted here, tokens included: put a proxy with TLS \
         in front and listen at 127.0.0.1, or add --insecure"
    )]
    Exposed(SocketAddr),
    /// Another process listens there.
    #[error("{address} is taken: {holder} listens there; stop it, or choose another port with --listen")]
    Taken {
        address: SocketAddr,
        /// The process, where the system tells it.
        holder: String,
    },
    /// The system refuses the address.
    #[error("{address}: {error}")]
    Listen {
        address: SocketAddr,
        /// The error of the system.
        error: io::Error,
    },
    /// The token or the address cannot be written.
    #[error("{path}: {error}", path = .path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] kapelle_store::StoreError),
}

/// A running server.
pub struct Server {
    site: Arc<Site>,
    address: SocketAddr,
    fresh_token: Option<String>,
    phase: watch::Sender<Phase>,
    listening: JoinHandle<()>,
    watching: JoinHandle<()>,
    file: PathBuf,
}

impl Server {
    /// Listens, and serves from now on. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be used, or the token cannot be read or written.
    pub async fn start(app: Arc<App>, options: Options) -> Result<Server, ServerError> {
        let (listener, address) = bind(&options).await?;
        let folder = app.folder().to_owned();
        let cannot = |name: &str| {
            let path = folder.join(name);
            move |error| ServerError::File { path, error }
        };
        let (token, fresh) = token(&folder).map_err(cannot(TOKEN_FILE))?;
        app.keyring().admit_owner(&token);
        app.serve_links(&token);
        app.serve(Settings {
            workflows: options.workflows,
            queues: options.queues.into_iter().collect(),
            labels: options.labels,
            checks: options.checks,
            lease: options.limits.lease,
            ack: options.limits.ack,
            page_bytes: options.limits.page_bytes,
        });
        let (phase, phases) = watch::channel(Phase::Up);
        let names = Names::new(&options.host_names);
        let mut site = Site::new(app, options.limits, names, openapi::describe(&routes()));
        site.access_log = options.access_log;
        let site = Arc::new(site);
        let app = &site.app;
        app.keep_tokens(&token);
        app.token_issuer().serve_at(format!("http://{}/v1", reachable(address)));
        let gatekeeper = Gatekeeper::new(&site, routes());
        let listening = tokio::spawn(listen(listener, Arc::clone(&site), gatekeeper, phases));
        let file = folder.join(ADDRESS_FILE);
        write_address(&file, address).map_err(cannot(ADDRESS_FILE))?;
        let watching = tokio::spawn(Arc::clone(app).look_after());
        app.note(&json!({
            "event": "server_started",
            "address": address.to_string(),
            "version": env!("CARGO_PKG_VERSION"),
            "process": std::process::id(),
        }));
        Ok(Server { site, address, fresh_token: fresh.then_some(token), phase, listening, watching, file })
    }

    /// Returns the address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address by which programs of this machine reach it.
    #[must_use]
    pub fn reachable(&self) -> SocketAddr {
        reachable(self.address)
    }

    /// Returns the token, if it was made just now: to be shown once.
    #[must_use]
    pub fn fresh_token(&self) -> Option<&str> {
        self.fresh_token.as_deref()
    }

    /// Publishes events of scripts to the followers of live events from now on.
    pub fn tell_of_scripts(&self, fleet: &kapelle_scripts::Fleet) {
        self.site.app.tell_of_scripts(fleet);
    }

    /// Shuts down gracefully: nothing new is accepted, attempts in this process are finished, responses are sent.
    /// Dropping the future and calling [`Server::stop`] cuts it short.
    pub async fn drain(&mut self) {
        self.begin_to_end("drained").await;
        self.site.app.drain().await;
        self.phase.send_replace(Phase::Ending);
        let wait = self.site.limits.drain;
        if tokio::time::timeout(wait, &mut self.listening).await.is_err() {
            self.phase.send_replace(Phase::Cut);
        }
        self.forget_address();
    }

    /// Ends at once: attempts in this process start again at the next start.
    pub async fn stop(&mut self) {
        self.begin_to_end("at once").await;
        self.phase.send_replace(Phase::Cut);
        self.site.app.close().await;
        self.forget_address();
    }

    async fn begin_to_end(&self, how: &str) {
        self.watching.abort();
        if self.site.app.begin_draining() {
            let note = json!({ "event": "server_stopped", "how": how, "process": std::process::id() });
            self.site.app.noted(&note).await;
        }
    }

    fn forget_address(&self) {
        // A leftover file names an address where no server answers; clients check first.
        let _ = std::fs::remove_file(&self.file);
    }
}

async fn bind(options: &Options) -> Result<(TcpListener, SocketAddr), ServerError> {
    let wrong = || ServerError::Address(options.listen.clone());
    let text = options.listen.replace("localhost:", "127.0.0.1:");
    let wanted: SocketAddr = text.parse().map_err(|_| wrong())?;
    if !wanted.ip().is_loopback() && !options.insecure {
        return Err(ServerError::Exposed(wanted));
    }
    let listener = listen_at(wanted).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            let holder = port_owner::of(wanted).unwrap_or_else(|| "another program".to_owned());
            ServerError::Taken { address: wanted, holder }
        }
        _ => ServerError::Listen { address: wanted, error },
    })?;
    let address = listener.local_addr().map_err(|error| ServerError::Listen { address: wanted, error })?;
    Ok((listener, address))
}

/// Opens the port. Simultaneous connections wait with the system until they are accepted. Those beyond its queue are
/// not refused; they retry by themselves, after a second and then longer each time.
fn listen_at(wanted: SocketAddr) -> io::Result<TcpListener> {
    let socket = if wanted.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restarted server takes its port although old connections of it are still closing.
    socket.set_reuseaddr(true)?;
    socket.bind(wanted)?;
    socket.listen(BACKLOG)
}

/// Writes to a temporary file and renames it, so that a reader never sees half of it.
fn write_address(file: &Path, address: SocketAddr) -> io::Result<()> {
    let reachable = reachable(address);
    private::at_own_place(file, format!("http://{reachable}\n{}\n", std::process::id()).as_bytes())
}

/// Returns the address by which programs of this machine reach what listens there.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        ip if ip.is_unspecified() && ip.is_ipv4() => SocketAddr::from(([127, 0, 0, 1], address.port())),
        ip if ip.is_unspecified() => SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, address.port())),
        _ => address,
    }
}
