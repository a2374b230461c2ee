//! Workers that are scripts.

use kapelle_api as api;
use kapelle_app::describe_line;
use serde_json::json as value;
use tokio::sync::broadcast::error::RecvError;

use crate::{
    call::{Call, ok},
    route::Answer,
    stream,
};

/// Interval between keep-alive messages.
const SIGN: std::time::Duration = std::time::Duration::from_secs(15);

/// `GET /api/v1/scripts`
pub async fn list(call: Call) -> Answer {
    ok(&call.app.scripts(&call.who).await?)
}

/// `POST /workers/restart/{id}`
pub async fn restart(call: Call) -> Answer {
    ok(&call.app.restart_script(&call.who, call.param("id"), call.json()?).await?)
}

/// `POST /workers/restart-all`
pub async fn restart_all(call: Call) -> Answer {
    ok(&call.app.restart_scripts(&call.who, call.json()?).await?)
}

/// `POST /api/v1/scripts/{id}/scale`
pub async fn scale(call: Call) -> Answer {
    call.app.has_script(&call.who, call.param("id"))?;
    ok(&call.app.scale_script(&call.who, call.param("id"), call.json()?).await?)
}

/// `GET /workers/logs/{id}`
pub async fn logs(call: Call) -> Answer {
    let wanted: api::LogQuery = call.query()?;
    if !wanted.follow.unwrap_or(false) {
        return ok(&call.app.script_lines(&call.who, call.param("id"), &wanted)?);
    }
    let (found, mut coming) = call.app.script_logs(&call.who, call.param("id"), wanted.tail)?;
    let (sender, response) = stream::events(&call.site, &call.who)?;
    tokio::spawn(async move {
        let event = |line: &api::LogLine| {
            let body = serde_json::to_value(line).unwrap_or_default();
            stream::event(&line.number.to_string(), "line", &body)
        };
        let work = async {
            for line in &found.lines {
                if sender.send(event(line)).await.is_err() {
                    return;
                }
            }
            loop {
                let bytes = tokio::select! {
                    line = coming.recv() => match line {
                        Ok(line) => event(&describe_line(&line)),
                        // A reader slower than the script receives the number of lines that it missed.
                        Err(RecvError::Lagged(missed)) => stream::event("", "missed", &value!({ "lines": missed })),
                        Err(RecvError::Closed) => return,
                    },
                    () = sender.closed() => return,
                    () = tokio::time::sleep(SIGN) => stream::alive(),
                };
                if sender.send(bytes).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = work => {}
            () = stream::over(&call.site, &call.who) => {}
        }
    });
    Ok(response)
}

/// `GET /api/v1/tasks/{id}/logs`
pub async fn of_task(call: Call) -> Answer {
    ok(&call.app.task_lines(&call.who, call.id()?)?)
}
