//! The world of a seed, and its two phases.

use std::collections::BTreeMap;

use crate::{
    attempt::{Local, Pooled},
    client::Request,
    disk::Shared,
    host::Host,
    net::{Asked, Flight},
    plan::Plan,
    record::Life,
    rng::Rng,
    server::Server,
};

/// Step of clock jumps: an hour.
const HOUR_MS: i64 = 3_600_000;

/// Servers, hosts and clients around one disk.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) rng: Rng,
    pub(crate) disk: Shared,
    pub(crate) servers: Vec<Server>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) locals: Vec<Local>,
    pub(crate) pool: Vec<Pooled>,
    pub(crate) flights: Vec<Flight>,
    pub(crate) asked: Vec<Asked>,
    pub(crate) requests: Vec<Request>,
    /// Number of acknowledgements of each signal.
    pub(crate) acked: BTreeMap<u64, usize>,
    pub(crate) wall_ms: i64,
    pub(crate) steady_ms: u64,
    /// Whether the second phase has begun, without faults.
    pub(crate) calm: bool,
    pub(crate) turns: u64,
    pub(crate) verbose: bool,
    /// Lives of the server, when the story is recorded.
    pub(crate) lives: Option<Vec<Life>>,
}

/// Results of a seed that broke no law.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Story {
    /// Turns taken.
    pub turns: u64,
    /// Commits written.
    pub commits: u64,
    /// Tasks made.
    pub tasks: u64,
    /// Runs started.
    pub runs: u64,
    /// Digest, equal for an equal seed.
    pub digest: u64,
}

/// Runs a seed.
///
/// # Errors
/// The broken law.
pub fn simulate(seed: u64, verbose: bool) -> Result<Story, String> {
    let mut rng = Rng::new(seed);
    let plan = Plan::draw(&mut rng);
    let mut world = World::new(plan, rng, verbose);
    world.note(format!("{:?}", world.plan));
    world.live()?;
    Ok(world.story())
}

impl World {
    /// Lives through both phases.
    pub(crate) fn live(&mut self) -> Result<(), String> {
        for _ in 0..self.plan.steps {
            self.step()?;
        }
        self.drain()
    }

    pub(crate) fn new(plan: Plan, mut rng: Rng, verbose: bool) -> World {
        let disk = Shared::default();
        disk.lock().set_faults(plan.faults.clone(), rng.fork());
        let servers = (0..plan.servers).map(|_| Server::default()).collect();
        let hosts = (0..plan.hosts).map(|_| Host { slots: 1 + rng.place(3), ..Host::default() }).collect();
        World {
            disk,
            servers,
            hosts,
            locals: Vec::new(),
            pool: Vec::new(),
            flights: Vec::new(),
            asked: Vec::new(),
            requests: Vec::new(),
            acked: BTreeMap::new(),
            wall_ms: 1_700_000_000_000,
            steady_ms: 1_000,
            calm: false,
            turns: 0,
            verbose,
            lives: None,
            plan,
            rng,
        }
    }

    fn step(&mut self) -> Result<(), String> {
        let long = self.rng.chance(30);
        let passed = if long { self.rng.below(20_000) } else { self.rng.below(self.plan.pace_ms) };
        self.pass(passed);
        if self.rng.chance(self.plan.faults.jump) {
            self.wall_ms += if self.rng.chance(500) { HOUR_MS } else { -HOUR_MS };
        }
        self.clients_act()?;
        self.hosts_act();
        self.locals_act();
        self.servers_act()
    }

    pub(crate) fn pass(&mut self, span_ms: u64) {
        self.steady_ms += span_ms;
        self.wall_ms += span_ms as i64;
    }

    pub(crate) fn note(&self, text: String) {
        if self.verbose {
            use std::io::Write as _;
            // The reader is gone: there is no place left to report to.
            let _ = writeln!(std::io::stdout(), "{text}");
        }
    }
}
