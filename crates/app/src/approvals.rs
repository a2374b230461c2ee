//! Steps that wait for a person: list, answer, answer with a link.

use std::{collections::VecDeque, sync::Arc};

use kapelle_api as api;
use kapelle_core::{
    DurationMs, TaskId, TenantId, Timestamp,
    approval::{ApprovalRule, Approver},
    plain,
    task::{StateKind, Task, TaskState, WaitFor},
};
use kapelle_engine::command;
use kapelle_store::{Page, TaskFilter};
use serde_json::{Value, json};

use crate::{
    app::App,
    app_error::AppError,
    approval_links::Links,
    caller::{Caller, Permission},
    to_api,
};

/// Lifetime of a link when the step waits without end.
const LINK: DurationMs = DurationMs(7 * 86_400_000);
/// Steps that are listed.
const MOST: usize = 1_000;
/// Characters of the name of a person who answers.
const NAME_MAX: usize = 100;
/// Characters of a comment.
const COMMENT_MAX: usize = 2_000;

/// A question that a link opened.
pub struct OpenedLink {
    task: Task,
    /// The key that the link was made with.
    by: String,
}

impl App {
    /// Enables links with which people without a key answer approvals, keyed by the folder's token.
    pub fn serve_links(&self, token: &str) {
        let _ = self.memory.links.set(Links::new(token));
    }

    /// Returns the steps that wait for a person, oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn approvals(self: &Arc<Self>, by: &Caller) -> Result<api::ApprovalList, AppError> {
        by.allow(Permission::Read)?;
        let who = by.clone();
        self.list_for(by.tenant, move |app| Ok(api::ApprovalList { approvals: app.waiting(&who)? })).await
    }

    fn waiting(&self, by: &Caller) -> Result<Vec<api::Approval>, AppError> {
        let filter = TaskFilter { state: Some(StateKind::Waiting), steps: true, ..TaskFilter::default() };
        // The longest waiting ones, which come last.
        let (mut waiting, mut before) = (VecDeque::new(), None);
        loop {
            let page = self.reader().tasks(by.tenant, &filter, Page { before, most: 1_000 })?;
            let Some(last) = page.last() else { break };
            before = Some(last.id.0);
            let asks = |task: &Task| matches!(task.state, TaskState::Waiting(WaitFor::Approval { .. }));
            waiting.extend(page.into_iter().filter(asks));
            waiting.drain(..waiting.len().saturating_sub(MOST));
        }
        let most_bytes = self.settings().page_bytes;
        let (mut found, mut bytes) = (Vec::new(), 0);
        for task in waiting.iter().rev() {
            bytes += to_api::raw(self, &task.input)?.get().len();
            if bytes > most_bytes && !found.is_empty() {
                break;
            }
            found.extend(self.approval(by, task)?);
        }
        Ok(found)
    }

    /// Returns a step that waits for a person, as one caller sees it.
    fn approval(&self, by: &Caller, task: &Task) -> Result<Option<api::Approval>, AppError> {
        let TaskState::Waiting(wait @ WaitFor::Approval { rule, .. }) = &task.state else { return Ok(None) };
        // A link can answer: only callers who may answer this step themselves receive one.
        let may = self.refusal(by, task, rule)?.is_none();
        let link = self.memory.links.get().filter(|_| may).map(|links| {
            let until = wait.until().unwrap_or(task.created_at + LINK);
            format!("/approve/{}", links.mint(by.tenant, task.id, until, &by.actor))
        });
        Ok(Some(api::Approval {
            id: task.id.to_string(),
            run: task.origin.as_ref().map(|origin| origin.run.to_string()),
            step: task.origin.as_ref().map(|origin| origin.path.to_string()),
            question: self.engine.value(&task.input)?,
            created_at: to_api::time(task.created_at),
            until: wait.until().map(to_api::time),
            approvers: rule.approvers.clone(),
            may_answer: may,
            link,
        }))
    }

    /// Returns why a caller may not answer a step; `None` when it may.
    fn refusal(&self, by: &Caller, task: &Task, rule: &ApprovalRule) -> Result<Option<String>, AppError> {
        if !by.may(Permission::Approve) {
            return Ok(Some(format!("a key with the role {} may not approve", by.role.as_str())));
        }
        let run = task.origin.as_ref().map(|origin| self.reader().run(by.tenant, origin.run)).transpose()?;
        let starter = run.flatten().and_then(|run| run.started_by);
        let key = Approver { id: &by.actor, name: &by.name, role: by.role.as_str() };
        Ok(rule.check(&key, starter.as_deref()).err())
    }

    /// Answers a step that waits for a person: yes makes it succeed, no makes it fail.
    ///
    /// # Errors
    /// When the tenant has no such step, it does not wait for an answer, or the caller may not give one.
    pub async fn answer(
        &self,
        by: &Caller,
        id: TaskId,
        approved: bool,
        given: api::Answer,
    ) -> Result<api::Task, AppError> {
        let task = self.one_task(by.tenant, id)?;
        if let TaskState::Waiting(WaitFor::Approval { rule, .. }) = &task.state {
            if let Some(why) = self.refusal(by, &task, rule)? {
                return Err(AppError::forbidden(why));
            }
        } else {
            by.allow(Permission::Approve)?;
        }
        let command = Words::of(given.by, given.comment)?.command(self, id, approved, (&by.actor, by.via))?;
        self.act(by, action(approved), &id.to_string(), command).await?;
        to_api::listed_task(self, &*self.one_task(by.tenant, id)?)
    }

    /// Returns the tenant of a link; `None` when the link is forged or expired.
    #[must_use]
    pub fn link_tenant(&self, link: &str, now: Timestamp) -> Option<TenantId> {
        self.memory.links.get()?.open(link, now).map(|(tenant, ..)| tenant)
    }

    /// Opens the question of a link, while its step waits and its key is valid.
    ///
    /// # Errors
    /// When the link is forged or expired, or the question is no longer asked.
    pub fn open_link(&self, link: &str) -> Result<OpenedLink, AppError> {
        let unknown = || AppError::not_found("this link");
        let now = self.now();
        let links = self.memory.links.get().ok_or_else(unknown)?;
        let (tenant, id, by) = links.open(link, now).ok_or_else(unknown)?;
        if !self.memory.keyring.holds(&by, now) {
            return Err(unknown());
        }
        let task = self.reader().task(tenant, id)?.ok_or_else(unknown)?;
        match task.state {
            TaskState::Waiting(WaitFor::Approval { .. }) => Ok(OpenedLink { task, by }),
            _ => Err(AppError::conflict("this question has been answered or withdrawn")),
        }
    }

    /// Returns the text of the question of a link.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn link_question(&self, link: &OpenedLink) -> Result<String, AppError> {
        let question = self.engine.value(&link.task.input)?;
        Ok(question.as_str().map_or_else(|| question.to_string(), str::to_owned))
    }

    /// Answers the question of a link.
    ///
    /// # Errors
    /// When a text is too long, or the step does not wait any more.
    pub async fn answer_link(&self, link: &OpenedLink, given: api::LinkAnswer) -> Result<api::LinkAnswered, AppError> {
        let OpenedLink { task, by } = link;
        let words = Words::of(given.by, given.comment)?;
        let command = words.command(self, task.id, given.approved, (by, "link"))?;
        let actor = format!("link of {by}");
        self.act_as((task.tenant, &actor), action(given.approved), &task.id.to_string(), command).await?;
        Ok(api::LinkAnswered { approved: given.approved })
    }
}

fn action(approved: bool) -> &'static str {
    if approved { "approval.approve" } else { "approval.deny" }
}

/// The name and comment of a person who answers, safe to show to others.
struct Words {
    name: Option<String>,
    comment: String,
}

impl Words {
    fn of(name: Option<String>, comment: Option<String>) -> Result<Words, AppError> {
        let name = plain::line(&name.unwrap_or_default());
        let comment = plain::lines(&comment.unwrap_or_default()).trim().to_owned();
        for (field, text, most) in [("by", &name, NAME_MAX), ("comment", &comment, COMMENT_MAX)] {
            let characters = text.chars().count();
            if characters > most {
                return Err(AppError::input(field, format!("{characters} characters; expected at most {most}")));
            }
        }
        Ok(Words { name: Some(name).filter(|name| !name.is_empty()), comment })
    }

    /// Builds the command for the answer. `by` is the key that acted, `via` the way the answer came. Yes makes the
    /// output of the step; no makes its error.
    fn command(
        &self,
        app: &App,
        step: TaskId,
        approved: bool,
        (by, via): (&str, &str),
    ) -> Result<command::Approve, AppError> {
        let Words { name, comment } = self;
        let reason = if comment.is_empty() { String::new() } else { format!(": {comment}") };
        let why = Arc::from(match name {
            Some(name) => format!("{name} said no{reason} (answered as {by})"),
            None => format!("{by} said no{reason}"),
        });
        let answer: Value = json!({ "approved": true, "by": by, "via": via, "claimed_name": name, "comment": comment });
        Ok(command::Approve { task: step, approved, answer: app.engine.payload(&answer)?, why })
    }
}
