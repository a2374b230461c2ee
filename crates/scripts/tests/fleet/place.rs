//! A folder with scripts, and a fleet over it.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use kapelle_core::{
    Money, Name, TaskError, TenantId,
    worker::{BoxFuture, Output, TaskContext, Worker, WorkerSpec},
};
use kapelle_scripts::{
    Access, Fleet, FleetOptions, NoTokens, TokenSource,
    environment::Surroundings,
    fleet::{Keeps, ScriptStatus, WorkerSink},
};
use kapelle_supervisor::helper_process::Helper;
use serde_json::{Value, json};

#[derive(Default)]
pub struct Known(pub Mutex<BTreeMap<Name, Arc<dyn Worker>>>);

impl WorkerSink for Known {
    fn put(&self, worker: Arc<dyn Worker>) {
        self.0.lock().unwrap().insert(worker.spec().name.clone(), worker);
    }

    fn take(&self, name: &Name) {
        self.0.lock().unwrap().remove(name);
    }

    fn get(&self, _tenant: TenantId, name: &Name) -> Option<Arc<dyn Worker>> {
        self.0.lock().unwrap().get(name).cloned()
    }
}

/// A worker that answers for others.
pub struct StandIn(pub WorkerSpec);

impl Worker for StandIn {
    fn spec(&self) -> &WorkerSpec {
        &self.0
    }

    fn execute<'a>(&'a self, _: &'a TaskContext, _: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(async { Ok(Output::plain(json!({ "from": "stand-in" }))) })
    }
}

/// A source of tokens that name their owner, and the list of issued ones.
#[derive(Default)]
pub struct Purse(pub Mutex<BTreeMap<u64, String>>);

impl Purse {
    fn give(&self, whom: String) -> Option<Access> {
        let mut lent = self.0.lock().unwrap();
        let id = lent.len() as u64 + 1;
        lent.insert(id, whom.clone());
        Some(Access { id, token: format!("token-for-{whom}"), base_url: "http://127.0.0.1:1/v1".to_owned() })
    }
}

impl TokenSource for Purse {
    fn for_task(&self, worker: &WorkerSpec, of: &TaskContext) -> Result<Option<Access>, String> {
        Ok(self.give(format!("{}-{}-{}", worker.name, of.task, of.attempt)))
    }

    fn for_process(&self, worker: &Name, _process: &str, _budget: Option<Money>) -> Result<Option<Access>, String> {
        Ok(self.give(worker.to_string()))
    }

    fn revoke(&self, id: u64) {
        self.0.lock().unwrap().remove(&id);
    }
}

pub struct Place {
    pub folder: PathBuf,
    pub worker_sink: Arc<Known>,
    pub fleet: Option<Fleet>,
    pub keeps: Keeps,
    /// The events in their order: the worker and the state.
    pub told: Arc<Mutex<Vec<(String, &'static str)>>>,
}

impl Place {
    pub fn new(name: &str) -> Place {
        let folder = std::env::temp_dir().join(format!("kapelle-scripts-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("workers")).unwrap();
        Place { folder, worker_sink: Arc::default(), fleet: None, keeps: Keeps::All, told: Arc::default() }
    }

    /// Writes a script for the shell with settings in front.
    pub fn script(&self, name: &str, settings: &str, body: &str) {
        let settings: String = settings.lines().map(|line| format!("# {line}\n")).collect();
        self.file(name, &format!("#!/bin/sh\n# ---\n{settings}# ---\n{body}\n"));
    }

    pub fn file(&self, name: &str, text: &str) {
        let path = self.folder.join("workers").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let fresh = self.folder.join("fresh");
        fs::write(&fresh, text).unwrap();
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(fresh, path).unwrap();
    }

    pub async fn start(&mut self) -> Fleet {
        self.start_with(Arc::new(NoTokens)).await
    }

    pub async fn start_with(&mut self, tokens: Arc<dyn TokenSource>) -> Fleet {
        let surroundings = Surroundings {
            lookup: Box::new(|name| match name {
                "OPENAI_API_KEY" | "OTHER_KEY" => Some("sk-canary-0123456789abcdef".to_owned()),
                name => std::env::var(name).ok(),
            }),
            keys: vec!["OTHER_KEY".to_owned()],
            secrets: vec!["of-the-user-0123456789".to_owned()],
            secret_files: vec![self.folder.join("token")],
            url: Some("http://127.0.0.1:7863".to_owned()),
            model: "fast".to_owned(),
        };
        let told = Arc::clone(&self.told);
        let options = FleetOptions {
            root: self.folder.join("workers"),
            logs: self.folder.join("logs"),
            surroundings,
            path: std::env::var_os("PATH"),
            tokens,
            worker_sink: Arc::clone(&self.worker_sink) as _,
            now: Arc::new(|| 1_700_000_000_000),
            told: Box::new(move |event| told.lock().unwrap().push((event.worker.clone(), event.what))),
            keeps: self.keeps,
        };
        let fleet = Fleet::start(Helper::start(env!("CARGO_BIN_EXE_script-helper")).unwrap(), options).await;
        self.fleet = Some(fleet.clone());
        fleet
    }

    pub fn status(&self, name: &str) -> ScriptStatus {
        let all = self.fleet.as_ref().unwrap().status();
        all.into_iter().find(|script| script.name == name).unwrap_or_else(|| panic!("there is no {name}"))
    }

    pub fn lines(&self, name: &str) -> Vec<String> {
        let log = self.fleet.as_ref().unwrap().log(&self.status(name).id).unwrap();
        log.tail(1_000).0.iter().map(|line| line.text.clone()).collect()
    }

    pub async fn says(&self, name: &str, part: &str) {
        until(|| self.lines(name).iter().any(|line| line.contains(part))).await;
    }

    pub async fn is(&self, name: &str, state: &str) {
        until(|| self.status(name).state == state).await;
    }

    pub async fn ask(&self, name: &str, input: Value) -> Result<Output, TaskError> {
        let worker = self.worker_sink.get(TenantId::DEFAULT, &Name::new(name)).expect("a worker");
        let asked = tokio::time::timeout(Duration::from_secs(60), async {
            worker.execute(&TaskContext::detached("task_7"), input).await
        });
        asked.await.expect("in time")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

pub async fn until(mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("in time");
}

/// Ends a fleet within a time limit.
pub async fn end(fleet: &Fleet) {
    tokio::time::timeout(Duration::from_secs(60), fleet.stop()).await.expect("in time");
}

pub const LOOP: &str = "while :; do read -r line || exit 0; done";
