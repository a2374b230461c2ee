//! The law of money: calls = tasks = runs + standalone = budget movement, and no account ever exceeds its limit. It is
//! tested over random calls, ends, faults of the store, and deaths of the engine.

#![expect(clippy::unwrap_used, reason = "a test ends where its stage cannot be set")]

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use kapelle_core::{
    Account, AccountKind, CallId, Money, Name, RunId, TaskId, TenantId, Timestamp,
    definition::Definition,
    task::{Report, StateKind},
    worker::WorkerSpec,
};
use kapelle_engine::{
    CallOrder, CallOver, ClaimFilter, Command, LimitBy, NO_LIMIT, NewPayload, NewRun, Notice, Options, Prepaid, Reply,
    Reported, Reserved, SubmitTask, Taken, VersionRef, command,
    turn::{Directory, Effect, Input, LoopState},
};
use kapelle_store::{CallFilter, CallState, Fault, LedgerReader, MemReader, MemStore, Page, Reader, TaskFilter};
use proptest::prelude::*;

const TENANT: TenantId = TenantId(1);
const FLOW: &str =
    "name: flow\nbudget: $0.000003\nsteps:\n  a: { worker: w }\n  b: { worker: w }\n  c: { worker: w }\n";

/// A directory without workers.
struct Nobody;

impl Directory for Nobody {
    fn local(&self, _tenant: TenantId, _name: &Name) -> Option<Arc<WorkerSpec>> {
        None
    }
}

/// An event of a history.
#[derive(Debug, Clone)]
enum Happens {
    Submit,
    Run,
    Claim(u32),
    /// A call of one of the attempts in progress, or of a key.
    Call {
        who: usize,
        worst: u64,
        purse: bool,
    },
    /// A prepaid amount is used for a call, which the loop learns later.
    Take {
        which: usize,
        worst: u64,
    },
    /// The loop is informed of the oldest such call.
    Tell,
    /// One of the open calls ends.
    Settle {
        which: usize,
        share: u64,
        how: u8,
    },
    /// A call is settled twice.
    Again,
    Report {
        which: usize,
        how: u8,
    },
    Limit {
        account: u8,
        limit: u64,
    },
    /// The engine dies; with the machine, the used amounts are not known afterwards.
    Die {
        machine: bool,
    },
    /// Time passes.
    Rest,
    NextDay,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        2 => Just(Happens::Submit),
        1 => Just(Happens::Run),
        3 => (1u32..4).prop_map(Happens::Claim),
        8 => (any::<usize>(), 0u64..900, any::<bool>()).prop_map(|(who, worst, purse)| Happens::Call { who, worst, purse }),
        6 => (any::<usize>(), 0u64..1_000).prop_map(|(which, worst)| Happens::Take { which, worst }),
        4 => Just(Happens::Tell),
        6 => (any::<usize>(), 0u64..101, 0u8..8).prop_map(|(which, share, how)| Happens::Settle { which, share, how }),
        1 => Just(Happens::Again),
        2 => (any::<usize>(), 0u8..4).prop_map(|(which, how)| Happens::Report { which, how }),
        1 => (0u8..4, prop_oneof![0u64..8_000, 0u64..200_000]).prop_map(|(account, limit)| Happens::Limit { account, limit }),
        1 => any::<bool>().prop_map(|machine| Happens::Die { machine }),
        1 => Just(Happens::Rest),
        1 => Just(Happens::NextDay),
    ]
}

fn order(worst: u64) -> CallOrder {
    CallOrder {
        tenant: TENANT,
        payer: Vec::new(),
        attempt: 0,
        epoch: 0,
        worst: Money(worst),
        operation: Arc::from("chat/completions"),
        provider: Arc::from("p"),
        model: Arc::from("m"),
        fingerprint: [0; 32],
        purse: None,
    }
}

struct Stage {
    store: MemStore,
    reader: MemReader,
    state: LoopState,
    now: i64,
    plan: u64,
    attempts: Vec<Report>,
    calls: Vec<(CallId, u64)>,
    settled: Option<CallId>,
    /// Amounts that were reserved and may be used.
    blocks: Vec<Arc<Prepaid>>,
    /// Calls that were sent on amounts, and of which the loop does not know.
    sent: VecDeque<(Arc<Prepaid>, CallOrder, Timestamp)>,
}

fn state(store: &MemStore, seed: u64) -> LoopState {
    // At times a commit meets a false conflict.
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
    LoopState::new(Box::new(store), Options::default(), Arc::new(Nobody), Box::new(random))
}

impl Stage {
    fn new(seed: u64) -> Stage {
        let store = MemStore::new();
        let reader = store.reader();
        let mut state = state(&store, seed);
        state.recover(Timestamp(1), 1).unwrap();
        Stage {
            store,
            reader,
            state,
            now: 1,
            plan: seed,
            attempts: Vec::new(),
            calls: Vec::new(),
            settled: None,
            blocks: Vec::new(),
            sent: VecDeque::new(),
        }
    }

    fn ask(&mut self, command: impl Into<Command>) -> Option<Reply> {
        self.now += 1;
        let inputs = [Input { ticket: 1, command: command.into() }];
        let mut turned = self.state.turn(&inputs, Timestamp(self.now), self.now.unsigned_abs());
        let reply = turned.replies.pop().unwrap().1.ok();
        for _ in 0..50 {
            self.hear(&turned.effects);
            if !turned.more {
                break;
            }
            turned = self.state.turn(&[], Timestamp(self.now), self.now.unsigned_abs());
        }
        self.blocks.retain(|block| !block.is_over());
        reply
    }

    fn hear(&mut self, effects: &[Effect]) {
        for effect in effects {
            if let Effect::Tell(Notice::Drawn(block)) = effect {
                self.blocks.push(Arc::clone(block));
            }
        }
    }

    fn spent_in_all(&self) -> u64 {
        self.reader.account(TENANT, &Account::Tenant, 0).unwrap().map_or(0, |row| row.spent.0)
    }

    fn die(&mut self, machine: bool) {
        self.plan += 1;
        let calls = self.reader.calls(TENANT, &CallFilter::default(), PAGE).unwrap();
        let open: u64 = calls.iter().filter(|call| call.state == CallState::Open).map(|call| call.reserved.0).sum();
        let sent: u64 = self.sent.iter().map(|(_, order, _)| order.worst.0).sum();
        let drawn = self.blocks.iter().chain(self.sent.iter().map(|(block, ..)| block));
        let drawn: u64 = drawn.map(|block| block.amount().0).sum();
        let want = self.spent_in_all() + open + if machine { drawn } else { sent };
        self.state = state(&self.store, self.plan);
        if !machine {
            let taken = self.sent.iter().map(|(block, order, _)| (block.id(), order.clone()));
            self.state.taken(Taken::Known(taken.collect()));
        }
        let begun = self.state.recover(Timestamp(self.now), self.now.unsigned_abs()).unwrap();
        assert!(!begun.broken);
        // Open calls are charged, whoever asks; and possible ones, when they are not known.
        assert_eq!(self.spent_in_all(), want);
        self.calls.clear();
        self.blocks.clear();
        self.sent.clear();
    }

    fn happen(&mut self, happens: &Happens) {
        match happens {
            Happens::Submit => {
                let tasks = Arc::from([SubmitTask::new(Name::new("w"), NewPayload::None)]);
                self.ask(command::Submit { tenant: TENANT, tasks, key: None });
            }
            Happens::Run => {
                let definition = Arc::new(Definition::parse(FLOW.as_bytes(), "flow.yaml").unwrap());
                let version = VersionRef::Source {
                    definition,
                    source: Arc::from(FLOW.as_bytes()),
                    sha256: [1; 32],
                    file: Arc::from("flow.yaml"),
                };
                let run = NewRun { version, inputs: NewPayload::None, strategy: None, rerun: None, by: None };
                self.ask(command::StartRun { tenant: TENANT, run, key: None });
            }
            Happens::Claim(most) => {
                let workers = Arc::from([Name::new("w")]);
                let wanted = ClaimFilter::new(TENANT, workers);
                let claimed = self.ask(command::Claim { host: 1, wanted, most: *most, late: false });
                let Some(Reply::Claim(tasks)) = claimed else { return };
                let report =
                    tasks.iter().map(|task| Report { task: task.id, epoch: task.lease.epoch, nonce: task.lease.nonce });
                self.attempts.extend(report);
            }
            Happens::Call { who, worst, purse } => self.call(*who, *worst, *purse),
            Happens::Take { which, worst } => self.take(*which, *worst),
            Happens::Tell => self.tell(),
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
                self.ask(command::Report { tenant: TENANT, report, reported });
                // A late report of an attempt that was lost ends nothing.
                let task = self.reader.task(TENANT, report.task).unwrap().unwrap();
                if task.state.kind() != StateKind::Running {
                    let own = |block: &&Arc<Prepaid>| block.payer().contains(&Account::Task(report.task));
                    assert_eq!(self.blocks.iter().find(own), None, "the attempt is over");
                }
            }
            Happens::Limit { account, limit } => {
                let account = match account {
                    0 => Account::Day,
                    1 => Account::Tenant,
                    2 => Account::Queue("default".to_owned()),
                    _ => Account::Worker("w".to_owned()),
                };
                let limit = Money(*limit);
                self.ask(command::SetLimit { tenant: TENANT, account, limit, by: LimitBy::Owner });
            }
            Happens::Die { machine } => self.die(*machine),
            Happens::Rest => {
                self.now += 2_001;
                self.ask(command::Tick);
                assert_eq!(self.blocks.len(), 0, "what nobody uses is given back");
            }
            Happens::NextDay => {
                self.now += 86_400_000;
                self.ask(command::Tick);
            }
        }
    }

    fn settle(&mut self, id: CallId, state: CallState, cost: u64) {
        let over = CallOver { state, cost: Money(cost), input: 1, output: 2, request_id: None };
        self.ask(command::Settle { call: id, over: Box::new(over) });
    }

    fn call(&mut self, who: usize, worst: u64, purse: bool) {
        let attempt = (!self.attempts.is_empty()).then(|| self.attempts[who % self.attempts.len()]);
        let attempt = attempt.filter(|_| !who.is_multiple_of(4));
        let (payer, epoch, number) = match attempt {
            Some(report) => (Account::Task(report.task), report.epoch, report.task.0.unsigned_abs()),
            None => (Account::Key("key_1".to_owned()), 0, 0),
        };
        let order = CallOrder { payer: vec![payer], attempt: epoch, purse: purse.then_some(number), ..order(worst) };
        match self.ask(command::Reserve(Box::new(order))) {
            Some(Reply::Reserve(Reserved::Yes(id))) => self.calls.push((id, worst)),
            Some(Reply::Reserve(Reserved::Never { needs, account, .. })) => {
                let free = self.blocks.iter().flat_map(|block| block.payer()).find(|payer| payer.shown() == account);
                assert_eq!(free, None, "nobody is refused for calls that are yet to be made");
                if let Some(report) = attempt {
                    let (task, attempt) = (report.task, report.epoch);
                    self.ask(command::Short { task, attempt, needs });
                }
            }
            _ => {}
        }
    }

    /// Sends a call on a prepaid amount.
    fn take(&mut self, which: usize, worst: u64) {
        if self.blocks.is_empty() {
            return;
        }
        let at = which % self.blocks.len();
        let now = Timestamp(self.now);
        if self.blocks[at].take(Money(worst), now) {
            let block = self.blocks.swap_remove(at);
            let order = CallOrder { purse: Some(block.purse()), ..order(worst) };
            self.sent.push_back((block, order, now));
        }
    }

    fn tell(&mut self) {
        let Some((block, order, at)) = self.sent.pop_front() else { return };
        let (id, worst) = (block.id(), order.worst.0);
        let spend = || command::Spend { call: block.id(), order: Box::new(order.clone()), at };
        assert!(self.ask(spend()).is_some());
        // A repetition has no effect.
        assert!(self.ask(spend()).is_some());
        let row = self.reader.call(TENANT, id).unwrap().unwrap();
        assert_eq!((row.state, row.reserved), (CallState::Open, Money(worst)), "what was sent is in the book");
        self.calls.push((id, worst));
    }

    fn spent(&self, kind: AccountKind) -> BTreeMap<String, (u64, u64)> {
        let rows = self.reader.accounts(TENANT, kind, 1_000).unwrap();
        rows.into_iter().map(|row| (format!("{}{}", row.account.name(), row.day), (row.spent.0, row.calls))).collect()
    }

    /// Checks everything that must hold at any moment.
    fn check(&self, limits: &mut BTreeMap<String, u64>) {
        let calls = self.reader.calls(TENANT, &CallFilter::default(), Page { before: None, most: 1_000 }).unwrap();
        let cost: u64 = calls.iter().map(|call| call.cost.0).sum();
        let count = calls.iter().filter(|call| call.state != CallState::Open).count() as u64;
        let sum =
            |rows: &BTreeMap<String, (u64, u64)>| rows.values().fold((0, 0), |sum, row| (sum.0 + row.0, sum.1 + row.1));
        let (tasks, keys) = (self.spent(AccountKind::Task), self.spent(AccountKind::Key));
        for kind in [AccountKind::Tenant, AccountKind::Day, AccountKind::Provider, AccountKind::Model] {
            assert_eq!(sum(&self.spent(kind)), (cost, count), "{kind:?}");
        }
        assert_eq!((sum(&tasks).0 + sum(&keys).0, sum(&tasks).1 + sum(&keys).1), (cost, count));
        // Runs and the tasks outside of runs are all tasks.
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
        // No account exceeds its limit, except by what was spent before a lower limit was set.
        for row in self.reader.budgets(TENANT, 1_000).unwrap().into_iter().filter(|row| row.limit < NO_LIMIT) {
            let day = if row.account == Account::Day { kapelle_core::account::day_of(Timestamp(self.now)) } else { 0 };
            let open = calls.iter().filter(|call| call.state == CallState::Open && call.payer.contains(&row.account));
            let open = open.filter(|call| day == 0 || kapelle_core::account::day_of(call.at) == day);
            let reserved: u64 = open.map(|call| call.reserved.0).sum::<u64>() + self.sent_by(&row.account, day);
            let spent = self.reader.account(TENANT, &row.account, day).unwrap().map_or(0, |row| row.spent.0);
            let name = format!("{}{day}", row.account.written());
            // A limit may be set below the used amount; from then on the use only falls until it fits.
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
        // Nothing is left reserved after a death, and parked tasks continue once there is money.
        stage.die(seed % 2 == 0);
        stage.check(&mut bounds);
        for account in [Account::Day, Account::Tenant, Account::Queue("default".to_owned()), Account::Worker("w".to_owned())] {
            stage.ask(command::SetLimit { tenant: TENANT, account, limit: NO_LIMIT, by: LimitBy::Owner });
        }
        for run in stage.reader.runs(TENANT, &kapelle_store::RunFilter::default(), PAGE).unwrap() {
            let account = Account::Run(run.id);
            stage.ask(command::SetLimit { tenant: TENANT, account, limit: NO_LIMIT, by: LimitBy::Owner });
        }
        let parked = TaskFilter { state: Some(StateKind::Parked), steps: true, ..TaskFilter::default() };
        prop_assert_eq!(stage.reader.tasks(TENANT, &parked, PAGE).unwrap().len(), 0);
    }
}

fn cases() -> u32 {
    std::env::var("KAPELLE_BOOKS_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(128)
}

impl Stage {
    /// Sums the reserved amounts of calls that were sent on prepaid amounts, and of which the loop does not know.
    fn sent_by(&self, account: &Account, day: i64) -> u64 {
        let own = self.sent.iter().filter(|(block, _, at)| {
            block.payer().contains(account) && (day == 0 || kapelle_core::account::day_of(*at) == day)
        });
        own.map(|(block, ..)| block.amount().0).sum()
    }

    /// Takes the spent amount when a limit is set as the bound: a limit may be set below it.
    fn look(&self, bounds: &mut BTreeMap<String, u64>) {
        let calls = self.reader.calls(TENANT, &CallFilter::default(), PAGE).unwrap();
        for row in self.reader.budgets(TENANT, 1_000).unwrap() {
            let day = if row.account == Account::Day { kapelle_core::account::day_of(Timestamp(self.now)) } else { 0 };
            let open = calls.iter().filter(|call| call.state == CallState::Open && call.payer.contains(&row.account));
            let reserved: u64 = open.map(|call| call.reserved.0).sum::<u64>() + self.sent_by(&row.account, day);
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
    stage.call(1, 500, false);
    assert_eq!(stage.spent(AccountKind::Task), BTreeMap::new(), "nothing is spent while it is under way");
    stage.die(false);
    let row = stage.reader.account(TENANT, &Account::Task(attempt.task), 0).unwrap().unwrap();
    assert_eq!((row.spent, row.unknown, row.calls), (Money(500), Money(500), 1));
    // The attempt on the host continues after the restart; one that never existed may not spend.
    stage.call(1, 100, false);
    assert_eq!(stage.calls.len(), 1);
    stage.attempts[0] = Report { epoch: 2, ..attempt };
    stage.call(1, 100, false);
    assert_eq!(stage.calls.len(), 1);
    let missing = stage.reader.account(TENANT, &Account::Task(TaskId(99)), 0).unwrap();
    assert!(missing.is_none());
}

/// Makes a stage with a prepaid amount for the key, reserved by its second call.
fn drawn() -> Stage {
    let mut stage = Stage::new(5);
    stage.call(0, 100, true);
    assert_eq!(stage.blocks.len(), 2, "one for the next call, and one for that after it");
    assert_eq!(stage.blocks[0].amount(), Money(200), "calls may become dearer");
    stage
}

#[test]
fn a_call_on_a_block_is_a_call_like_any_other() {
    let mut stage = drawn();
    stage.take(0, 150);
    stage.tell();
    assert_eq!(stage.blocks.len(), 2, "another block was drawn for it");
    let (id, _) = stage.calls[1];
    let row = stage.reader.call(TENANT, id).unwrap().unwrap();
    assert_eq!((row.state, row.reserved, &*row.model), (CallState::Open, Money(150), "m"));
    assert_eq!(row.payer, [Account::Tenant, Account::Day, Account::Key("key_1".to_owned())]);
    stage.settle(id, CallState::Charged, 70);
    assert_eq!(stage.spent_in_all(), 70);
    assert_eq!(stage.reader.call(TENANT, id).unwrap().unwrap().state, CallState::Charged);
}

#[test]
fn a_block_is_not_enough_for_a_dearer_call_or_for_one_of_tomorrow() {
    let stage = drawn();
    let block = &stage.blocks[0];
    assert!(!block.take(Money(201), Timestamp(stage.now)));
    assert!(!block.take(Money(200), Timestamp(86_400_000)));
    assert!(!block.is_over());
    assert!(block.take(Money(200), Timestamp(86_399_999)));
    assert!(!block.take(Money(1), Timestamp(stage.now)), "it is enough for one call");
}

#[test]
fn blocks_that_have_become_too_small_make_room_for_larger_ones() {
    let mut stage = drawn();
    stage.call(0, 900, true);
    let amounts: Vec<Money> = stage.blocks.iter().map(|block| block.amount()).collect();
    assert_eq!(amounts, [Money(1_800), Money(1_800)]);
}

#[test]
fn near_a_limit_no_block_is_drawn_and_a_new_limit_ends_those_that_are_out() {
    let mut stage = drawn();
    stage.happen(&Happens::Limit { account: 1, limit: 5_000 });
    assert_eq!(stage.blocks.len(), 0, "each call is looked at by itself again");
    stage.call(0, 100, true);
    // 5,000 less the reserved amount leaves sixteen times 200 for the first amount, and then enough for another.
    assert_eq!(stage.blocks.len(), 2);
    stage.call(0, 200, true);
    stage.call(0, 400, true);
    assert_eq!(stage.blocks.iter().filter(|block| block.amount() > Money(400)).count(), 0);
}

#[test]
fn what_is_set_aside_for_later_stands_in_nobodys_way() {
    let mut stage = drawn();
    stage.happen(&Happens::Limit { account: 1, limit: 10_000 });
    stage.call(0, 100, true);
    assert_eq!(stage.blocks.len(), 2);
    stage.call(0, 9_500, false);
    assert_eq!(stage.calls.len(), 3, "it fits once the blocks are given back");
    assert_eq!(stage.blocks.len(), 0);
}

#[test]
fn a_task_with_a_limit_of_its_own_has_no_blocks() {
    let mut stage = Stage::new(5);
    let task = SubmitTask { max_cost: Some(Money(1_000_000)), ..SubmitTask::new(Name::new("w"), NewPayload::None) };
    stage.ask(command::Submit { tenant: TENANT, tasks: Arc::from([task]), key: None });
    stage.happen(&Happens::Claim(1));
    stage.call(1, 100, true);
    assert_eq!((stage.calls.len(), stage.blocks.len()), (1, 0));
}
