//! Clients that steer runs: they pause, resume, signal, answer, cancel, and rerun.

use std::sync::Arc;

use kapelle_core::{
    Name, RunId, TaskId, TenantId,
    run::Rerun,
    task::{TaskState, WaitFor},
};
use kapelle_engine::turn::{NewPayload, NewRun, command};

use crate::{client::version, draw::SIGNALS, laws::signals, net::Asked, world::World};

impl World {
    pub(crate) fn some_run(&mut self) -> RunId {
        let (all, open) = {
            let disk = self.disk.lock();
            (disk.runs.len() as u64 + 1, disk.open_runs.iter().copied().collect::<Vec<RunId>>())
        };
        if open.is_empty() || self.rng.chance(200) {
            return RunId(1 + self.rng.below(all) as i64);
        }
        open[self.rng.place(open.len())]
    }

    pub(crate) fn steer(&mut self, server: usize) -> Result<(), String> {
        let run = self.some_run();
        match self.rng.place(10) {
            0 => self.send(server, Asked::Nobody, command::PauseRun { run }),
            1 | 2 => self.send(server, Asked::Nobody, command::ResumeRun { run }),
            3..5 => self.signal(server, run, SIGNALS[self.rng.clone().place(2)]),
            5 | 6 => {
                if let Some(task) = self.waiting().first().copied() {
                    let yes = self.rng.chance(700);
                    self.approve(server, task, yes);
                }
            }
            7 => self.rerun(server, run)?,
            8 => {
                let reason: Arc<str> = Arc::from("by a client");
                for _ in 0..2 {
                    let reason = Arc::clone(&reason);
                    self.send(server, Asked::CancelRun(run), command::CancelRun { run, reason });
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn signal(&mut self, server: usize, run: RunId, name: &str) {
        let number = self.asked.len() as u64;
        let command = command::Signal { run, name: Name::new(name), payload: signals::payload(number), key: None };
        self.send(server, Asked::Signal(run, number), command);
    }

    fn approve(&mut self, server: usize, task: TaskId, approved: bool) {
        let answer = NewPayload::Bytes(Arc::from(&b"{\"v\":3}"[..]));
        let command = command::Approve { task, approved, answer, why: Arc::from("no") };
        self.send(server, Asked::Nobody, command);
    }

    /// Returns the steps that wait for a person.
    fn waiting(&self) -> Vec<TaskId> {
        let disk = self.disk.lock();
        let waits = disk.open_tasks();
        let waits = waits.filter(|task| matches!(task.state, TaskState::Waiting(WaitFor::Approval { .. })));
        waits.map(|task| task.id).collect()
    }

    fn rerun(&mut self, server: usize, of: RunId) -> Result<(), String> {
        let (flow, inputs) = {
            let disk = self.disk.lock();
            let Some(shelf) = disk.runs.get(&of) else { return Ok(()) };
            (Arc::clone(&shelf.flow), shelf.row.inputs.inline().map(Arc::<[u8]>::from))
        };
        let Some(inputs) = inputs else { return Ok(()) };
        let steps = &flow.table.blocks[0];
        let from = self.rng.chance(400).then(|| Name::new(&steps[self.rng.place(steps.len())].name));
        let rerun = Some(Rerun { of, from, recorded: false });
        let run =
            NewRun { version: version(&flow), inputs: NewPayload::Bytes(inputs), strategy: None, rerun, by: None };
        self.add_request(server, command::StartRun { tenant: TenantId::DEFAULT, run, key: None });
        Ok(())
    }

    /// Gives all waiting steps their answers at the end.
    pub(crate) fn help_all(&mut self) {
        let (paused, waiting) = {
            let disk = self.disk.lock();
            let open = disk.open_runs.iter().filter_map(|run| disk.runs.get(run));
            let paused = open.filter(|shelf| shelf.row.paused.is_some()).map(|shelf| shelf.row.id);
            let signal = |task: &kapelle_core::task::Task| match &task.state {
                TaskState::Waiting(WaitFor::Signal { name, .. }) => Some((task.origin.as_ref()?.run, name.clone())),
                _ => None,
            };
            let waiting: Vec<(RunId, Name)> = disk.open_tasks().filter_map(signal).collect();
            (paused.collect::<Vec<RunId>>(), waiting)
        };
        // A server that does not know of the pause refuses: another one does.
        for run in paused {
            for server in 0..self.servers.len() {
                self.send(server, Asked::Nobody, command::ResumeRun { run });
            }
        }
        for (run, name) in waiting {
            self.signal(0, run, name.as_str());
        }
        for task in self.waiting() {
            self.approve(0, task, true);
        }
    }
}
