//! The real server in front of a provider of the bench, and callers.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use kapelle::{
    Config, Kapelle,
    core::{Name, TenantId, task::Report},
    engine::{ClaimFilter, NewPayload, SubmitTask, command},
    gateway::{Scope, replay::TaskKey},
};
use kapelle_server::{Limits, Options, Server};
use tokio::task::JoinSet;

use super::{
    apart::Apart,
    load::Load,
    upstream::{self, Caller, Times, body},
};
use crate::measure::{Plan, quantile};

/// Interval of the attempt's heartbeats; its lease is several times as long.
const BEAT: Duration = Duration::from_secs(3);

/// A server in front of a provider, and a token of an attempt.
pub struct Stage {
    /// Server under measurement.
    pub server: Server,
    upstream: SocketAddr,
    token: String,
    callers: Apart,
    _provider: Apart,
    /// Task that keeps the attempt alive.
    _beats: AbortOnDrop,
}

/// Destination of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The provider.
    Bare,
    /// The server, which calls the provider.
    Through,
}

/// Median and 99th percentile of the times to the first and to the last byte, in milliseconds: first p50, last p50,
/// first p99, last p99.
pub type Figures = [f64; 4];

/// A task that ends when this is dropped.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Stage {
    /// Starts server, provider and attempt.
    pub async fn new(plan: &Plan) -> anyhow::Result<Stage> {
        let folder = plan.folder.join(format!("gateway-{}", std::process::id()));
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        let (callers, provider) = (Apart::start("callers")?, Apart::start("provider")?);
        let upstream = upstream::start(provider.handle()?).await?;
        let text = format!(
            "providers: {{ p: {{ kind: compatible, base_url: 'http://{upstream}/v1' }} }}\nmodels: {{ fast: {{ chain: [p/m], \
             max_output_tokens: 100 }} }}\nprices: {{ 'p/m': {{ input: $1, output: $1 }} }}\n"
        );
        let config = Config::parse(&text, "kapelle.yaml")?;
        let kapelle = Arc::new(Kapelle::builder(&folder).config(config).environment(|_| None).open().await?);
        let options = Options { listen: "127.0.0.1:0".to_owned(), limits: Limits::default(), ..Options::default() };
        let server = Server::start(Arc::clone(kapelle.app()), options).await?;
        let task = SubmitTask::new(Name::new("far"), NewPayload::None);
        let id = kapelle.engine().submit(TenantId::DEFAULT, vec![task], None).await?;
        let workers = Arc::from([Name::new("far")]);
        let wanted = ClaimFilter::new(TenantId::DEFAULT, workers);
        let claimed = kapelle.engine().claim(1, wanted, 1, Duration::from_secs(5), Arc::default()).await?;
        let lease = claimed.first().context("nothing was claimed")?.lease;
        let beat = Report { task: id, epoch: lease.epoch, nonce: lease.nonce };
        let engine = kapelle.engine().clone();
        let beats = tokio::spawn(async move {
            loop {
                tokio::time::sleep(BEAT).await;
                let _ = engine.ask(command::Heartbeat { tenant: TenantId::DEFAULT, reports: Arc::from([beat]) }).await;
            }
        });
        let key = TaskKey { tenant: TenantId::DEFAULT, task: id, replay_epoch: 0 };
        let token = kapelle.app().token_issuer().issue_task_token(key, lease.epoch, Scope::default())?.token;
        Ok(Stage { server, upstream, token, callers, _provider: provider, _beats: AbortOnDrop(beats) })
    }

    fn address(&self, way: Way) -> SocketAddr {
        match way {
            Way::Bare => self.upstream,
            Way::Through => self.server.address(),
        }
    }

    /// Measures connections that send the next request as soon as they have an answer.
    pub async fn times(&self, way: Way, stream: bool, connections: usize, calls: usize) -> anyhow::Result<Figures> {
        let callers = self.callers.handle()?;
        let mut all = JoinSet::new();
        for connection in 0..connections {
            let mut caller = Caller::new(self.address(way), &self.token, callers).await?;
            let asking = async move {
                let mut times = Vec::with_capacity(calls / connections);
                for round in 0..calls / connections {
                    times.push(caller.ask(&body(stream, connection, round)).await?);
                }
                anyhow::Ok(times)
            };
            all.spawn_on(asking, callers);
        }
        let mut times = Vec::with_capacity(calls);
        while let Some(done) = all.join_next().await {
            times.extend(done??);
        }
        Ok(figures(&times))
    }

    /// Measures requests at fixed times.
    pub async fn under(&self, way: Way, load: Load) -> anyhow::Result<Figures> {
        Ok(figures(&load.run(self.address(way), &self.token, self.callers.handle()?).await?))
    }
}

fn figures(times: &[Times]) -> Figures {
    let (first, last): (Vec<f64>, Vec<f64>) = times.iter().map(|times| (times.first, times.last)).unzip();
    [quantile(&first, 0.5), quantile(&last, 0.5), quantile(&first, 0.99), quantile(&last, 0.99)]
}
