//! The machine and the processes of the server.

use std::sync::Arc;

use kapelle_api as api;

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
    machine,
};

/// The files of the database in the folder of the state.
const DATABASE: [&str; 2] = ["kapelle.db", "kapelle.db-wal"];

impl App {
    /// Returns what the server, its scripts and the machine use.
    ///
    /// # Errors
    /// When the caller does not see the server as a whole.
    pub async fn system(self: &Arc<Self>, by: &Caller) -> Result<api::SystemReport, AppError> {
        by.allow_server(Permission::Read)?;
        let tenant = by.tenant;
        self.list_for(tenant, move |app| Ok(app.system_report(tenant))).await
    }

    fn system_report(&self, tenant: kapelle_core::TenantId) -> api::SystemReport {
        let (now_ms, pid) = (self.steady_ms(), std::process::id());
        let of = |pid: u32| api::ProcessUse {
            cpu: self.memory.machine.process_cpu(pid, now_ms),
            memory_bytes: machine::process_memory(pid),
        };
        let memory = machine::machine_memory();
        let disk = kapelle_store::disk::space(self.folder());
        let size = |name: &str| std::fs::metadata(self.folder().join(name)).map_or(0, |about| about.len());
        let mut scripts = Vec::new();
        for script in self.all_scripts(tenant) {
            for process in script.processes {
                let Some(pid) = process.pid else { continue };
                let Ok(number) = u32::try_from(pid) else { continue };
                scripts.push(api::ScriptUse { id: process.id, name: script.name.clone(), pid, uses: of(number) });
            }
        }
        api::SystemReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid,
            uptime_ms: self.uptime_ms(),
            cpus: std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(1)),
            process: of(pid),
            machine: api::MachineUse {
                cpu: self.memory.machine.machine_cpu(now_ms),
                memory_total_bytes: memory.map(|(total, _)| total),
                memory_available_bytes: memory.map(|(_, available)| available),
            },
            disk: api::DiskUse {
                folder: self.folder().display().to_string(),
                database_bytes: DATABASE.into_iter().map(size).sum(),
                history_bytes: self.memory.recorder.history().map_or(0, kapelle_store::history::History::bytes),
                total_bytes: disk.map(|space| space.total),
                used_bytes: disk.map(|space| space.used),
                free_bytes: disk.map(|space| space.free),
            },
            scripts,
        }
    }
}
