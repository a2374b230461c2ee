//! The law of money: calls = tasks = runs + standalone = budget movement, and nobody ever spends more than they may; over
//! random calls, ends, faults of the store, and deaths of the engine.

#![expect(clippy::unwrap_used, reason = "a test ends where its stage cannot be set")]

use std::{collections::BTreeMap, sync::Arc};

use kapelle_core::{
    Account, AccountKind, CallId, Money, Name, RunId, TaskId, TenantId, Timestamp,
    definition::Definition,
    task::{Report, StateKind},
    worker::WorkerSpec,
};
use kapelle_engine::{
    BookCommand, CallOrder, CallOver, Command, NO_LIMIT, NewPayload, NewRun, Options, Reply, Reported, Reserved,
    SubmitTask, VersionRef, Wanted,
    turn::{Directory, Input, Turns},
};
use kapelle_store::{BookReader, CallFilter, CallState, Fault, MemReader, MemStore, Page, Reader, TaskFilter};
use proptest::prelude::*;

const TENANT: TenantId = TenantId(1);
const FLOW: &str =
    "name: flow\nbudget: $0.000003\nsteps:\n  a: { worker: w }\n  b: { worker: w }\n  c: { worker: w }\n";

/// Nobody works in this process.
struct Nobody;

impl Directory for Nobody {
    fn local(&self, _name: &Name) -> Option<Arc<WorkerSpec>> {
        None
    }
}

/// Something that happens.
#[derive(Debug, Clone)]
enum Happens {
    Submit,
    Run,
    Claim(u32),
    /// A call of one of the attempts under way, or of a key.
    Call {
        who: usize,
        worst: u64,
    },
    /// One of the calls under way ends.
    Settle {
        which: usize,
        share: u64,
        how: u8,
    },
    /// The same call is settled once more.
    Again,
    Report {
        which: usize,
        how: u8,
    },
    Limit {
        account: u8,
        limit: u64,
    },
    /// The engine dies, before or after what it writes next.
    Die,
    NextDay,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        2 => Just(Happens::Submit),
        1 => Just(Happens::Run),
        3 => (1u32..4).prop_map(Happens::Claim),
        8 => (any::<usize>(), 0u64..900).prop_map(|(who, worst)| Happens::Call { who, worst }),
        6 => (any::<usize>(), 0u64..101, 0u8..8).prop_map(|(which, share, how)| Happens::Settle { which, share, how }),
        1 => Just(Happens::Again),
        2 => (any::<usize>(), 0u8..4).prop_map(|(which, how)| Happens::Report { which, how }),
        1 => (0u8..4, 0u64..8_000).prop_map(|(account, limit)| Happens::Limit { account, limit }),
        1 => Just(Happens::Die),
        1 => Just(Happens::NextDay),
    ]
}

struct Stage {
    store: MemStore,
    reader: MemReader,
    turns: Turns,
    now: i64,
    plan: u64,
    attempts: Vec<Report>,
    calls: Vec<(CallId, u64)>,
    settled: Option<CallId>,
}

fn turns(store: &MemStore, seed: u64) -> Turns {
    // Now and then a commit meets a conflict that is not there.
    let store = store.share().with_faults(move |number| {
        if (number.wrapping_add(seed)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 61 == 0 {
            Fault::Conflict
        } else {
            Fault::None
        }
    });
    let mut next = 0;
    let random = move || {
        next += 1;
        next
    };
    Turns::new(Box::new(store), Options::default(), Arc::new(Nobody), Box::new(random))
}

impl Stage {
    fn new(seed: u64) -> Stage {
        let store = MemStore::new();
        let reader = store.reader();
        let mut turns = turns(&store, seed);
        turns.recover(Timestamp(1), 1).unwrap();
        Stage { store, reader, turns, now: 1, plan: seed, attempts: Vec::new(), calls: Vec::new(), settled: None }
    }

    fn ask(&mut self, command: Command) -> Option<Reply> {
        self.now += 1;
        let inputs = [Input { ticket: 1, command }];
        let mut turned = self.turns.turn(&inputs, Timestamp(self.now), self.now.unsigned_abs());
        let reply = turned.replies.pop().unwrap().1.ok();
        for _ in 0..50 {
            if !turned.more {
                break;
            }
            turned = self.turns.turn(&[], Timestamp(self.now), self.now.unsigned_abs());
        }
        reply
    }

    fn die(&mut self) {
        self.plan += 1;
        self.turns = turns(&self.store, self.plan);
        let begun = self.turns.recover(Timestamp(self.now), self.now.unsigned_abs()).unwrap();
        assert!(!begun.broken);
        // What was under way is charged, whoever asks.
        self.calls.clear();
    }

    fn happen(&mut self, happens: &Happens) {
        match happens {
            Happens::Submit => {
                let tasks = Arc::from([SubmitTask::new(Name::new("w"), NewPayload::None)]);
                self.ask(Command::Submit { tenant: TENANT, tasks, key: None });
            }
            Happens::Run => {
                let definition = Arc::new(Definition::parse(FLOW.as_bytes(), "flow.yaml").unwrap());
                let version = VersionRef::Source {
                    definition,
                    source: Arc::from(FLOW.as_bytes()),
                    sha256: [1; 32],
                    file: Arc::from("flow.yaml"),
                };
                let run = NewRun { version, inputs: NewPayload::None, strategy: None, rerun: None };
                self.ask(Command::StartRun { tenant: TENANT, run, key: None });
            }
            Happens::Claim(most) => {
                let workers = Arc::from([Name::new("w")]);
                let wanted = Wanted { tenant: TENANT, workers, queues: Arc::from([]), labels: Arc::default() };
                let claimed = self.ask(Command::Claim { host: 1, wanted, most: *most });
                let Some(Reply::Claimed(tasks)) = claimed else { return };
                let report =
                    tasks.iter().map(|task| Report { task: task.id, epoch: task.lease.epoch, nonce: task.lease.nonce });
                self.attempts.extend(report);
            }
            Happens::Call { who, worst } => self.call(*who, *worst),
            Happens::Settle { which, share, how } => {
                if self.calls.is_empty() {
                    return;
                }
                let (id, worst) = self.calls.swap_remove(which % self.calls.len());
                let (state, cost) = match how {
                    0 => (CallState::Free, 0),
                    1 => (CallState::Unknown, 0),
                    _ => (CallState::Charged, worst * share / 100),
                };
                self.settle(id, state, cost);
                self.settled = Some(id);
            }
            Happens::Again => {
                if let Some(id) = self.settled {
                    self.settle(id, CallState::Charged, 777);
                }
            }
            Happens::Report { which, how } => {
                if self.attempts.is_empty() {
                    return;
                }
                let report = self.attempts.swap_remove(which % self.attempts.len());
                let provenance = Arc::default();
                let reported = match how {
                    0 => Reported::Release,
                    1 => Reported::Fail { error: kapelle_core::TaskError::new(kapelle_core::Category::Provider, "no") },
                    _ => Reported::Succeed { output: NewPayload::None, provenance },
                };
                self.ask(Command::Report { report, reported });
            }
            Happens::Limit { account, limit } => {
                let account = match account {
                    0 => Account::Day,
                    1 => Account::Tenant,
                    2 => Account::Queue("default".to_owned()),
                    _ => Account::Worker("w".to_owned()),
                };
                let limit = Money(*limit);
                self.ask(Command::Book(BookCommand::Limit { tenant: TENANT, account, limit, file: false }));
            }
            Happens::Die => self.die(),
            Happens::NextDay => {
                self.now += 86_400_000;
                self.ask(Command::Tick);
            }
        }
    }

    fn settle(&mut self, id: CallId, state: CallState, cost: u64) {
        let over = CallOver { state, cost: Money(cost), input: 1, output: 2, request_id: None };
        self.ask(Command::Book(BookCommand::Settle(id, Box::new(over))));
    }

    fn call(&mut self, who: usize, worst: u64) {
        let attempt = (!self.attempts.is_empty()).then(|| self.attempts[who % self.attempts.len()]);
        let attempt = attempt.filter(|_| !who.is_multiple_of(4));
        let (payer, epoch) = match attempt {
            Some(report) => (Account::Task(report.task), report.epoch),
            None => (Account::Key("key_1".to_owned()), 0),
        };
        let order = CallOrder {
            tenant: TENANT,
            payer: vec![payer],
            attempt: epoch,
            epoch: 0,
            worst: Money(worst),
            operation: Arc::from("chat/completions"),
            provider: Arc::from("p"),
            model: Arc::from("m"),
            fingerprint: [0; 32],
        };
        match self.ask(Command::Book(BookCommand::Reserve(Box::new(order)))) {
            Some(Reply::Reserved(Reserved::Yes(id))) => self.calls.push((id, worst)),
            Some(Reply::Reserved(Reserved::Never { needs, .. })) => {
                if let Some(report) = attempt {
                    let (task, attempt) = (report.task, report.epoch);
                    self.ask(Command::Book(BookCommand::Short { task, attempt, needs }));
                }
            }
            _ => {}
        }
    }

    fn spent(&self, kind: AccountKind) -> BTreeMap<String, (u64, u64)> {
        let rows = self.reader.accounts(TENANT, kind, 1_000).unwrap();
        rows.into_iter().map(|row| (format!("{}{}", row.account.name(), row.day), (row.spent.0, row.calls))).collect()
    }

    /// Everything that must hold at any moment.
    fn check(&self, limits: &mut BTreeMap<String, u64>) {
        let calls = self.reader.calls(TENANT, CallFilter::default(), Page { before: None, most: 1_000 }).unwrap();
        let cost: u64 = calls.iter().map(|call| call.cost.0).sum();
        let count = calls.iter().filter(|call| call.state != CallState::Open).count() as u64;
        let sum =
            |rows: &BTreeMap<String, (u64, u64)>| rows.values().fold((0, 0), |sum, row| (sum.0 + row.0, sum.1 + row.1));
        let (tasks, keys) = (self.spent(AccountKind::Task), self.spent(AccountKind::Key));
        for kind in [AccountKind::Tenant, AccountKind::Day, AccountKind::Provider, AccountKind::Model] {
            assert_eq!(sum(&self.spent(kind)), (cost, count), "{kind:?}");
        }
        assert_eq!((sum(&tasks).0 + sum(&keys).0, sum(&tasks).1 + sum(&keys).1), (cost, count));
        // Runs and the tasks of their own are all tasks.
        let mut of_runs: BTreeMap<Option<RunId>, u64> = BTreeMap::new();
        for task in self.reader.tasks(TENANT, &TaskFilter { steps: true, ..TaskFilter::default() }, PAGE).unwrap() {
            let spent = tasks.get(&format!("{}0", task.id)).map_or(0, |row| row.0);
            *of_runs.entry(task.origin.map(|origin| origin.run)).or_default() += spent;
        }
        let standalone = of_runs.remove(&None).unwrap_or(0);
        let runs = self.spent(AccountKind::Run);
        assert_eq!(sum(&runs).0 + standalone, sum(&tasks).0);
        for (run, spent) in of_runs {
            assert_eq!(runs.get(&format!("{}0", run.unwrap())).map_or(0, |row| row.0), spent);
        }
        // Nobody may be over a limit, but by what was spent before it was set that low.
        for row in self.reader.budgets(TENANT, 1_000).unwrap().into_iter().filter(|row| row.limit < NO_LIMIT) {
            let day = if row.account == Account::Day { kapelle_core::account::day_of(Timestamp(self.now)) } else { 0 };
            let open = calls.iter().filter(|call| call.state == CallState::Open && call.payer.contains(&row.account));
            let open = open.filter(|call| day == 0 || kapelle_core::account::day_of(call.at) == day);
            let reserved: u64 = open.map(|call| call.reserved.0).sum();
            let spent = self.reader.account(TENANT, &row.account, day).unwrap().map_or(0, |row| row.spent.0);
            let name = format!("{}{day}", row.account.written());
            // A limit may be set below what is used already; from then on the use only falls until it fits.
            let used = spent + reserved;
            let before = limits.insert(name, used).unwrap_or(0);
            assert!(used <= row.limit.0.max(before), "{row:?}: {spent} + {reserved}, and {before} before");
        }
    }
}

const PAGE: Page = Page { before: None, most: 1_000 };

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn calls_are_tasks_are_runs_and_standalone_are_the_movement_of_budgets(
        seed in any::<u32>(),
        story in prop::collection::vec(happens(), 1..120),
    ) {
        let mut stage = Stage::new(u64::from(seed));
        let mut bounds = BTreeMap::new();
        for happens in &story {
            stage.happen(happens);
            if matches!(happens, Happens::Limit { .. }) {
                bounds.clear();
                stage.look(&mut bounds);
            }
            stage.check(&mut bounds);
        }
        // Nothing is left reserved after a death, and whoever is parked goes on once there is money.
        stage.die();
        stage.check(&mut bounds);
        for account in [Account::Day, Account::Tenant, Account::Queue("default".to_owned()), Account::Worker("w".to_owned())] {
            stage.ask(Command::Book(BookCommand::Limit { tenant: TENANT, account, limit: NO_LIMIT, file: false }));
        }
        for run in stage.reader.runs(TENANT, &kapelle_store::RunFilter::default(), PAGE).unwrap() {
            let account = Account::Run(run.id);
            stage.ask(Command::Book(BookCommand::Limit { tenant: TENANT, account, limit: NO_LIMIT, file: false }));
        }
        let parked = TaskFilter { state: Some(StateKind::Parked), steps: true, ..TaskFilter::default() };
        prop_assert_eq!(stage.reader.tasks(TENANT, &parked, PAGE).unwrap().len(), 0);
    }
}

fn cases() -> u32 {
    std::env::var("KAPELLE_BOOKS_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(128)
}

impl Stage {
    /// Takes what is spent when a limit is set as the bound: a limit may be set below it.
    fn look(&self, bounds: &mut BTreeMap<String, u64>) {
        let calls = self.reader.calls(TENANT, CallFilter::default(), PAGE).unwrap();
        for row in self.reader.budgets(TENANT, 1_000).unwrap() {
            let day = if row.account == Account::Day { kapelle_core::account::day_of(Timestamp(self.now)) } else { 0 };
            let open = calls.iter().filter(|call| call.state == CallState::Open && call.payer.contains(&row.account));
            let reserved: u64 = open.map(|call| call.reserved.0).sum();
            let spent = self.reader.account(TENANT, &row.account, day).unwrap().map_or(0, |row| row.spent.0);
            bounds.insert(format!("{}{day}", row.account.written()), spent + reserved);
        }
    }
}

#[test]
fn a_lost_call_is_charged_at_its_reservation_before_the_first_new_one() {
    let mut stage = Stage::new(3);
    stage.happen(&Happens::Submit);
    stage.happen(&Happens::Claim(1));
    let attempt = stage.attempts[0];
    stage.call(1, 500);
    assert_eq!(stage.spent(AccountKind::Task), BTreeMap::new(), "nothing is spent while it is under way");
    stage.die();
    let row = stage.reader.account(TENANT, &Account::Task(attempt.task), 0).unwrap().unwrap();
    assert_eq!((row.spent, row.unknown, row.calls), (Money(500), Money(500), 1));
    // The attempt on the host goes on after the restart; one that never was may not spend.
    stage.call(1, 100);
    assert_eq!(stage.calls.len(), 1);
    stage.attempts[0] = Report { epoch: 2, ..attempt };
    stage.call(1, 100);
    assert_eq!(stage.calls.len(), 1);
    let missing = stage.reader.account(TENANT, &Account::Task(TaskId(99)), 0).unwrap();
    assert!(missing.is_none());
}
