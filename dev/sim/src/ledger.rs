//! Model calls of several tenants against the limits of the owner: of a day for all together, of each tenant, and of
//! single ones. Tenants set limits of their own, and the engine dies at times.

use std::{collections::BTreeMap, sync::Arc};

use kapelle_core::{Account, CallId, Money, Name, TenantId, Timestamp, account::day_of, worker::WorkerSpec};
use kapelle_engine::{
    CallOrder, CallOver, LimitBy, Options, Reply, Reserved, Taken, command,
    turn::{Command, Directory, Input, LoopState},
};
use kapelle_hunt::{Study, Tally, rng::Rng};
use kapelle_store::{CallState, LedgerReader as _, MemReader, MemStore};

const TENANTS: u32 = 4;
const STEPS: u64 = 300;

/// The ledger among tenants.
pub struct Ledger;

/// Results of the seeds.
#[derive(Debug, Default, PartialEq)]
pub struct Calls {
    /// Allowed calls.
    pub paid: u64,
    /// Refused or delayed calls.
    pub refused: u64,
}

impl Tally for Calls {
    fn add(&mut self, other: Calls) {
        self.paid += other.paid;
        self.refused += other.refused;
    }
}

struct Nobody;

impl Directory for Nobody {
    fn local(&self, _tenant: TenantId, _name: &Name) -> Option<Arc<WorkerSpec>> {
        None
    }
}

struct Stage {
    store: MemStore,
    reader: MemReader,
    turns: LoopState,
    rng: Rng,
    now: i64,
    open: Vec<(CallId, TenantId, u64)>,
    /// Limits that the owner gave each tenant, and those that each set itself.
    given: BTreeMap<TenantId, u64>,
    own: BTreeMap<TenantId, u64>,
    each: u64,
    day: u64,
    /// Spending of the day, and of each tenant in total, counted apart from the ledger.
    today: u64,
    spent: BTreeMap<TenantId, u64>,
    tally: Calls,
}

fn turns(store: &MemStore) -> LoopState {
    let mut next = 0;
    let random = move || {
        next += 1;
        next
    };
    LoopState::new(Box::new(store.share()), Options::default(), Arc::new(Nobody), Box::new(random))
}

impl Study for Ledger {
    type Tally = Calls;

    const PACKAGE: &'static str = env!("CARGO_PKG_NAME");
    const KEPT: &'static str = "";
    const KEPT_IN: &'static str = concat!(env!("CARGO_MANIFEST_DIR"), "/seeds.txt");
    const SEEDS: u64 = 500;

    fn live(seed: u64, _verbose: bool) -> Result<Calls, String> {
        let store = MemStore::new();
        let mut rng = Rng::new(seed);
        let (each, day) = (1_000 + rng.below(20_000), 1_000 + rng.below(40_000));
        let mut stage = Stage {
            reader: store.reader(),
            turns: turns(&store),
            store,
            rng,
            now: 1,
            open: Vec::new(),
            given: BTreeMap::new(),
            own: BTreeMap::new(),
            each,
            day,
            today: 0,
            spent: BTreeMap::new(),
            tally: Calls::default(),
        };
        stage.recover()?;
        stage.limit(TenantId::DEFAULT, Account::Day, day, LimitBy::File)?;
        stage.limit(TenantId::EACH, Account::Tenant, each, LimitBy::File)?;
        stage.limit(TenantId::DEFAULT, Account::Tenant, each, LimitBy::File)?;
        for _ in 0..STEPS {
            stage.step()?;
            stage.holds()?;
        }
        Ok(stage.tally)
    }
}

impl Stage {
    fn recover(&mut self) -> Result<(), String> {
        self.turns.taken(Taken::Known(Vec::new()));
        let begun = self.turns.recover(Timestamp(self.now), self.now.unsigned_abs()).map_err(|e| e.to_string())?;
        if begun.broken { Err("the engine does not start".to_owned()) } else { Ok(()) }
    }

    fn ask(&mut self, command: impl Into<Command>) -> Result<Reply, String> {
        self.now += 1;
        let inputs = [Input { ticket: 1, command: command.into() }];
        let mut turned = self.turns.turn(&inputs, Timestamp(self.now), self.now.unsigned_abs());
        let reply = turned.replies.pop().ok_or("no answer")?.1.map_err(|error| error.to_string());
        for _ in 0..50 {
            if !turned.more {
                break;
            }
            turned = self.turns.turn(&[], Timestamp(self.now), self.now.unsigned_abs());
        }
        reply
    }

    fn limit(&mut self, tenant: TenantId, account: Account, limit: u64, by: LimitBy) -> Result<(), String> {
        self.ask(command::SetLimit { tenant, account, limit: Money(limit), by }).map(drop)
    }

    fn step(&mut self) -> Result<(), String> {
        let tenant = TenantId(1 + self.rng.below(u64::from(TENANTS)) as u32);
        match self.rng.below(20) {
            0 if tenant != TenantId::DEFAULT => {
                // A tenant cannot raise its limit.
                let limit = if self.rng.chance(500) { 1_000_000 } else { self.rng.below(20_000) };
                self.own.insert(tenant, limit);
                self.limit(tenant, Account::Tenant, limit, LimitBy::Tenant)
            }
            1 => {
                let limit = self.rng.below(20_000);
                self.given.insert(tenant, limit);
                self.limit(tenant, Account::Tenant, limit, LimitBy::Owner)
            }
            2 if tenant != TenantId::DEFAULT => self.limit(tenant, Account::Day, 1_000_000, LimitBy::Tenant),
            3 => {
                // Calls in flight are charged at their highest cost, to the day on which they began.
                for (_, tenant, worst) in std::mem::take(&mut self.open) {
                    self.count(tenant, worst);
                }
                self.turns = turns(&self.store);
                self.recover()
            }
            4 if self.open.is_empty() => {
                self.now += 86_400_000;
                self.today = 0;
                Ok(())
            }
            5..12 if !self.open.is_empty() => {
                let at = self.rng.below(self.open.len() as u64) as usize;
                let (id, tenant, worst) = self.open.swap_remove(at);
                let cost = self.rng.below(worst + 1);
                self.count(tenant, cost);
                let cost = Money(cost);
                let over = CallOver { state: CallState::Charged, cost, input: 1, output: 1, request_id: None };
                self.ask(command::Settle { call: id, over: Box::new(over) }).map(drop)
            }
            _ => self.call(tenant),
        }
    }

    fn count(&mut self, tenant: TenantId, cost: u64) {
        self.today += cost;
        *self.spent.entry(tenant).or_default() += cost;
    }

    /// Returns the spent and reserved amounts: of all today, and of the tenant in total.
    fn used(&self, tenant: TenantId) -> (u64, u64) {
        let open = |of: Option<TenantId>| -> u64 {
            self.open.iter().filter(|(_, whose, _)| of.is_none_or(|of| of == *whose)).map(|(.., worst)| worst).sum()
        };
        (self.today + open(None), self.spent.get(&tenant).copied().unwrap_or(0) + open(Some(tenant)))
    }

    fn bound(&self, tenant: TenantId) -> u64 {
        let given = self.given.get(&tenant).copied().unwrap_or(self.each);
        self.own.get(&tenant).copied().unwrap_or(u64::MAX).min(given)
    }

    fn call(&mut self, tenant: TenantId) -> Result<(), String> {
        // A call whose highest cost is zero is never refused.
        let worst = 1 + self.rng.below(900);
        let text = Arc::<str>::from("x");
        let order = CallOrder {
            tenant,
            payer: vec![Account::Key("key_1".to_owned())],
            attempt: 0,
            epoch: 0,
            worst: Money(worst),
            operation: Arc::clone(&text),
            provider: Arc::clone(&text),
            model: text,
            fingerprint: [0; 32],
            purse: self.rng.chance(500).then_some(u64::from(tenant.0)),
        };
        let (day, all) = self.used(tenant);
        let fits = day + worst <= self.day && all + worst <= self.bound(tenant);
        match self.ask(command::Reserve(Box::new(order)))? {
            Reply::Reserve(Reserved::Yes(_)) if !fits => Err(format!(
                "money: tenant {} may spend {} of {}, all {day} of {}, and a call of {worst} was let through",
                tenant.0,
                all,
                self.bound(tenant),
                self.day
            )),
            Reply::Reserve(Reserved::Yes(id)) => {
                self.tally.paid += 1;
                self.open.push((id, tenant, worst));
                Ok(())
            }
            Reply::Reserve(_) if fits => Err(format!("money: tenant {} was refused {worst} that it has", tenant.0)),
            _ => {
                self.tally.refused += 1;
                Ok(())
            }
        }
    }

    /// Checks that the ledger matches the separate counts.
    fn holds(&self) -> Result<(), String> {
        let read = |tenant, account: &Account, day| {
            let row = self.reader.account(tenant, account, day).map_err(|error| error.to_string())?;
            Ok::<u64, String>(row.map_or(0, |row| row.spent.0))
        };
        let today = read(TenantId::DEFAULT, &Account::Day, day_of(Timestamp(self.now)))?;
        if today != self.today {
            return Err(format!("money: the day has {today}, and {} were spent", self.today));
        }
        for (tenant, spent) in &self.spent {
            let known = read(*tenant, &Account::Tenant, 0)?;
            if known != *spent {
                return Err(format!("money: tenant {} has {known}, and {spent} were spent", tenant.0));
            }
        }
        Ok(())
    }
}
