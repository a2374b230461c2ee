//! Reports of ended attempts.

use std::{sync::Arc, time::Duration};

use kapelle_api::{self as api, ClientError, Outcome};
use kapelle_core::{Category, TaskError, worker::Output};
use serde_json::value::RawValue;
use tokio::{
    sync::mpsc::{Receiver, error::TryRecvError},
    time::Instant,
};

use crate::{
    event::HostEvent,
    feed::{self, Feed, Sent},
    registration::{Registration, pause},
    running::Running,
};

/// Reports of one request.
pub(crate) const REPORTS_MAX: usize = 500;
/// Bytes of a request of several reports; the server accepts 32 MiB.
const BYTES_MAX: usize = 8 << 20;
/// Bytes of an output: the server would cut off a larger report before it answers.
const OUTPUT_MAX: usize = (32 << 20) - (64 << 10);
/// Time for which reports are repeated while the server is away: longer than a restart takes, and than a lease.
const HOLD: Duration = Duration::from_secs(60);
/// The wait before free slots are told again.
const REST: Duration = Duration::from_millis(200);

/// Statuses of refusals that may be due to one report. Others hold for each.
const OF_ONE: [u16; 5] = [400, 403, 409, 413, 422];

/// The report of a task that is released, as if it had never been claimed.
pub(crate) fn release(lease_token: String) -> api::Report {
    api::Report { lease_token, outcome: Outcome::Release, output: None, provenance: None, error: None }
}

/// The report of an attempt that ended.
pub(crate) fn report_of(lease_token: String, result: Result<Output, TaskError>) -> api::Report {
    let failed = match result {
        Ok(output) => match serde_json::to_string(&output.value).and_then(RawValue::from_string) {
            Ok(value) if value.get().len() > OUTPUT_MAX => {
                let bytes = value.get().len();
                let message =
                    format!("the output has {bytes} bytes; expected at most {OUTPUT_MAX}; store it as a file");
                TaskError::new(Category::InvalidOutput, message)
            }
            Ok(value) => {
                return api::Report {
                    lease_token,
                    outcome: Outcome::Succeed,
                    output: Some(value),
                    provenance: Some(api::Provenance::from(&output.provenance)),
                    error: None,
                };
            }
            Err(error) => TaskError::new(Category::InvalidOutput, format!("the output is not JSON: {error}")),
        },
        Err(error) => error,
    };
    failure(lease_token, &failed)
}

fn failure(lease_token: String, error: &TaskError) -> api::Report {
    let error = Some(api::TaskError::from(error));
    api::Report { lease_token, outcome: Outcome::Fail, output: None, provenance: None, error }
}

/// The failure of an attempt whose answer the server does not take.
fn invalid(lease_token: String, why: &str) -> api::Report {
    failure(lease_token, &TaskError::new(Category::InvalidOutput, format!("the server refused the answer: {why}")))
}

/// The approximate number of bytes of a report.
fn size(report: &api::Report) -> usize {
    512 + report.output.as_ref().map_or(0, |output| output.get().len())
}

/// Sends reports to the server, each until it is answered.
pub(crate) struct Reporter {
    pub(crate) registration: Arc<Registration>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) running: Arc<Running>,
}

impl Reporter {
    /// Sends reports until the queue is closed. Attempts that end while a request is under way go with the next one. While
    /// the server is away the host tries again, so that it loses no work.
    pub(crate) async fn work(self, mut queue: Receiver<api::Report>) {
        let mut held = None;
        loop {
            let (mut reports, mut bytes) = (Vec::new(), 0);
            let mut ended = false;
            while reports.len() < REPORTS_MAX {
                let next = held.take().map_or_else(|| queue.try_recv(), Ok);
                match next {
                    Ok(report) if reports.is_empty() || bytes + size(&report) <= BYTES_MAX => {
                        bytes += size(&report);
                        reports.push(report);
                    }
                    Ok(report) => {
                        held = Some(report);
                        break;
                    }
                    Err(error) => {
                        ended = error == TryRecvError::Disconnected;
                        break;
                    }
                }
            }
            if !reports.is_empty() {
                self.deliver(reports).await;
            } else if ended {
                return;
            } else if self.feed.is_behind() {
                if self.send_once(&mut Vec::new()).await.is_err() {
                    // A stream that is cut begins again with the free slots.
                    tokio::time::sleep(REST).await;
                }
            } else {
                tokio::select! {
                    report = queue.recv() => match report {
                        Some(report) => held = Some(report),
                        None => return,
                    },
                    () = self.feed.woken() => {}
                }
            }
        }
    }

    /// Delivers reports. A report that cannot be taken fails its own attempt and no others.
    async fn deliver(&self, reports: Vec<api::Report>) {
        let mut batches = vec![reports];
        while let Some(mut batch) = batches.pop() {
            match self.send(&mut batch).await {
                Ok(results) => {
                    for (report, result) in batch.into_iter().zip(results) {
                        batches.extend(self.answered(report, result).map(|again| vec![again]));
                    }
                }
                Err(ClientError::Refused(problem)) if batch.len() > 1 && OF_ONE.contains(&problem.status) => {
                    batches.extend(batch.into_iter().rev().map(|report| vec![report]));
                }
                Err(error) => {
                    let refused =
                        matches!(&error, ClientError::Refused(problem) if [400, 413, 422].contains(&problem.status));
                    let why = error.to_string();
                    for report in batch {
                        if refused && report.outcome == Outcome::Succeed {
                            batches.push(vec![invalid(report.lease_token.clone(), &why)]);
                        } else {
                            self.running.delivered(&report.lease_token);
                        }
                    }
                    (self.registration.listener)(&HostEvent::ReportRefused { lease_token: None, why });
                }
            }
        }
    }

    /// Judges the answer to a report. Returns the one that takes its place, for an answer that cannot be recorded.
    fn answered(&self, report: api::Report, result: api::ReportResult) -> Option<api::Report> {
        if result.accepted {
            self.running.delivered(&report.lease_token);
            return None;
        }
        let why = result.detail.or_else(|| result.code.clone()).unwrap_or_else(|| "without a reason".to_owned());
        let token = report.lease_token;
        (self.registration.listener)(&HostEvent::ReportRefused { lease_token: Some(token.clone()), why: why.clone() });
        if report.outcome == Outcome::Succeed && result.code.as_deref() != Some(api::code::LEASE_LOST) {
            return Some(invalid(token, &why));
        }
        self.running.delivered(&token);
        None
    }

    /// Sends reports, again and again while the server is away. A repeated report is accepted once.
    async fn send(&self, reports: &mut Vec<api::Report>) -> Result<Vec<api::ReportResult>, ClientError> {
        let (begun, mut failures) = (Instant::now(), 0);
        loop {
            match self.send_once(reports).await {
                Err(error) if error.is_temporary() && begun.elapsed() < HOLD => {
                    failures += 1;
                    tokio::time::sleep(pause(failures)).await;
                }
                answered => return answered,
            }
        }
    }

    /// Sends reports once: up the stream, or by a request. The free slots of a stream go along.
    async fn send_once(&self, reports: &mut Vec<api::Report>) -> Result<Vec<api::ReportResult>, ClientError> {
        match self.feed.send(reports) {
            Sent::Line(answer) => {
                let cut = |_| Err(feed::cut(&self.registration.client));
                answer.await.unwrap_or_else(cut).map(|answer| answer.results)
            }
            Sent::Frame { stream, credit } => {
                let named = (Some(stream.clone()), Some(credit));
                let mut frame = api::Frame { stream: named.0, credit: named.1, ..api::Frame::default() };
                std::mem::swap(&mut frame.reports, reports);
                let answer = self.registration.ask::<api::FrameAnswer>("frame", &frame).await;
                *reports = frame.reports;
                let results = answer?.results;
                self.feed.told(&stream, credit);
                Ok(results)
            }
            Sent::Report => {
                let batch = api::Reports { reports: std::mem::take(reports) };
                let answer = self.registration.ask::<api::ReportAnswer>("report", &batch).await;
                *reports = batch.reports;
                Ok(answer?.results)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_output_that_is_too_large_fails_the_attempt() {
        let report = |bytes: usize| report_of("t".to_owned(), Ok(Output::plain(json!("x".repeat(bytes)))));
        assert_eq!(report(OUTPUT_MAX - 2).outcome, Outcome::Succeed);
        let large = report(OUTPUT_MAX - 1);
        assert_eq!((large.outcome, large.output.is_some()), (Outcome::Fail, false));
        let error = large.error.unwrap();
        assert_eq!(error.category, "invalid_output");
        assert!(error.message.contains("store it as a file"), "{}", error.message);
    }
}
