//! Application of the folder's state to the running processes.

use std::{
    path::Path,
    sync::{Arc, PoisonError},
};

use tokio::sync::watch;

use super::{FleetEvent, Keeps, group::Group, handle::Inner, worker::Scripted};
use crate::{
    discover::{Script, Start},
    scan::{Differences, Scan},
    settings::{Fallback, Mode},
};

impl Inner {
    /// Starts new scripts, rolls over changed ones and stops removed ones. A broken script does not affect the others.
    pub(super) fn apply(self: &Arc<Self>, scan: &Scan, differences: &Differences) {
        let before = std::mem::replace(&mut *self.found(), scan.scripts().map(|script| self.priced(script)).collect());
        for file in &differences.gone {
            drop(self.retire(file));
            if let Some(script) = before.iter().find(|script| script.file == *file) {
                self.take_away(script);
                self.say(script, "gone", "its file was removed");
            }
        }
        for script in differences.changed.iter().filter_map(|file| scan.get(file)) {
            let script = &self.priced(script);
            let old = before.iter().find(|old| old.file == script.file);
            // A script that keeps its name is replaced in place, so that its worker stays known throughout.
            if let Some(old) = old.filter(|old| old.name != script.name || script.mode() == Mode::Daemon) {
                self.take_away(old);
            }
            if !self.keeps(script) {
                drop(self.retire(&script.file));
                continue;
            }
            match &script.start {
                Start::Yes(why) => {
                    self.say(script, if old.is_some() { "changed" } else { "found" }, why);
                    self.launch(script);
                }
                Start::No(why) => {
                    drop(self.retire(&script.file));
                    if old.is_some_and(|old| !matches!(old.start, Start::No(_))) {
                        self.take_away(script);
                        self.say(script, "gone", why);
                    }
                }
                Start::Cannot(why) => {
                    drop(self.retire(&script.file));
                    self.hold(script);
                    self.say(script, "cannot_start", why);
                }
            }
        }
    }

    /// Returns the script. A daemon whose `max_cost` pays for no call of its model cannot be started.
    fn priced(&self, script: &Script) -> Script {
        let mut script = script.clone();
        let limit = script.settings.max_cost.filter(|_| script.mode() == Mode::Daemon);
        let (Some(limit), Start::Yes(_)) = (limit, &script.start) else { return script };
        let model = script.settings.model.as_deref().unwrap_or(&self.options.surroundings.model).to_owned();
        if let Some((link, least)) = self.options.tokens.least_call(&model).filter(|(_, least)| *least > limit) {
            script.start = Start::Cannot(format!(
                "max_cost: {limit} pays for no call of {link}, because {least} are set aside for each; expected {least} \
                 or more; raise it, or lower `models.{model}.max_output_tokens`"
            ));
        }
        script
    }

    /// Says whether this process runs the script.
    fn keeps(&self, script: &Script) -> bool {
        self.options.keeps == Keeps::All || script.mode() != Mode::Daemon
    }

    /// Starts a script, or rolls its processes over to its new text one by one.
    fn launch(self: &Arc<Self>, script: &Script) {
        let known = self.groups().get(&script.file).cloned();
        if let Some(group) = known.filter(|group| group.rolls_over(script)) {
            group.change(script.clone());
            self.post(&group);
            return;
        }
        let before = self.retire(&script.file);
        let group = Group::begin(self, script.clone(), before);
        self.groups().insert(script.file.clone(), Arc::clone(&group));
        self.post(&group);
    }

    /// Registers a script that takes tasks as a worker.
    pub(super) fn post(self: &Arc<Self>, group: &Arc<Group>) {
        if group.script().mode() != Mode::Daemon {
            self.options.worker_sink.put(Arc::new(Scripted::of(self, group)));
        }
    }

    /// Registers a script that cannot be started: its tasks wait, or its fallback worker answers.
    fn hold(self: &Arc<Self>, script: &Script) {
        if script.settings.mode.is_some_and(|mode| mode != Mode::Daemon) {
            let stands_in = matches!(script.settings.fallback, Fallback::Worker(_));
            self.options.worker_sink.put(Arc::new(Scripted::absent(self, script, stands_in)));
        }
    }

    pub(super) fn take_away(&self, script: &Script) {
        if script.mode() != Mode::Daemon {
            self.options.worker_sink.take(&script.name);
        }
    }

    /// Ends the processes of a script without waiting. The returned value changes once they have ended.
    pub(super) fn retire(&self, file: &Path) -> Option<watch::Receiver<bool>> {
        let group = self.groups().remove(file)?;
        let (end, ended) = watch::channel(false);
        let stopping = tokio::spawn(async move {
            group.stop().await;
            end.send_replace(true);
        });
        let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        ending.retain(|stopping| !stopping.is_finished());
        ending.push(stopping);
        Some(ended)
    }

    fn say(&self, script: &Script, what: &'static str, detail: &str) {
        self.tell(FleetEvent {
            at_ms: self.now_ms(),
            id: self.id(script),
            worker: script.name.to_string(),
            instance: None,
            what,
            detail: detail.to_owned(),
            exit: None,
            pid: None,
        });
    }
}
