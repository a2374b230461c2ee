//! Steps that wait for a person.

use std::{collections::VecDeque, sync::Arc};

use axum::http::StatusCode;
use kapelle::{
    Answer as Answered, TaskId,
    core::{
        DurationMs,
        approval::{ApprovalRule, Approver},
        plain,
        task::{StateKind, Task, TaskState, WaitFor},
    },
    engine::command,
    store::{Page, TaskFilter},
};
use kapelle_api as api;

use crate::{
    app::App,
    auth::Identity,
    call::{Call, ok},
    problem::Problem,
    route::{Answer, Permission},
    shown,
};

/// How long a link is good for when the step waits without end.
const LINK: DurationMs = DurationMs(7 * 86_400_000);
/// Steps that are listed.
const MOST: usize = 1_000;
/// Characters of the name that somebody who answers gives.
const NAME_MAX: usize = 100;
/// Characters of a comment.
const COMMENT_MAX: usize = 2_000;

/// `GET /api/v1/approvals`
pub async fn list(call: Call) -> Answer {
    let who = Arc::clone(&call.who);
    let shown = call.list(move |app| Ok(api::ApprovalList { approvals: waiting(app, &who)? }));
    ok(&shown.await?)
}

fn waiting(app: &App, who: &Identity) -> Result<Vec<api::Approval>, Problem> {
    let tenant = who.tenant;
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
        let TaskState::Waiting(wait @ WaitFor::Approval { rule, .. }) = &task.state else { continue };
        let question = shown::raw(app, &task.input)?;
        bytes += question.get().len();
        if bytes > app.limits.page_bytes && !found.is_empty() {
            break;
        }
        // A link answers: only those who may answer this step themselves are given one.
        let may = refusal(app, who, task, rule)?.is_none();
        found.push(api::Approval {
            id: task.id.to_string(),
            run: task.origin.as_ref().map(|origin| origin.run.to_string()),
            step: task.origin.as_ref().map(|origin| origin.path.to_string()),
            question: app.engine().value(&task.input)?,
            created_at: shown::time(task.created_at),
            until: wait.until().map(shown::time),
            approvers: rule.approvers.clone(),
            may_answer: may,
            link: may.then(|| {
                let until = wait.until().unwrap_or(task.created_at + LINK);
                format!("/approve/{}", app.links.mint(tenant, task.id, until, &who.actor))
            }),
        });
    }
    Ok(found)
}

/// Why a key may not answer a step. `None` when it may.
fn refusal(app: &App, who: &Identity, task: &Task, rule: &ApprovalRule) -> Result<Option<String>, Problem> {
    if !who.may(Permission::Approve) {
        return Ok(Some(format!("a key with the role {} may not approve", who.role.as_str())));
    }
    let run = task.origin.as_ref().map(|origin| app.engine().reader().run(who.tenant, origin.run)).transpose()?;
    let starter = run.flatten().and_then(|run| run.started_by);
    let key = Approver { id: &who.actor, name: &who.name, role: who.role.as_str() };
    Ok(rule.check(&key, starter.as_deref()).err())
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
    let task = one(&call, id)?;
    let given: api::Answer = call.json()?;
    if let TaskState::Waiting(WaitFor::Approval { rule, .. }) = &task.state
        && let Some(why) = refusal(&call.app, &call.who, &task, rule)?
    {
        return Err(Problem::new(StatusCode::FORBIDDEN, api::code::FORBIDDEN, why));
    }
    let action = if approved { "approval.approve" } else { "approval.deny" };
    let command = Words::of(given.by, given.comment)?.command(&call.app, id, approved, (&call.who.actor, "key"))?;
    call.app.act(&call.who, action, &id.to_string(), command).await?;
    ok(&shown::task(&call.app, &one(&call, id)?))
}

/// What somebody who answers says beside yes or no, fit to be shown to others.
pub struct Words {
    name: Option<String>,
    comment: String,
}

impl Words {
    /// Checks and cleans them.
    ///
    /// # Errors
    /// When one is too long.
    pub fn of(name: Option<String>, comment: Option<String>) -> Result<Words, Problem> {
        let name = plain::line(&name.unwrap_or_default());
        let comment = plain::lines(&comment.unwrap_or_default()).trim().to_owned();
        for (field, text, most) in [("by", &name, NAME_MAX), ("comment", &comment, COMMENT_MAX)] {
            let characters = text.chars().count();
            if characters > most {
                let detail = format!("{field}: {characters} characters; expected at most {most}");
                return Err(Problem::unprocessable(detail));
            }
        }
        Ok(Words { name: Some(name).filter(|name| !name.is_empty()), comment })
    }

    /// The answer for the engine. `by` is the key that acted, and the way the answer came.
    ///
    /// # Errors
    /// When the answer cannot be stored.
    pub fn command(
        &self,
        app: &App,
        id: TaskId,
        approved: bool,
        (by, via): (&str, &str),
    ) -> Result<command::Approve, Problem> {
        let answer = Answered { by, claimed_name: self.name.as_deref(), via, comment: &self.comment };
        Ok(answer.command(app.engine(), id, approved)?)
    }
}

/// A task of the caller's tenant.
fn one(call: &Call, id: TaskId) -> Result<Task, Problem> {
    let task = call.app.engine().reader().task(call.tenant(), id)?;
    task.ok_or_else(|| Problem::not_found(id))
}
