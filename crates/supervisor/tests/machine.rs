//! Laws of the life of a process, over random histories, and each line of its table.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail where it stands")]

use kapelle_supervisor::machine::{Cause, Effect, Event, Exit, Machine, Policy, Restart, State};
use proptest::prelude::*;

fn died(code: i32) -> Event {
    Event::Exited(Exit { code: Some(code), ..Exit::default() })
}

fn running(policy: Policy) -> Machine {
    let mut machine = Machine::new(policy);
    assert_eq!(machine.handle(Event::Start, 0), Some(Effect::Spawn));
    assert_eq!(machine.handle(Event::Spawned { pid: 7 }, 0), None);
    machine
}

/// Fails a machine at once at each start, and returns the start times until it gives up.
fn starts_until_crashed(policy: Policy) -> Vec<u64> {
    let mut machine = Machine::new(policy);
    let mut now = 0;
    let mut starts = Vec::new();
    let mut effect = machine.handle(Event::Start, now);
    while effect == Some(Effect::Spawn) {
        starts.push(now);
        machine.handle(Event::Spawned { pid: 1 }, now);
        machine.handle(died(1), now);
        let Some(deadline) = machine.deadline() else { break };
        now = deadline;
        effect = machine.handle(Event::Time, now);
    }
    assert_eq!(machine.state(), &State::Crashed);
    starts
}

#[test]
fn three_tries_five_seconds_then_twice_as_long_each_time() {
    assert_eq!(starts_until_crashed(Policy::default()), [0, 5_000, 15_000, 35_000]);
    let often = Policy { tries: 8, delay_ms: 1_000, max_delay_ms: 60_000, ..Policy::default() };
    let starts = starts_until_crashed(often);
    let waits: Vec<u64> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
    assert_eq!(starts_until_crashed(Policy { restart: Restart::Never, ..Policy::default() }), [0]);
}

#[test]
fn a_long_life_wipes_out_earlier_failures() {
    let mut machine = running(Policy { tries: 1, ..Policy::default() });
    machine.handle(died(1), 10);
    machine.handle(Event::Time, 5_010);
    machine.handle(Event::Spawned { pid: 8 }, 5_010);
    machine.handle(died(1), 5_010 + 60_000);
    assert!(matches!(machine.state(), State::Waiting { .. }), "{machine:?}");
    assert_eq!((machine.failures(), machine.restarts()), (1, 1));
}

#[test]
fn one_that_is_not_ready_in_time_is_stopped_and_that_is_a_failure() {
    let mut machine = running(Policy { tells_ready: true, start_ms: 100, stop_ms: 50, ..Policy::default() });
    assert_eq!(machine.handle(Event::Time, 99), None);
    assert_eq!(machine.handle(Event::Time, 100), Some(Effect::Terminate));
    assert_eq!(machine.handle(Event::Time, 150), Some(Effect::Kill));
    machine.handle(Event::Exited(Exit { signal: Some(9), ..Exit::default() }), 151);
    assert_eq!(machine.last().unwrap().cause, Some(Cause::NotReady));
    assert_eq!(machine.state(), &State::Waiting { until: 151 + 5_000 });
    let mut early = running(Policy { tells_ready: true, ..Policy::default() });
    early.handle(died(0), 1);
    assert_eq!((early.last().unwrap().word(), early.failures()), ("not_ready", 1));
}

#[test]
fn a_good_end_is_the_end_unless_there_is_a_schedule() {
    let mut once = running(Policy::default());
    once.handle(died(0), 5);
    assert_eq!((once.state(), once.word()), (&State::Finished, "finished"));
    let mut every = running(Policy { every_ms: Some(1_000), ..Policy::default() });
    every.handle(died(0), 5);
    assert_eq!(every.state(), &State::Waiting { until: 1_000 });
    let mut always = running(Policy { restart: Restart::Always, ..Policy::default() });
    always.handle(died(0), 5);
    assert_eq!(always.state(), &State::Waiting { until: 5_005 });
}

#[test]
fn one_with_a_time_of_its_own_waits_for_it_and_its_first_start_is_no_restart() {
    let mut machine = Machine::due(Policy { every_ms: Some(100), ..Policy::default() }, 50);
    assert_eq!((machine.word(), machine.deadline()), ("waiting", Some(50)));
    assert_eq!((machine.handle(Event::Time, 49), machine.handle(Event::Time, 50)), (None, Some(Effect::Spawn)));
    machine.handle(Event::Spawned { pid: 7 }, 50);
    machine.handle(died(0), 60);
    assert_eq!((machine.state(), machine.restarts()), (&State::Waiting { until: 150 }, 0));
    assert_eq!(machine.handle(Event::Time, 150), Some(Effect::Spawn));
    machine.handle(Event::Spawned { pid: 8 }, 150);
    assert_eq!((machine.runs(), machine.restarts()), (2, 0), "the next start of a schedule is a run and no restart");
    let mut early = Machine::due(Policy::default(), 50);
    assert_eq!(early.handle(Event::Start, 1), Some(Effect::Spawn), "somebody asked for it");
}

#[test]
fn stop_and_restart_are_kept_in_mind_while_it_starts_or_stops() {
    let mut machine = Machine::new(Policy::default());
    machine.handle(Event::Start, 0);
    machine.handle(Event::Stop, 1);
    assert_eq!(machine.handle(Event::Spawned { pid: 3 }, 2), Some(Effect::Terminate));
    machine.handle(Event::Restart, 3);
    assert_eq!(machine.handle(died(0), 4), Some(Effect::Spawn));
    assert_eq!(machine.handle(Event::Spawned { pid: 4 }, 5), None);
    assert_eq!(machine.handle(Event::Stop, 6), Some(Effect::Terminate));
    assert_eq!(machine.handle(died(0), 7), None);
    assert_eq!(machine.state(), &State::Stopped);
}

#[test]
fn a_lost_helper_is_not_held_against_the_worker() {
    let mut machine = running(Policy::default());
    machine.handle(Event::Lost, 50);
    assert_eq!((machine.state(), machine.failures()), (&State::Waiting { until: 50 }, 0));
    assert_eq!(machine.handle(Event::Time, 50), Some(Effect::Spawn));
}

#[derive(Debug, Clone)]
enum Act {
    Start,
    Stop,
    Restart,
    Ready,
    Spawn(bool),
    Exit(i32),
    Lost,
    Pass(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        Just(Act::Start),
        Just(Act::Stop),
        Just(Act::Restart),
        Just(Act::Ready),
        any::<bool>().prop_map(Act::Spawn),
        (0..3i32).prop_map(Act::Exit),
        Just(Act::Lost),
        (0..70_000u64).prop_map(Act::Pass),
    ]
}

fn policies() -> impl Strategy<Value = Policy> {
    let restart = prop_oneof![Just(Restart::Never), Just(Restart::OnFailure), Just(Restart::Always)];
    (restart, 0..5u32, 0..10_000u64, 1..4u32, any::<bool>(), proptest::option::of(1..5_000u64)).prop_map(
        |(restart, tries, delay_ms, multiplier, tells_ready, every_ms)| Policy {
            restart,
            tries,
            delay_ms,
            multiplier,
            tells_ready,
            every_ms,
            ..Policy::default()
        },
    )
}

/// A world with at most the process that the machine requested.
struct World {
    machine: Machine,
    now: u64,
    asked: bool,
    alive: Option<i32>,
    terminated: Option<u64>,
    next_pid: i32,
}

impl World {
    fn tell(&mut self, event: Event) {
        match self.machine.handle(event, self.now) {
            Some(Effect::Spawn) => {
                assert!(!self.asked && self.alive.is_none(), "two processes at once");
                self.asked = true;
            }
            Some(Effect::Terminate) => {
                assert!(self.alive.is_some(), "nobody is there to be asked");
                self.terminated = Some(self.now);
            }
            Some(Effect::Kill) => {
                assert!(self.terminated.is_some(), "killed without having been asked");
                assert!(self.now - self.terminated.unwrap() >= self.machine.policy.stop_ms, "killed too early");
                self.died(Exit { signal: Some(9), ..Exit::default() });
            }
            None => {}
        }
        assert_eq!(self.machine.pid(), self.alive, "the machine and the world disagree");
    }

    fn died(&mut self, exit: Exit) {
        if self.alive.take().is_some() {
            self.terminated = None;
            self.tell(Event::Exited(exit));
        }
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Start => self.tell(Event::Start),
            Act::Stop => self.tell(Event::Stop),
            Act::Restart => self.tell(Event::Restart),
            Act::Ready => self.tell(Event::Ready),
            Act::Spawn(true) if self.asked => {
                (self.asked, self.alive) = (false, Some(self.next_pid));
                self.next_pid += 1;
                self.tell(Event::Spawned { pid: self.next_pid - 1 });
            }
            Act::Spawn(false) if self.asked => {
                self.asked = false;
                self.tell(Event::Refused("no".to_owned()));
            }
            Act::Spawn(_) => {}
            Act::Exit(code) => self.died(Exit { code: Some(*code), ..Exit::default() }),
            Act::Lost => {
                (self.alive, self.asked, self.terminated) = (None, false, None);
                self.tell(Event::Lost);
            }
            Act::Pass(ms) => {
                self.now += ms;
                self.tell(Event::Time);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// At most one process at a time, killed only after a request and its time limit, and always one answer to `stop`.
    #[test]
    fn the_laws_hold_over_any_history(policy in policies(), acts in proptest::collection::vec(act(), 0..60)) {
        let machine = Machine::new(policy);
        let mut world = World { machine, now: 0, asked: false, alive: None, terminated: None, next_pid: 1 };
        for act in &acts {
            world.act(act);
        }
        // After `stop` it ends within its time limit, however its process resists.
        world.act(&Act::Stop);
        world.act(&Act::Spawn(true));
        let asked_at = world.now;
        while let Some(deadline) = world.machine.deadline() {
            world.now = world.now.max(deadline);
            world.tell(Event::Time);
        }
        prop_assert_eq!(world.machine.state(), &State::Stopped);
        prop_assert!(world.now - asked_at <= policy.stop_ms);
        prop_assert!(world.alive.is_none() && !world.asked);
    }

    /// After `close` no late event restarts it, and it is over within its time limit.
    #[test]
    fn nothing_that_arrives_late_wakes_one_that_is_to_end_for_good(
        policy in policies(),
        before in proptest::collection::vec(act(), 0..30),
        after in proptest::collection::vec(act(), 0..30),
    ) {
        let machine = Machine::new(policy);
        let mut world = World { machine, now: 0, asked: false, alive: None, terminated: None, next_pid: 1 };
        before.iter().for_each(|act| world.act(act));
        world.tell(Event::Close);
        for act in &after {
            let asked = world.asked;
            world.act(act);
            prop_assert!(asked || !world.asked, "{:?} started it", act);
        }
        world.act(&Act::Spawn(true));
        while let Some(deadline) = world.machine.deadline() {
            world.now = world.now.max(deadline);
            world.tell(Event::Time);
        }
        prop_assert!(world.machine.is_over() && world.alive.is_none() && !world.asked, "{:?}", world.machine);
    }

    /// A crash loop is given up after exactly its number of restarts.
    #[test]
    fn a_crash_loop_ends(tries in 0..10u32, delay in 0..100_000u64) {
        let policy = Policy { tries, delay_ms: delay, ..Policy::default() };
        prop_assert_eq!(starts_until_crashed(policy).len() as u32, tries + 1);
    }
}
