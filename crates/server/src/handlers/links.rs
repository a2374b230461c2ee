//! Approvals answered with a link, by people without a key.

use axum::http::{HeaderValue, StatusCode, header};
use kapelle_app::mark;
use kapelle_core::plain;

use crate::{
    call::{Call, ok, text},
    problem::Problem,
    route::Answer,
};

/// `GET /approve/{link}`: the question, and two buttons. A look changes nothing: mail programs follow links.
pub async fn show(call: Call) -> Answer {
    let question = call.app.link_question(&call.app.open_link(call.param("link"))?)?;
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

/// Fills in the page in one pass: inserted text is not searched for placeholders.
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
    let link = call.app.open_link(call.param("link"))?;
    ok(&call.app.answer_link(&link, call.json()?).await?)
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
    said.textContent = answer.ok ? "Thank you, your answer is recorded." : told.detail;
  } catch (error) {
    said.textContent = "The answer could not be sent: try again.";
    document.querySelectorAll("button").forEach((one) => { one.disabled = false; });
  }
});
</script></body></html>
"#;
