//! Worker hosts: register, claim, acknowledge, heartbeat, report.

use axum::http::StatusCode;
use bytes::Bytes;
use kapelle_api::{self as api, Outcome, StreamEnd};
use kapelle_app::HostStream;
use tokio::sync::mpsc;

use crate::{
    call::{Call, json, ok},
    route::Answer,
    stream,
};

/// `POST /api/v1/hosts`
pub async fn register(call: Call) -> Answer {
    json(StatusCode::CREATED, &call.app.register_host(&call.who, call.json()?).await?)
}

/// `DELETE /api/v1/hosts/{id}`
pub async fn leave(call: Call) -> Answer {
    ok(&call.app.remove_host(&call.who, call.param("id"))?)
}

/// `POST /api/v1/hosts/{id}/claim`
pub async fn claim(call: Call) -> Answer {
    let claimed = call.app.claim(&call.who, call.param("id"), call.json()?);
    ok(&stream::while_it_holds(&call.site, &call.who, claimed).await??)
}

/// `POST /api/v1/hosts/{id}/ack`
pub async fn ack(call: Call) -> Answer {
    call.app.acknowledge(&call.who, call.param("id"), &call.json()?)?;
    ok(&api::Acknowledged {})
}

/// `POST /api/v1/hosts/{id}/stream`
pub async fn stream(call: Call) -> Answer {
    let permit = stream::permit(&call.site, &call.who)?;
    let mut open = call.app.open_host_stream(&call.who, call.param("id"), &call.json()?)?;
    let (sender, response) = stream::lines(permit);
    tokio::spawn(async move {
        let ended = tokio::select! {
            ended = push(&mut open, &sender) => ended,
            () = stream::gone(&call.site, &call.who) => Some(StreamEnd::Revoked),
        };
        if let Some(why) = ended {
            // A client that reads nothing learns it from the end of the connection.
            let _ = sender.try_send(stream::line(&open.end(why)));
        }
    });
    Ok(response)
}

/// Pushes lines until the host has left or the stream ends. Returns the reason of an end that was not sent.
pub async fn push(open: &mut HostStream, sender: &mpsc::Sender<Bytes>) -> Option<StreamEnd> {
    loop {
        let line = tokio::select! {
            line = open.next() => line?,
            () = sender.closed() => return None,
        };
        let line = stream::line(&line);
        tokio::select! {
            biased;
            sent = sender.send(line) => sent.ok()?,
            why = open.overdue() => return Some(why),
        }
    }
}

/// `POST /api/v1/hosts/{id}/frame`
pub async fn frame(call: Call) -> Answer {
    ok(&call.app.frame(&call.who, call.param("id"), call.json()?).await?)
}

/// `POST /api/v1/hosts/{id}/heartbeat`
pub async fn heartbeat(call: Call) -> Answer {
    ok(&call.app.heartbeat(&call.who, call.param("id"), call.json()?).await?)
}

/// `POST /api/v1/hosts/{id}/report`
pub async fn report(call: Call) -> Answer {
    ok(&call.app.report(&call.who, call.param("id"), call.json()?).await?)
}

/// `POST /api/v1/tasks/{id}/succeed`
pub async fn succeed(call: Call) -> Answer {
    single(call, Outcome::Succeed).await
}

/// `POST /api/v1/tasks/{id}/fail`
pub async fn fail(call: Call) -> Answer {
    single(call, Outcome::Fail).await
}

/// `POST /api/v1/tasks/{id}/release`
pub async fn release(call: Call) -> Answer {
    single(call, Outcome::Release).await
}

async fn single(call: Call, outcome: Outcome) -> Answer {
    ok(&call.app.report_one(&call.who, call.id()?, outcome, call.json()?).await?)
}
