//! Streams of results.

use bytes::Bytes;
use kapelle_api::StreamEnd;
use kapelle_app::ResultStream;
use tokio::sync::mpsc;

use crate::{
    call::{Call, ok},
    route::Answer,
    stream,
};

/// Bytes of lines that are sent together.
const TOGETHER: usize = 64 * 1024;

/// `POST /api/v1/results`
pub async fn open(call: Call) -> Answer {
    let permit = stream::permit(&call.site, &call.who)?;
    let mut open = call.app.open_results(&call.who, call.json()?).await?;
    let (sender, response) = stream::lines(permit);
    tokio::spawn(async move {
        tokio::select! {
            () = push(&mut open, &sender) => {}
            () = stream::gone(&call.site, &call.who) => {
                // A client that reads nothing learns it from the end of the connection.
                let _ = sender.try_send(stream::line(&open.end(StreamEnd::Revoked)));
            }
        }
    });
    Ok(response)
}

/// Pushes lines until the client has left or the stream ends.
async fn push(open: &mut ResultStream, sender: &mpsc::Sender<Bytes>) {
    loop {
        let mut bytes = Vec::new();
        loop {
            let line = tokio::select! {
                line = open.next() => line,
                () = sender.closed() => return,
            };
            match line {
                Ok(Some(line)) => bytes.extend_from_slice(&stream::line(&line)),
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(%error, "a result cannot be sent; its stream ends");
                    return;
                }
            }
            if !open.has_more() || bytes.len() >= TOGETHER {
                break;
            }
        }
        if sender.send(Bytes::from(bytes)).await.is_err() {
            return;
        }
    }
}

/// `POST /api/v1/results/{id}`
pub async fn change(call: Call) -> Answer {
    ok(&call.app.change_results(&call.who, call.param("id"), call.json()?).await?)
}
