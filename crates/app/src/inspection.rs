//! The configuration in force, and checks of the machine. Only the program that serves knows where its settings come
//! from, so it is asked for both.

use std::{future::Future, pin::Pin, sync::Arc};

use kapelle_api as api;

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
};

/// Time for which findings are valid, in milliseconds: some checks start a process.
const FRESH_MS: u64 = 5_000;

/// The pending findings of an inspector.
pub type Findings<'a> = Pin<Box<dyn Future<Output = Vec<api::DoctorCheck>> + Send + 'a>>;

/// The program that serves, as far as it describes itself.
pub trait Inspector: Send + Sync {
    /// Returns the settings in force with their origins. Values of keys are left out. May wait for files.
    ///
    /// # Errors
    /// When a file cannot be read, in words.
    fn settings(&self) -> Result<Vec<api::Setting>, String>;

    /// Checks the machine.
    fn examine(&self) -> Findings<'_>;
}

/// The inspector, and its last findings with their time.
#[derive(Default)]
pub(crate) struct Inspection {
    inspector: std::sync::OnceLock<Arc<dyn Inspector>>,
    last: tokio::sync::Mutex<Option<(u64, api::DoctorReport)>>,
}

impl App {
    /// Lets the program that serves describe itself. Later calls have no effect.
    pub fn describe_by(&self, inspector: Arc<dyn Inspector>) {
        let _ = self.memory.inspection.inspector.set(inspector);
    }

    fn inspector(&self, verb: &str) -> Result<Arc<dyn Inspector>, AppError> {
        let known = self.memory.inspection.inspector.get().cloned();
        known.ok_or_else(|| {
            AppError::not_found(format!("the program that serves does not tell this; ask `kapelle {verb}` beside it"))
        })
    }

    /// Returns the configuration in force, with the origin of each value and without keys.
    ///
    /// # Errors
    /// When the caller is no admin of tenant 1, or the program that serves does not tell its configuration.
    pub async fn config_report(self: &Arc<Self>, by: &Caller) -> Result<api::ConfigReport, AppError> {
        by.allow_server(Permission::Administer)?;
        let inspector = self.inspector("config show --origin")?;
        let read = self.list_for(by.tenant, move |_| {
            let settings = inspector.settings().map_err(AppError::internal)?;
            Ok(api::ConfigReport { settings })
        });
        read.await
    }

    /// Checks the machine of the server. Simultaneous requests share one check.
    ///
    /// # Errors
    /// When the caller may not operate the server, or the program that serves checks nothing.
    pub async fn doctor(self: &Arc<Self>, by: &Caller) -> Result<api::DoctorReport, AppError> {
        by.allow_server(Permission::Operate)?;
        let inspector = self.inspector("doctor")?;
        let mut last = self.memory.inspection.last.lock().await;
        if let Some((at_ms, report)) = &*last
            && self.steady_ms().saturating_sub(*at_ms) < FRESH_MS
        {
            return Ok(report.clone());
        }
        let checks = inspector.examine().await;
        let ok = checks.iter().all(|check| check.state != api::DoctorState::Fail);
        let report = api::DoctorReport { ok, checks };
        *last = Some((self.steady_ms(), report.clone()));
        Ok(report)
    }
}
