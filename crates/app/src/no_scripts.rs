//! The use cases of scripts where none are supervised: no script exists.

use std::collections::BTreeMap;

use kapelle_api as api;
use kapelle_core::{Name, TenantId};
use serde_json::Value;

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
};

fn missing(id: &str) -> AppError {
    AppError::not_found(id.chars().take(40).collect::<String>())
}

impl App {
    pub(crate) fn script_holds_up(&self, _tenant: TenantId, _worker: &Name) -> Option<String> {
        None
    }

    pub(crate) fn describe_scripts(&self, _folders: &[std::path::PathBuf]) {}

    pub(crate) fn script_broken(&self, _tenant: TenantId, _name: &Name) -> Option<String> {
        None
    }

    pub(crate) fn is_described(&self, _name: &Name) -> bool {
        false
    }

    pub(crate) async fn described_scripts(&self, _tenant: TenantId) -> Option<Vec<api::Script>> {
        None
    }

    pub(crate) fn all_scripts(&self, _tenant: TenantId) -> Vec<api::Script> {
        Vec::new()
    }

    pub(crate) fn script_counts(&self) -> Option<Value> {
        None
    }

    pub(crate) fn measured_scripts(&self) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
        (BTreeMap::new(), BTreeMap::new())
    }

    /// The scripts of the folder of workers: none.
    ///
    /// # Errors
    /// When the caller may not see them.
    pub async fn scripts(&self, by: &Caller) -> Result<api::ScriptList, AppError> {
        by.allow(Permission::Read)?;
        Ok(api::ScriptList { scripts: Vec::new() })
    }

    /// Refuses: no script exists.
    ///
    /// # Errors
    /// Always.
    pub async fn restart_script(&self, by: &Caller, id: &str, _given: api::Reason) -> Result<api::Restarted, AppError> {
        by.allow(Permission::Operate)?;
        Err(missing(id))
    }

    /// Restarts every script that is started: none.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn restart_scripts(&self, by: &Caller, _given: api::Reason) -> Result<api::Restarted, AppError> {
        by.allow(Permission::Operate)?;
        Ok(api::Restarted { restarted: 0 })
    }

    /// Refuses: no script exists.
    ///
    /// # Errors
    /// Always.
    pub async fn scale_script(&self, by: &Caller, id: &str, _wanted: api::Scale) -> Result<api::Script, AppError> {
        by.allow(Permission::Operate)?;
        Err(missing(id))
    }

    /// Refuses: no script exists.
    ///
    /// # Errors
    /// Always.
    pub fn script_tail(&self, by: &Caller, id: &str, _tail: Option<usize>) -> Result<api::LogLines, AppError> {
        by.allow(Permission::Read)?;
        Err(missing(id))
    }
}
