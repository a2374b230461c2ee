//! Approvals answered with a link, by people without a key.

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use kapelle::{
    core::{
        plain,
        task::{Task, TaskState, WaitFor},
    },
    engine::Audited,
    store::Act,
};
use kapelle_api as api;

use super::approvals::Words;
use crate::{
    auth::mark,
    call::{Call, json, text},
    problem::Problem,
    route::Answer,
};

/// `GET /approve/{link}`: the question, and two buttons. Looking changes nothing: mail programs look at links.
pub async fn show(call: Call) -> Answer {
    let (task, _) = opened(&call)?;
    let question = call.app.engine().value(&task.input)?;
    let question = question.as_str().map_or_else(|| question.to_string(), str::to_owned);
    let nonce = mark().map_err(|error| Problem::internal(error.to_string()))?;
    let mut response = text(StatusCode::OK, "text/html; charset=utf-8", page(&question, &nonce));
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let policy = HeaderValue::from_str(&policy).map_err(|error| Problem::internal(error.to_string()))?;
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

/// The page, filled in one pass: what is put in is not looked through for places again.
fn page(question: &str, nonce: &str) -> String {
    let mut page = String::with_capacity(PAGE.len() + question.len());
    let mut rest = PAGE;
    while let Some(at) = rest.find('{') {
        page.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("{question}") {
            page.push_str(&escape(&plain::lines(question)));
            rest = after;
        } else if let Some(after) = rest.strip_prefix("{nonce}") {
            page.push_str(nonce);
            rest = after;
        } else {
            page.push('{');
            rest = &rest[1..];
        }
    }
    page.push_str(rest);
    page
}

/// `POST /approve/{link}`: the answer.
pub async fn answer(call: Call) -> Answer {
    let (task, by) = opened(&call)?;
    let given: api::LinkAnswer = call.json()?;
    let words = Words::of(given.by, given.comment)?;
    let command = words.command(&call.app, task.id, given.approved, (&by, "link"))?;
    let act = Act {
        tenant: task.tenant,
        actor: Arc::from(format!("link of {by}")),
        action: Arc::from(if given.approved { "approval.approve" } else { "approval.deny" }),
        resource: Arc::from(task.id.to_string()),
    };
    call.app.engine().ask(Audited { act, command }).await?;
    json(StatusCode::OK, &api::LinkAnswered { approved: given.approved })
}

/// The step that the link is for, while it waits, and the key that the link was made with, which must still hold.
fn opened(call: &Call) -> Result<(Task, String), Problem> {
    let unknown = || Problem::not_found("this link");
    let now = call.app.now();
    let (tenant, id, by) = call.app.links.open(call.param("link"), now).ok_or_else(unknown)?;
    if !call.app.auth.holds(&by, now) {
        return Err(unknown());
    }
    let task = call.app.engine().reader().task(tenant, id)?.ok_or_else(unknown)?;
    match task.state {
        TaskState::Waiting(WaitFor::Approval { .. }) => Ok((task, by)),
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
</style></head><body><main><p class="q" dir="auto">{question}</p>
<label>Your name <input id="by" autocomplete="name" maxlength="100"></label><label>Comment <input id="comment" maxlength="2000"></label>
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
