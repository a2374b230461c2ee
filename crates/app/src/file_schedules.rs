//! Schedules that files of workflows say: made, changed and removed with the file.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use kapelle_core::{
    Name, TenantId, Timestamp,
    definition::{Definition, OnSchedule},
    schedule::{ScheduleSpec, Target},
};
use kapelle_engine::{Audited, Clock, Engine, EngineError, VersionRef, command};
use kapelle_store::{Act, ScheduleRow};

use crate::{app::App, app_error::AppError, error::Error, secrets};

/// Rows that are read at once.
const PAGE: u32 = 1_000;
/// Name in the audit trail.
const ACTOR: &str = "files";

/// Keeps the schedules of the project's workflow files.
#[derive(Clone)]
pub(crate) struct FileSchedules {
    pub engine: Engine,
    pub clock: Arc<dyn Clock>,
    /// Folder of the workflows.
    pub folder: PathBuf,
}

/// A schedule of a file that is not in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    pub file: PathBuf,
    pub message: String,
}

impl FileSchedules {
    /// Makes the stored schedules those of the files that are in effect. Returns the ones whose names are taken.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn apply(&self) -> Result<Vec<Taken>, AppError> {
        let mine = self.clone();
        let planned = tokio::task::spawn_blocking(move || mine.plan()).await;
        let (command, mut taken) = planned.map_err(|error| AppError::internal(error.to_string()))??;
        if !command.put.is_empty() || !command.delete.is_empty() {
            let files: BTreeMap<Name, Arc<ScheduleSpec>> = command.put.iter().cloned().collect();
            let names = command.put.iter().map(|(name, _)| name).chain(&command.delete);
            let resource: Vec<&str> = names.take(20).map(Name::as_str).collect();
            let act = Act {
                tenant: command.tenant,
                actor: ACTOR.into(),
                action: "schedule.files".into(),
                resource: resource.join(" ").into(),
            };
            let refused = self.engine.ask(Audited { act, command }).await?;
            taken.extend(refused.iter().filter_map(|name| Some(self.taken(name, files.get(name)?.file.as_deref()?))));
        }
        Ok(taken)
    }

    fn plan(&self) -> Result<(command::ApplyFiles, Vec<Taken>), EngineError> {
        let tenant = TenantId::DEFAULT;
        let wanted = self.wanted();
        let (mut kept, mut delete, mut taken) = (BTreeSet::new(), Vec::new(), Vec::new());
        for row in self.rows(tenant)? {
            match wanted.get(&row.name) {
                Some(spec) if row.spec.file.is_none() || row.spec.target != spec.target => {
                    taken.push(self.taken(&row.name, spec.file.as_deref().unwrap_or_default()));
                    kept.insert(row.name);
                }
                Some(spec) if row.spec.says_as(spec) => drop(kept.insert(row.name)),
                Some(_) => {}
                None if row.spec.file.is_some() && self.is_gone(&row) => delete.push(row.name),
                None => {}
            }
        }
        let put = wanted.into_iter().filter(|(name, _)| !kept.contains(name)).collect();
        Ok((command::ApplyFiles { tenant, put, delete }, taken))
    }

    /// Returns the schedules of the workflows that are in effect.
    fn wanted(&self) -> BTreeMap<Name, Arc<ScheduleSpec>> {
        let mut wanted = BTreeMap::new();
        for (definition, file) in self.definitions() {
            for schedule in &definition.on_schedules {
                let file = self.shown(Path::new(&*file));
                let spec = spec((&definition.name, schedule), file.into(), self.clock.now());
                wanted.insert(schedule.name.clone(), Arc::new(spec));
            }
        }
        wanted
    }

    /// Returns the workflows of files that are in effect.
    fn definitions(&self) -> Vec<(Arc<Definition>, Arc<str>)> {
        let known = self.engine.registry().workflows().into_iter();
        let of_file = |version| match version {
            VersionRef::Source { definition, file, .. } => Some((definition, file)),
            VersionRef::Stored(_) => None,
        };
        known.filter_map(of_file).collect()
    }

    fn rows(&self, tenant: TenantId) -> Result<Vec<ScheduleRow>, EngineError> {
        let mut rows: Vec<ScheduleRow> = Vec::new();
        loop {
            let after = rows.last().map(|row| row.name.clone());
            let page = self.engine.reader().schedules(tenant, after.as_ref(), PAGE)?;
            let last = page.len() < PAGE as usize;
            rows.extend(page);
            if last {
                return Ok(rows);
            }
        }
    }

    /// Tells whether the file of a schedule says it no longer. A file that is there and cannot be read keeps what it said.
    fn is_gone(&self, row: &ScheduleRow) -> bool {
        let Some(file) = row.spec.file.as_deref() else { return false };
        let read = self.definitions().iter().any(|(_, known)| self.shown(Path::new(&**known)) == file);
        let name = Path::new(file).file_name().unwrap_or_default();
        read || !self.folder.join(name).is_file()
    }

    /// Returns the path of a file within the project.
    fn shown(&self, file: &Path) -> String {
        let folder = self.folder.file_name().unwrap_or_default().to_string_lossy();
        format!("{folder}/{}", file.file_name().unwrap_or_default().to_string_lossy())
    }

    fn taken(&self, name: &Name, file: &str) -> Taken {
        let message = format!(
            "{file}: schedule {name} is not in effect: another one has this name; \
             delete it with `kapelle schedules delete {name}`, or give this one a `name:`"
        );
        Taken { file: self.folder.join(Path::new(file).file_name().unwrap_or_default()), message }
    }
}

impl App {
    /// Follows the schedules of a folder's workflow files, and applies them.
    pub(crate) async fn follow_schedules_of(&mut self, folder: Option<PathBuf>) -> Result<(), Error> {
        let (engine, clock) = (self.engine.clone(), Arc::clone(&self.clock));
        self.file_schedules = folder.map(|folder| FileSchedules { engine, clock, folder });
        self.apply_file_schedules().await
    }

    /// Applies the schedules of the workflow files, where this process fires schedules.
    pub(crate) async fn apply_file_schedules(&self) -> Result<(), Error> {
        let Some(files) = &self.file_schedules else { return Ok(()) };
        let taken = files.apply().await.map_err(|error| Error::Config(error.to_string()))?;
        taken.iter().for_each(|taken| tracing::warn!("{}", taken.message));
        Ok(())
    }
}

fn spec((workflow, schedule): (&Name, &OnSchedule), file: Arc<str>, created_at: Timestamp) -> ScheduleSpec {
    ScheduleSpec {
        cron: Arc::clone(&schedule.cron),
        zone: Arc::clone(&schedule.zone),
        target: Target::Workflow(workflow.clone()),
        with: schedule.with.clone(),
        catch_up: schedule.catch_up,
        overlap: schedule.overlap,
        jitter: schedule.jitter,
        // By its name: one schedule always has its own delays, and two have different ones.
        seed: secrets::digest(schedule.name.as_str()).iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte)),
        by: None,
        file: Some(file),
        created_at,
    }
}
