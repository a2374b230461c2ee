//! Steps that wait for a person.

use std::{collections::VecDeque, sync::Arc};

use kapelle::{
    TaskId,
    core::{
        DurationMs, TenantId,
        task::{StateKind, Task, TaskState, WaitFor},
    },
    engine::Command,
    store::{Page, TaskFilter},
};
use kapelle_api as api;
use serde_json::json;

use crate::{
    app::App,
    call::{Call, ok},
    problem::Problem,
    route::{Answer, Permission},
    shown,
};

/// How long a link is good for when the step waits without end.
const LINK: DurationMs = DurationMs(7 * 86_400_000);
/// Steps that are listed.
const MOST: usize = 1_000;

/// `GET /api/v1/approvals`
pub async fn list(call: Call) -> Answer {
    let tenant = call.tenant();
    // A link answers: only those who may answer themselves are given one.
    let may_link = call.who.role.may(Permission::Submit);
    let shown = call.list(move |app| Ok(api::ApprovalList { approvals: waiting(app, tenant, may_link)? }));
    ok(&shown.await?)
}

fn waiting(app: &App, tenant: TenantId, may_link: bool) -> Result<Vec<api::Approval>, Problem> {
    let filter = TaskFilter { state: Some(StateKind::Waiting), steps: true, ..TaskFilter::default() };
    // Those that wait for longest, which come last.
    let (mut waiting, mut before) = (VecDeque::new(), None);
    loop {
        let page = app.engine().reader().tasks(tenant, &filter, Page { before, most: 1_000 })?;
        let Some(last) = page.last() else { break };
        before = Some(last.id.0);
        waiting
            .extend(page.into_iter().filter(|task| matches!(task.state, TaskState::Waiting(WaitFor::Approval { .. }))));
        waiting.drain(..waiting.len().saturating_sub(MOST));
    }
    let (mut found, mut bytes) = (Vec::new(), 0);
    for task in waiting.iter().rev() {
        let TaskState::Waiting(wait) = &task.state else { continue };
        let question = shown::raw(app, &task.input)?;
        bytes += question.get().len();
        if bytes > app.limits.page_bytes && !found.is_empty() {
            break;
        }
        found.push(api::Approval {
            id: task.id.to_string(),
            run: task.origin.as_ref().map(|origin| origin.run.to_string()),
            step: task.origin.as_ref().map(|origin| origin.path.to_string()),
            question: app.engine().value(&task.input)?,
            created_at: shown::time(task.created_at),
            until: wait.until().map(shown::time),
            link: may_link.then(|| {
                let until = wait.until().unwrap_or(task.created_at + LINK);
                format!("/approve/{}", app.links.mint(tenant, task.id, until))
            }),
        });
    }
    Ok(found)
}

/// `POST /api/v1/approvals/{id}/approve`
pub async fn approve(call: Call) -> Answer {
    answer(call, true).await
}

/// `POST /api/v1/approvals/{id}/deny`
pub async fn deny(call: Call) -> Answer {
    answer(call, false).await
}

async fn answer(call: Call, approved: bool) -> Answer {
    let id: TaskId = call.id()?;
    one(&call, id)?;
    let given: api::Answer = call.json()?;
    let by = given.by.unwrap_or_else(|| call.who.actor.clone());
    let action = if approved { "approval.approve" } else { "approval.deny" };
    let command = command(&call.app, id, approved, (&by, &given.comment.unwrap_or_default()))?;
    call.app.act(&call.who, action, &id.to_string(), command).await?;
    ok(&shown::task(&call.app, &one(&call, id)?))
}

/// The answer for the engine.
pub fn command(app: &App, id: TaskId, approved: bool, (by, comment): (&str, &str)) -> Result<Command, Problem> {
    let reason = if comment.is_empty() { String::new() } else { format!(": {comment}") };
    let why = Arc::from(format!("{by} said no{reason}"));
    let answer = app.engine().payload(&json!({ "approved": true, "by": by, "comment": comment }))?;
    Ok(Command::Approve { task: id, approved, answer, why })
}

/// A task of the caller's tenant.
fn one(call: &Call, id: TaskId) -> Result<Task, Problem> {
    let task = call.app.engine().reader().task(call.tenant(), id)?;
    task.ok_or_else(|| Problem::not_found(id))
}
