//! Reports of ended attempts from worker hosts.

use std::sync::{Arc, atomic::Ordering};

use kapelle_api::{self as api, Outcome, code};
use kapelle_core::{
    Category, DurationMs, Money, TaskError, TaskId,
    task::{Report, StateKind},
    worker::Provenance,
};
use kapelle_engine::{EngineError, NewPayload, Reported, command};

use crate::{
    app::App,
    app_error::AppError,
    caller::{Caller, Permission},
    host_registry::Host,
};

/// Reports of one request.
const REPORTS_MAX: usize = 1_000;
/// Length above which an answer is stored as a file, in bytes.
const ROW_MAX: usize = 1 << 20;

/// Formats a lease as hosts know it.
pub(crate) fn write(lease: &Report) -> String {
    format!("{:x}.{:x}.{:016x}", lease.task.0, lease.epoch, lease.nonce)
}

/// Reads a lease.
///
/// # Errors
/// When the text is not a lease.
pub(crate) fn read(token: &str) -> Result<Report, AppError> {
    let mut parts = token.splitn(3, '.');
    let mut next = || parts.next().filter(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let (task, epoch, nonce) = (next(), next(), next());
    let lease = || {
        Some(Report {
            task: TaskId(i64::from_str_radix(task?, 16).ok()?),
            epoch: u32::from_str_radix(epoch?, 16).ok()?,
            nonce: u64::from_str_radix(nonce?, 16).ok()?,
        })
    };
    lease().ok_or_else(AppError::lease_lost)
}

impl App {
    /// Reports the ends of attempts. A host that a new server does not know yet may report too: only the lease counts.
    ///
    /// # Errors
    /// When there are too many, or the server itself cannot record one: then the whole request must be retried.
    pub async fn report(&self, by: &Caller, host: &str, given: api::Reports) -> Result<api::ReportAnswer, AppError> {
        by.allow(Permission::Work)?;
        let host = self.find_host(by, host);
        let results = self.report_many(by, host.as_deref(), given.reports, false).await?;
        Ok(api::ReportAnswer { results })
    }

    /// Reports the end of the attempt of one task.
    ///
    /// # Errors
    /// When the lease is invalid or belongs to another task, or the report is invalid.
    pub async fn report_one(
        &self,
        by: &Caller,
        id: TaskId,
        outcome: Outcome,
        given: api::SingleReport,
    ) -> Result<api::ReportResult, AppError> {
        by.allow(Permission::Work)?;
        let api::SingleReport { lease_token, output, provenance, error } = given;
        if read(&lease_token)?.task != id {
            return Err(AppError::lease_lost());
        }
        let report = api::Report { lease_token: lease_token.clone(), outcome, output, provenance, error };
        let (lease, reported) = self.order(None, report)?;
        let command = command::Report { tenant: by.tenant, report: lease, reported };
        let reply = self.engine.ask(command).await;
        self.counted(by, None, (lease, outcome), reply)?;
        Ok(accepted(lease_token))
    }

    /// Reports the ends of attempts of a host together, so that they share a turn. `raised` says that the host's credit
    /// has risen.
    pub(crate) async fn report_many(
        &self,
        by: &Caller,
        host: Option<&Host>,
        reports: Vec<api::Report>,
        raised: bool,
    ) -> Result<Vec<api::ReportResult>, AppError> {
        if reports.len() > REPORTS_MAX {
            return Err(AppError::input("reports", format!("at most {REPORTS_MAX} are possible")));
        }
        let mut results = Vec::with_capacity(reports.len());
        let (mut orders, mut commands) = (Vec::new(), Vec::new());
        for report in reports {
            let (token, outcome) = (report.lease_token.clone(), report.outcome);
            match self.order(host, report) {
                Ok((lease, reported)) => {
                    orders.push((results.len(), lease, outcome));
                    commands.push(command::Report { tenant: by.tenant, report: lease, reported });
                    results.push(accepted(token));
                }
                Err(error) => results.push(refused(token, error)?),
            }
        }
        let replies = self.engine.report_all(commands, raised).await;
        for ((at, lease, outcome), reply) in orders.into_iter().zip(replies) {
            if let Err(error) = self.counted(by, host, (lease, outcome), reply) {
                let result: &mut api::ReportResult = &mut results[at];
                *result = refused(std::mem::take(&mut result.lease_token), error)?;
            }
        }
        Ok(results)
    }

    /// Reads a report.
    fn order(&self, host: Option<&Host>, report: api::Report) -> Result<(Report, Reported), AppError> {
        let lease = read(&report.lease_token)?;
        if let Some(host) = host {
            host.arrived([lease].iter());
        }
        Ok((lease, self.reported(report)?))
    }

    /// Judges the reply to a report, and counts it for its host.
    fn counted(
        &self,
        by: &Caller,
        host: Option<&Host>,
        (lease, outcome): (Report, Outcome),
        reply: Result<(), EngineError>,
    ) -> Result<(), AppError> {
        if let Err(error) = reply {
            let lost = matches!(AppError::from(error.clone()).code, code::LEASE_LOST | code::NOT_FOUND);
            if !lost {
                return Err(error.into());
            }
            // The answer to the first report may have been lost on the way.
            if !(outcome == Outcome::Succeed && self.already(by, &lease)?) {
                return Err(AppError::lease_lost());
            }
            return Ok(());
        }
        if let Some(host) = host {
            match outcome {
                Outcome::Succeed => host.succeeded.fetch_add(1, Ordering::Relaxed),
                Outcome::Fail => host.failed.fetch_add(1, Ordering::Relaxed),
                Outcome::Release => 0,
            };
        }
        Ok(())
    }

    /// Says whether the task has succeeded with this very attempt: all attempts of a task have different numbers.
    fn already(&self, by: &Caller, lease: &Report) -> Result<bool, EngineError> {
        let task = self.reader().task(by.tenant, lease.task)?;
        Ok(task.is_some_and(|task| task.epoch == lease.epoch && task.state.kind() == StateKind::Succeeded))
    }

    fn reported(&self, report: api::Report) -> Result<Reported, AppError> {
        match report.outcome {
            Outcome::Succeed => {
                let output = report.output.as_ref().map_or("null", |output| output.get());
                Ok(Reported::Succeed {
                    output: self.output(output)?,
                    provenance: Arc::new(report.provenance.map(provenance).unwrap_or_default()),
                })
            }
            Outcome::Fail => {
                let given = report.error.ok_or_else(|| AppError::input("error", "say why the attempt failed"))?;
                Ok(Reported::Fail { error: error(given)? })
            }
            Outcome::Release => Ok(Reported::Release),
        }
    }

    /// Checks that an answer is valid JSON, and stores it unchanged.
    fn output(&self, text: &str) -> Result<NewPayload, AppError> {
        let value: serde_json::Value = serde_json::from_str(text).map_err(|error| AppError::input("output", error))?;
        if value.is_null() {
            return Ok(NewPayload::None);
        }
        if text.len() <= ROW_MAX {
            return Ok(NewPayload::Bytes(Arc::from(text.as_bytes())));
        }
        Ok(self.engine.payload(&value)?)
    }
}

fn accepted(lease_token: String) -> api::ReportResult {
    api::ReportResult { lease_token, accepted: true, code: None, detail: None }
}

/// Returns the result of a refused report.
///
/// # Errors
/// When the server itself failed: then the whole request must be retried.
fn refused(lease_token: String, error: AppError) -> Result<api::ReportResult, AppError> {
    if error.is_own_fault() {
        return Err(error);
    }
    let (code, detail) = (Some(error.code.to_owned()), Some(error.to_string()));
    Ok(api::ReportResult { lease_token, accepted: false, code, detail })
}

fn provenance(given: api::Provenance) -> Provenance {
    let unexplained = || "the worker said so".to_owned();
    Provenance {
        provider: given.provider,
        model: given.model,
        degraded: given.degraded_reason.or_else(|| given.degraded.then(unexplained)),
        stand_in: given.stand_in,
        truncated: given.truncated,
        recorded: given.recorded,
        reused: None,
        cached: false,
        calls: given.calls,
        input_tokens: given.input_tokens,
        output_tokens: given.output_tokens,
        cost: Money(given.cost_nanousd.min(i64::MAX.unsigned_abs())),
    }
}

fn error(given: api::TaskError) -> Result<TaskError, AppError> {
    let category = Category::from_word(&given.category).ok_or_else(|| {
        let words = Category::ALL.map(Category::as_str).join(", ");
        AppError::input("error.category", format!("there are {words}"))
    })?;
    let mut error = TaskError::new(category, given.message);
    error.retryable = given.retryable.unwrap_or(error.retryable);
    error.fresh |= given.retry == Some(api::AskAgain::Fresh);
    error.retry_after = given.retry_after_ms.map(|ms| DurationMs(ms.min(86_400_000)));
    Ok(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_reads_back_and_nothing_else_does() {
        let lease = Report { task: TaskId(12), epoch: 3, nonce: 0x0123_4567_89ab_cdef };
        assert_eq!(read(&write(&lease)).unwrap(), lease);
        for text in ["", "c.3", "c.3.", "-c.3.1", "c.3.1.1", "c.3.g", "zz.1.1", "c.ffffffffff.1"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
