//! Workflows and their versions.

use std::sync::Arc;

use kapelle_api::{self as api, code};
use kapelle_core::{Name, TenantId};
use kapelle_engine::{VersionRef, command};
use kapelle_store::{Deletion, Page, VersionRow};
use similar::TextDiff;

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
    cursor, run_start, to_api,
};

/// Versions of a workflow that are searched for a number.
const VERSIONS_MAX: u32 = 1_000;
/// Time limit for comparing lines; a longer comparison is reported in larger pieces.
const DIFF_TIME: std::time::Duration = std::time::Duration::from_secs(2);

fn name(text: &str) -> Result<Name, AppError> {
    Name::parse(text).map_err(|_| AppError::not_found(text.chars().take(90).collect::<String>()))
}

fn missing(workflow: &Name) -> AppError {
    AppError::not_found(format!("that version of the workflow {workflow}"))
}

impl App {
    /// Returns the newest versions of all workflows.
    ///
    /// # Errors
    /// When the page cannot be read.
    pub async fn workflows(self: &Arc<Self>, by: &Caller, given: api::Paging) -> Result<api::VersionPage, AppError> {
        self.version_page(by, None, &given).await
    }

    /// Returns the versions of a workflow, newest first.
    ///
    /// # Errors
    /// When the tenant has no such workflow, or the page cannot be read.
    pub async fn versions(
        self: &Arc<Self>,
        by: &Caller,
        text: &str,
        given: api::Paging,
    ) -> Result<api::VersionPage, AppError> {
        let workflow = name(text)?;
        let found = self.version_page(by, Some(workflow.clone()), &given).await?;
        if found.versions.is_empty() && given == api::Paging::default() {
            return Err(AppError::not_found(format!("a version of the workflow {workflow}")));
        }
        Ok(found)
    }

    async fn version_page(
        self: &Arc<Self>,
        by: &Caller,
        workflow: Option<Name>,
        given: &api::Paging,
    ) -> Result<api::VersionPage, AppError> {
        by.allow(Permission::Read)?;
        let page = cursor::page(given)?;
        let tenant = by.tenant;
        let read = self.list_for(tenant, move |app| {
            let rows = app.reader().versions(tenant, workflow.as_ref(), page)?;
            let next_cursor = cursor::after(rows.len(), page.most, rows.last().map(|row| row.id));
            Ok(api::VersionPage { versions: rows.iter().map(to_api::version).collect(), next_cursor })
        });
        read.await
    }

    /// Returns a version with its text.
    ///
    /// # Errors
    /// When the tenant has no such version.
    pub async fn version(
        self: &Arc<Self>,
        by: &Caller,
        text: &str,
        number: &str,
    ) -> Result<api::VersionSource, AppError> {
        by.allow(Permission::Read)?;
        let (workflow, tenant) = (name(text)?, by.tenant);
        let number: u32 = number.parse().map_err(|_| missing(&workflow))?;
        let of = workflow.clone();
        let rows = self.list_for(tenant, move |app| {
            let page = Page { before: None, most: VERSIONS_MAX };
            Ok(app.reader().versions(tenant, Some(&of), page)?)
        });
        let row = rows.await?.into_iter().find(|row| row.number == number).ok_or_else(|| missing(&workflow))?;
        let source = String::from_utf8_lossy(&row.source).into_owned();
        Ok(api::VersionSource { version: to_api::version(&row), source })
    }

    /// Returns the versions of a workflow, newest first.
    fn stored(&self, tenant: TenantId, workflow: &Name) -> Result<Vec<VersionRow>, AppError> {
        let page = Page { before: None, most: VERSIONS_MAX };
        let mut rows = self.reader().versions(tenant, Some(workflow), page)?;
        if rows.is_empty() {
            return Err(AppError::not_found(format!("a version of the workflow {workflow}")));
        }
        rows.sort_by_key(|row| std::cmp::Reverse(row.number));
        Ok(rows)
    }

    /// Stores a text as the newest version of its workflow, unless it is that already.
    ///
    /// # Errors
    /// Every problem of the text with its position.
    pub async fn publish(self: &Arc<Self>, by: &Caller, given: api::Publish) -> Result<api::Version, AppError> {
        by.allow(Permission::Submit)?;
        self.accepting()?;
        let file = given.file.unwrap_or_else(|| "workflow.yaml".to_owned());
        if file.is_empty() || file.len() > 255 || file.chars().any(char::is_control) {
            return Err(AppError::input("file", "1 to 255 bytes without control characters are possible"));
        }
        // Parsing and checking a large definition takes a while: not on a thread that serves others.
        let read = self.list_for(by.tenant, move |_| {
            let (version, definition) = run_start::load(given.source.as_bytes(), &file)?;
            Ok((version, definition.name.clone()))
        });
        let (version, name) = read.await?;
        self.keep_version(by, "workflow.publish", &name, version).await
    }

    /// Makes an earlier version the newest again.
    ///
    /// # Errors
    /// When the tenant has no such version.
    pub async fn rollback(
        self: &Arc<Self>,
        by: &Caller,
        text: &str,
        given: api::Rollback,
    ) -> Result<api::Version, AppError> {
        by.allow(Permission::Submit)?;
        let (workflow, tenant) = (name(text)?, by.tenant);
        self.accepting()?;
        let of = workflow.clone();
        let version = self.list_for(tenant, move |app| {
            let rows = app.stored(tenant, &of)?;
            let row = numbered(&rows, "number", given.number)?;
            Ok(run_start::load(&row.source, &row.file)?.0)
        });
        let version = version.await?;
        self.keep_version(by, "workflow.rollback", &workflow, version).await
    }

    async fn keep_version(
        &self,
        by: &Caller,
        action: &str,
        workflow: &Name,
        version: VersionRef,
    ) -> Result<api::Version, AppError> {
        let tenant = by.tenant;
        let id = self.act(by, action, workflow.as_str(), command::StoreVersion { tenant, version }).await?;
        let row = self.reader().version(tenant, id)?;
        let row = row.ok_or_else(|| AppError::internal("the version that was stored is not there"))?;
        // With the file that would be run instead of it.
        let settings = self.settings();
        let folder = settings.workflows.as_deref().filter(|_| tenant == TenantId::DEFAULT);
        let file = folder.and_then(|folder| run_start::project_file(folder, &row.workflow));
        let other = file.filter(|(source, _)| **source != *row.source);
        Ok(api::Version { shadowed_by: other.map(|(_, file)| file), ..to_api::version(&row) })
    }

    /// Compares two versions of a workflow.
    ///
    /// # Errors
    /// When the tenant has no such versions.
    pub async fn diff(
        self: &Arc<Self>,
        by: &Caller,
        text: &str,
        given: api::DiffQuery,
    ) -> Result<api::VersionDiff, AppError> {
        by.allow(Permission::Read)?;
        let (workflow, tenant) = (name(text)?, by.tenant);
        let compared = self.list_for(tenant, move |app| {
            let rows = app.stored(tenant, &workflow)?;
            let later = match given.to {
                Some(number) => numbered(&rows, "to", number)?,
                None => &rows[0],
            };
            let earlier = match given.from {
                Some(number) => numbered(&rows, "from", number)?,
                None => rows.iter().find(|row| row.number < later.number).ok_or_else(|| {
                    AppError::input("from", format!("there is no version before {}: name one", later.number))
                })?,
            };
            let text = |row: &VersionRow| String::from_utf8_lossy(&row.source).into_owned();
            let name = |row: &VersionRow| format!("{workflow} version {}", row.number);
            let (old, new) = (text(earlier), text(later));
            // A file of 16 MiB must not occupy a thread for minutes.
            let compared = TextDiff::configure().timeout(DIFF_TIME).diff_lines(&old, &new);
            let diff = compared.unified_diff().header(&name(earlier), &name(later)).to_string();
            Ok(api::VersionDiff { workflow: workflow.to_string(), from: earlier.number, to: later.number, diff })
        });
        compared.await
    }

    /// Deletes a version that has no runs and is not the newest.
    ///
    /// # Errors
    /// When the tenant has no such version, or it is in use or the newest.
    pub async fn delete_version(&self, by: &Caller, text: &str, number: &str) -> Result<api::VersionDeleted, AppError> {
        by.allow(Permission::Operate)?;
        let (workflow, tenant) = (name(text)?, by.tenant);
        let number: u32 = number.parse().map_err(|_| missing(&workflow))?;
        let resource = format!("{workflow} version {number}");
        let command = command::DeleteVersion { tenant, workflow: workflow.clone(), number };
        match self.act(by, "workflow.delete", &resource, command).await? {
            Deletion::Deleted => Ok(api::VersionDeleted { workflow: workflow.to_string(), deleted: number }),
            Deletion::Used(runs) => Err(AppError::conflict(format!(
                "version {number} of {workflow} is in use: {runs} {on} on it, until its retention is over",
                on = if runs == 1 { "run" } else { "runs" }
            ))),
            Deletion::Newest => Err(AppError::conflict(format!(
                "version {number} is the newest of {workflow}, which is what is started by name"
            ))),
            Deletion::Missing => {
                Err(AppError::new(code::NOT_FOUND, format!("workflow {workflow} has no version {number}")))
            }
        }
    }
}

fn numbered<'r>(rows: &'r [VersionRow], field: &str, number: u32) -> Result<&'r VersionRow, AppError> {
    rows.iter().find(|row| row.number == number).ok_or_else(|| {
        let known: Vec<String> = rows.iter().take(20).map(|row| row.number.to_string()).collect();
        AppError::input(field, format!("there is no version {number}, but {}", known.join(", ")))
    })
}
