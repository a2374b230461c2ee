//! Approvals answered with a link, by people without a key.

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use kapelle::{
    TaskId,
    core::{
        TenantId,
        task::{Task, TaskState, WaitFor},
    },
    engine::Command,
    store::Act,
};
use kapelle_api as api;

use super::approvals::command;
use crate::{
    auth::fresh,
    call::{Call, json, text},
    problem::Problem,
    route::Answer,
};

/// Letters of a name that are kept.
const BY_MAX: usize = 200;

/// `GET /approve/{link}`: the question, and two buttons. Looking changes nothing: mail programs look at links.
pub async fn show(call: Call) -> Answer {
    let (_, task) = opened(&call)?;
    let question = call.app.engine().value(&task.input)?;
    let question = question.as_str().map_or_else(|| question.to_string(), str::to_owned);
    let nonce = fresh().map_err(|error| Problem::internal(error.to_string()))?;
    let page = PAGE.replace("{question}", &escape(&question)).replace("{nonce}", &nonce);
    let mut response = text(StatusCode::OK, "text/html; charset=utf-8", page);
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let policy = HeaderValue::from_str(&policy).map_err(|error| Problem::internal(error.to_string()))?;
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

/// `POST /approve/{link}`: the answer.
pub async fn answer(call: Call) -> Answer {
    let (tenant, task) = opened(&call)?;
    let given: api::LinkAnswer = call.json()?;
    let by: String = given.by.unwrap_or_default().trim().chars().take(BY_MAX).collect();
    let by = if by.is_empty() { "somebody with the link".to_owned() } else { format!("{by} (by link)") };
    let command = command(&call.app, task.id, given.approved, (&by, &given.comment.unwrap_or_default()))?;
    let act = Act {
        tenant,
        actor: Arc::from("link"),
        action: Arc::from(if given.approved { "approval.approve" } else { "approval.deny" }),
        resource: Arc::from(task.id.to_string()),
    };
    call.app.engine().ask(Command::Audited { act, command: Box::new(command) }).await?;
    json(StatusCode::OK, &api::LinkAnswered { approved: given.approved })
}

/// The step that the link is for, while it waits.
fn opened(call: &Call) -> Result<(TenantId, Task), Problem> {
    let unknown = || Problem::not_found("this link");
    let (tenant, id): (TenantId, TaskId) =
        call.app.links.open(call.param("link"), call.app.now()).ok_or_else(unknown)?;
    let task = call.app.engine().reader().task(tenant, id)?.ok_or_else(unknown)?;
    match task.state {
        TaskState::Waiting(WaitFor::Approval { .. }) => Ok((tenant, task)),
        _ => Err(Problem::conflict("this question has been answered, or is no longer asked")),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const PAGE: &str = r#"<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Kapelle: a question</title>
<meta name="viewport" content="width=device-width,initial-scale=1"><style nonce="{nonce}">
:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:12vh auto;padding:0 1rem}
p.q{font-size:1.25rem;white-space:pre-wrap;overflow-wrap:anywhere}input{font:inherit;width:100%;box-sizing:border-box;padding:.5rem;margin:.25rem 0}
button{font:inherit;padding:.6rem 1.6rem;margin:.75rem .75rem 0 0;border-radius:.5rem;border:1px solid;cursor:pointer}
</style></head><body><main><p class="q">{question}</p>
<label>Your name <input id="by" autocomplete="name"></label><label>Comment <input id="comment"></label>
<button data-answer="yes">Yes</button><button data-answer="no">No</button><p id="said" role="status"></p></main>
<script nonce="{nonce}">
const said = document.getElementById("said");
for (const button of document.querySelectorAll("button")) button.addEventListener("click", async () => {
  const value = (id) => document.getElementById(id).value || undefined;
  const body = { approved: button.dataset.answer === "yes", by: value("by"), comment: value("comment") };
  document.querySelectorAll("button").forEach((one) => { one.disabled = true; });
  try {
    const answer = await fetch(location.pathname, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
    const told = await answer.json();
    said.textContent = answer.ok ? "Thank you, that is noted." : told.detail;
  } catch (error) {
    said.textContent = "It could not be sent: try again.";
    document.querySelectorAll("button").forEach((one) => { one.disabled = false; });
  }
});
</script></body></html>
"#;
