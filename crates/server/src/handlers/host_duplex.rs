//! A host's stream whose frames come up in the body of the same request.

use std::sync::{Arc, PoisonError};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use kapelle_api::{self as api, StreamEnd};
use kapelle_app::HostStream;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

use crate::{call::Call, handlers::hosts::push, problem::Problem, route::Answer, stream, strict};

/// The longest line of a body, in bytes. Larger frames have a request of their own.
pub const LINE_MAX: usize = 256 * 1024;
/// Frames of one host that are in progress.
const FRAMES: usize = 16;

/// The lines of a body, as they come.
struct BodyLines {
    body: Body,
    buffer: BytesMut,
    /// Bytes of the buffer that have no end of a line.
    searched: usize,
}

impl BodyLines {
    /// Returns the next line; `None` at the end. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When a line is too long, or the body breaks off.
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            if let Some(at) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(self.searched + at + 1).freeze();
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.buffer.len();
            if self.searched > LINE_MAX {
                return Err(Problem::too_large(LINE_MAX));
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let frame = frame.map_err(|error| Problem::invalid(format!("the body could not be read: {error}")))?;
            if let Ok(data) = frame.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }
}

/// `POST /api/v1/hosts/{id}/duplex`
pub async fn open(call: Call) -> Answer {
    let permit = stream::permit(&call.site, &call.who)?;
    let body = call.stream.lock().unwrap_or_else(PoisonError::into_inner).take();
    let body = body.ok_or_else(|| Problem::internal("the request has no body"))?;
    let mut lines = BodyLines { body, buffer: BytesMut::new(), searched: 0 };
    let wait = tokio::time::timeout(call.site.limits.body_idle, lines.next()).await;
    let first = wait.map_err(|_| Problem::invalid("body: no line came; expected {\"credit\":N} first"))??;
    let first = first.unwrap_or_else(|| Bytes::from_static(b"{}"));
    let given = strict::read(&first).map_err(|error| Problem::unprocessable(format!("the first line: {error}")))?;
    let mut open = call.app.open_host_stream(&call.who, call.param("id"), &given)?;
    let (sender, response) = stream::lines(permit);
    let call = Arc::new(call);
    tokio::spawn(async move {
        let id = open.id().to_owned();
        let ended = tokio::select! {
            ended = push(&mut open, &sender) => ended,
            () = frames(&call, &mut lines, &id, &sender) => None,
            () = stream::gone(&call.site, &call.who) => Some(StreamEnd::Revoked),
        };
        finish(&mut open, &sender, ended);
    });
    Ok(response)
}

fn finish(open: &mut HostStream, sender: &mpsc::Sender<Bytes>, ended: Option<StreamEnd>) {
    if let Some(why) = ended {
        // A client that reads nothing learns it from the end of the connection.
        let _ = sender.try_send(stream::line(&open.end(why)));
    }
}

/// Takes frames until the body ends, and waits for their answers.
async fn frames(call: &Arc<Call>, lines: &mut BodyLines, stream: &str, sender: &mpsc::Sender<Bytes>) {
    let places = Arc::new(Semaphore::new(FRAMES));
    let mut answers = JoinSet::new();
    loop {
        let line = match lines.next().await {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(problem) => {
                let _ = sender.send(stream::line(&refused(0, problem))).await;
                break;
            }
        };
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
        while answers.try_join_next().is_some() {}
        let (call, sender, stream) = (Arc::clone(call), sender.clone(), stream.to_owned());
        answers.spawn(async move {
            let reply = take(&call, &stream, &line).await;
            let _ = sender.send(stream::line(&reply)).await;
            drop(place);
        });
    }
    while answers.join_next().await.is_some() {}
}

fn refused(n: u64, problem: Problem) -> api::HostLine {
    api::HostLine { n: Some(n), error: Some(Box::new(problem.body())), ..api::HostLine::default() }
}

/// Takes one frame. Returns its answer.
async fn take(call: &Call, stream: &str, line: &[u8]) -> api::HostLine {
    let api::FrameLine { n, credit, ack, reports, tasks } = match strict::read(line) {
        Ok(line) => line,
        Err(error) => return refused(0, Problem::unprocessable(format!("the line: {error}"))),
    };
    let frame = api::Frame { stream: Some(stream.to_owned()), credit, ack, reports, tasks };
    match call.app.frame(&call.who, call.param("id"), frame).await {
        Ok(answer) => api::HostLine { n: Some(n), answer: Some(Box::new(answer)), ..api::HostLine::default() },
        Err(error) => refused(n, error.into()),
    }
}
