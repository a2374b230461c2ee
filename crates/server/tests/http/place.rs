//! A server over a temporary folder, and a client that sends exactly what it is given.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use kapelle::{HealthCheck, Kapelle, TaskError, WorkerSpec, core::Name, engine::Clock};
use kapelle_server::{Limits, Options, Server};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
};

/// A server over a temporary folder.
pub struct Place {
    pub server: Server,
    pub kapelle: Arc<Kapelle>,
    pub token: String,
    /// Releases the tasks of the worker `gate`.
    pub gate: Arc<Notify>,
    folder: tempfile::TempDir,
    setup: Setup,
}

/// Settings of a place besides its limits.
#[derive(Clone, Default)]
pub struct Setup {
    pub limits: Limits,
    pub checks: Vec<HealthCheck>,
    /// `kapelle.yaml`.
    pub config: String,
    /// Address of the models.
    pub base_url: Option<String>,
    /// Files of the project: path and text.
    pub files: Vec<(&'static str, &'static str)>,
    /// The clock; that of the machine without one.
    pub clock: Option<Arc<dyn Clock>>,
}

/// A response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Place {
    pub async fn new() -> Place {
        Place::with(Limits::default()).await
    }

    pub async fn with(limits: Limits) -> Place {
        Place::set_up(Setup { limits, ..Setup::default() }).await
    }

    pub async fn set_up(setup: Setup) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let gate = Arc::new(Notify::new());
        let (server, kapelle, token) = start(&folder, &setup, &gate).await;
        Place { server, kapelle, token, gate, folder, setup }
    }

    /// Returns the path of a file of the folder.
    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a new server on the folder.
    pub async fn again(mut self) -> Place {
        self.server.stop().await;
        drop((self.server, self.kapelle));
        let (server, kapelle, token) = start(&self.folder, &self.setup, &self.gate).await;
        Place { server, kapelle, token, gate: self.gate, folder: self.folder, setup: self.setup }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Asks with the token.
    pub async fn ask(&self, method: &str, path: &str, body: Value) -> Answer {
        self.ask_as(&self.token, method, path, body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, Value::Null).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask("POST", path, body).await
    }

    /// Asks with another token or key.
    pub async fn ask_as(&self, token: &str, method: &str, path: &str, body: Value) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.say(method, path, &headers, &body).await
    }

    /// Asks with exactly these headers beside host and length.
    pub async fn say(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            head += &format!("host: {}\r\n", self.address());
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("content-length: {}\r\n\r\n", body.len());
        let mut stream = TcpStream::connect(self.address()).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        // A large body is only announced: it is refused then, and data sent after that would meet a closed connection,
        // which can lose the response.
        if body.len() <= 1 << 20 {
            stream.write_all(body).await.unwrap();
        }
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        Answer::parse(&answer)
    }

    /// Makes a key. Returns its secret and id.
    pub async fn key(&self, role: &str, tenant: u32) -> (String, String) {
        let body = json!({ "name": format!("a {role}"), "role": role, "tenant": tenant });
        let made = self.post("/api/v1/keys", body).await.json(201);
        (made["secret"].as_str().unwrap().to_owned(), made["id"].as_str().unwrap().to_owned())
    }

    /// Submits a task. Returns its id.
    pub async fn submit(&self, worker: &str, input: Value) -> String {
        let made = self.post("/api/v1/tasks", json!({ "worker": worker, "input": input })).await.json(201);
        made["id"].as_str().unwrap().to_owned()
    }
}

async fn start(folder: &tempfile::TempDir, setup: &Setup, gate: &Arc<Notify>) -> (Server, Arc<Kapelle>, String) {
    let config = kapelle::Config::parse(&setup.config, "kapelle.yaml").unwrap();
    let base_url = setup.base_url.clone();
    let environment = move |name: &str| match name {
        "OPENAI_BASE_URL" => base_url.clone(),
        "OPENAI_API_KEY" => base_url.as_ref().map(|_| "sk-canary".to_owned()),
        _ => None,
    };
    for (file, text) in &setup.files {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let workflows = folder.path().join("workflows");
    let builder = Kapelle::builder(folder.path()).config(config).session_log().environment(environment);
    let builder = builder.workers(&folder.path().join("workers")).workflows(&workflows);
    let builder = match &setup.clock {
        Some(clock) => builder.clock(Arc::clone(clock)),
        None => builder,
    };
    let kapelle = builder.open().await.unwrap();
    kapelle.register("echo", async |input| Ok(input)).unwrap();
    let refuse = async |_| Err(TaskError::new(kapelle::Category::InvalidInput, "never"));
    kapelle.register("refuse", refuse).unwrap();
    let opened = Arc::clone(gate);
    let gated = WorkerSpec { slots: 1, ..WorkerSpec::named("gate") };
    kapelle.register_spec(gated, move |input| {
        let opened = Arc::clone(&opened);
        async move {
            opened.notified().await;
            Ok(input)
        }
    });
    let kapelle = Arc::new(kapelle);
    let options = Options {
        listen: "127.0.0.1:0".to_owned(),
        host_names: vec!["kapelle.example".to_owned()],
        queues: vec![(Name::new("default"), 8)],
        workflows: Some(workflows),
        limits: setup.limits.clone(),
        checks: setup.checks.clone(),
        ..Options::default()
    };
    let server = Server::start(Arc::clone(kapelle.app()), options).await.unwrap();
    let token = std::fs::read_to_string(folder.path().join("token")).unwrap().trim().to_owned();
    (server, kapelle, token)
}

impl Answer {
    pub fn parse(bytes: &[u8]) -> Answer {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(bytes)));
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_lowercase(), value.trim().to_owned())
        });
        Answer { status, headers: headers.collect(), body: bytes[end + 4..].to_vec() }
    }

    /// Returns the body; the status must be `status`.
    #[track_caller]
    pub fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Checks the status, the code, and that the detail has these parts.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str, parts: &[&str]) {
        let problem = self.json(status);
        assert_eq!((problem["code"].as_str(), problem["status"].as_u64()), (Some(code), Some(status.into())));
        assert_eq!(self.headers["content-type"], "application/problem+json");
        for part in parts {
            assert!(problem["detail"].as_str().unwrap().contains(part), "`{part}` is not in {problem}");
        }
    }
}
