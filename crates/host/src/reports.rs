//! Reports of ended attempts, and heartbeats of running ones.

use std::{sync::Arc, time::Duration};

use kapelle_api::{self as api, Outcome};
use kapelle_core::{Category, TaskError, worker::Output};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::{
    event::HostEvent,
    registration::{RETRY, Registration, TRIES},
    running::Running,
};

/// Reports of one request.
pub(crate) const REPORTS_MAX: usize = 500;

/// The report of a task that is released, as if it had never been claimed.
pub(crate) fn release(lease_token: String) -> api::Report {
    api::Report { lease_token, outcome: Outcome::Release, output: None, provenance: None, error: None }
}

/// The report of an attempt that ended.
pub(crate) fn report_of(lease_token: String, result: Result<Output, TaskError>) -> api::Report {
    let mut report =
        api::Report { lease_token, outcome: Outcome::Succeed, output: None, provenance: None, error: None };
    let failed = match result {
        Ok(output) => match serde_json::to_string(&output.value).and_then(RawValue::from_string) {
            Ok(value) => {
                report.output = Some(value);
                report.provenance = Some(api::Provenance::from(&output.provenance));
                return report;
            }
            Err(error) => TaskError::new(Category::InvalidOutput, format!("the output is not JSON: {error}")),
        },
        Err(error) => error,
    };
    report.outcome = Outcome::Fail;
    report.error = Some(api::TaskError::from(&failed));
    report
}

/// Sends reports in batches until the queue is closed. While the server is away the host tries again, so that no work
/// is lost.
pub(crate) async fn send(registration: Arc<Registration>, mut queue: mpsc::Receiver<api::Report>) {
    let mut gathered = Vec::new();
    while queue.recv_many(&mut gathered, REPORTS_MAX).await > 0 {
        let reports = api::Reports { reports: std::mem::take(&mut gathered) };
        for _ in 0..TRIES {
            match registration.ask::<api::ReportAnswer>("report", &reports).await {
                Err(error) if error.is_temporary() => tokio::time::sleep(RETRY).await,
                Err(error) => {
                    let why = error.to_string();
                    (registration.listener)(&HostEvent::ReportRefused { lease_token: None, why });
                    break;
                }
                Ok(answer) => {
                    for result in answer.results.into_iter().filter(|result| !result.accepted) {
                        let why = result.detail.unwrap_or_else(|| "without a reason".to_owned());
                        let lease_token = Some(result.lease_token);
                        (registration.listener)(&HostEvent::ReportRefused { lease_token, why });
                    }
                    break;
                }
            }
        }
    }
}

/// Renews the leases, and stops attempts that the server wants stopped. It is also what notices a restart of the server
/// while all slots are taken.
pub(crate) async fn heartbeat(registration: Arc<Registration>, running: Arc<Running>, every: Duration) {
    let mut tick = tokio::time::interval(every);
    loop {
        tick.tick().await;
        let tokens = running.tokens().into_iter();
        let tasks = tokens.map(|lease_token| api::BeatTask { lease_token, ..api::BeatTask::default() });
        let beat = api::Beat { tasks: tasks.collect() };
        if let Ok(answer) = registration.ask::<api::BeatAnswer>("heartbeat", &beat).await {
            answer.cancel.iter().for_each(|token| {
                running.stop(token);
            });
        }
    }
}
