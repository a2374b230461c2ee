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

/// The file that tells programs of this machine where the server of a folder listens, and the number of its process:
/// one that was killed leaves the file behind.
pub const ADDRESS_FILE: &str = "address";

/// Connections that may wait to be taken. The system has a bound of its own (`net.core.somaxconn`, usually the same).
const BACKLOG: u32 = 4_096;

/// How a server is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen, such as `127.0.0.1:7863`; port 0 takes any that is free.
    pub listen: String,
    /// Further names under which it is reached.
    pub host_names: Vec<String>,
    /// Listens where others than this machine can connect, although nothing is encrypted here.
    pub insecure: bool,
    /// The folder with the workflows of the project.
    pub workflows: Option<PathBuf>,
    /// Slots of the queues in this process, by name.
    pub queues: Vec<(Name, u32)>,
    /// How much one client may ask.
    pub limits: Limits,
    /// What sets this process apart.
    pub labels: Labels,
    /// What is to be called unhealthy.
    pub checks: Vec<HealthCheck>,
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
        }
    }
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address is not one.
    #[error("`{0}` is no address to listen at: it looks like 127.0.0.1:7863")]
    Address(String),
    /// Others could read what is sent.
    #[error(
        "{0} can be reached from other machines, and nothing is encrypted here, tokens included: put a proxy with TLS in front and listen at 127.0.0.1, or say --insecure"
    )]
    Exposed(SocketAddr),
    /// Somebody else listens there.
    #[error("{address} is taken: {holder} listens there; stop it, or give another port with --listen")]
    Taken {
        /// Where.
        address: SocketAddr,
        /// Who, where the system tells it.
        holder: String,
    },
    /// The system does not let us.
    #[error("{address}: {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The error of the system.
        error: io::Error,
    },
    /// The token or the address cannot be written down.
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
        let site = Arc::new(Site::new(app, options.limits, names, openapi::describe(&routes())));
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

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The token, when it was made just now: to be shown once.
    #[must_use]
    pub fn fresh_token(&self) -> Option<&str> {
        self.fresh_token.as_deref()
    }

    /// Tells those who follow live events of what happens to scripts from now on.
    pub fn tell_of_scripts(&self, fleet: &kapelle_scripts::Fleet) {
        self.site.app.tell_of_scripts(fleet);
    }

    /// Ends in good order: nothing new is taken, attempts in this process are finished, answers are sent. Dropping the
    /// future and calling [`Server::stop`] cuts it short.
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

    /// Ends at once: attempts in this process are begun again at the next start.
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
        // A file that stays names an address at which nobody answers; clients look first.
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

/// Opens the port. Connections that come at once wait with the system until they are taken; those for which it has no
/// place are not refused but left to try again by themselves, a second later and longer each time.
fn listen_at(wanted: SocketAddr) -> io::Result<TcpListener> {
    let socket = if wanted.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A server that is started again takes its port although old connections of it are still fading.
    socket.set_reuseaddr(true)?;
    socket.bind(wanted)?;
    socket.listen(BACKLOG)
}

/// Written beside its place and moved there, so that nobody reads half of it.
fn write_address(file: &Path, address: SocketAddr) -> io::Result<()> {
    let reachable = reachable(address);
    private::at_own_place(file, format!("http://{reachable}\n{}\n", std::process::id()).as_bytes())
}

/// Where programs of this machine reach what listens there.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        ip if ip.is_unspecified() && ip.is_ipv4() => SocketAddr::from(([127, 0, 0, 1], address.port())),
        ip if ip.is_unspecified() => SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, address.port())),
        _ => address,
    }
}
