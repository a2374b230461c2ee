//! Files: given once, kept under their hash, and had only by the tenants that gave them.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use kapelle::{core::TenantId, core::worker::FileSource, engine::command, store::ArtifactRow};
use kapelle_api as api;
use serde::Deserialize;
use serde_json::Value;

use super::tasks::refuse_while_draining;
use crate::{
    app::App,
    call::{Call, json, ok},
    cursor,
    problem::Problem,
    route::Answer,
    shown, transfer,
};

/// Characters of a name.
const NAME_MAX: usize = 255;
/// References that one input may hold.
const REFERENCES_MAX: usize = 10_000;

/// The query of an upload.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: Option<String>,
}

/// `POST /api/v1/artifacts`
pub async fn give(mut call: Call) -> Answer {
    let given: Named = call.query()?;
    refuse_while_draining(&call)?;
    let name = given.name.unwrap_or_else(|| "file".to_owned());
    if name.is_empty() || name.chars().count() > NAME_MAX || name.chars().any(|c| c.is_control() || "/\\".contains(c)) {
        return Err(Problem::unprocessable(format!(
            "name: 1 to {NAME_MAX} characters without separators are possible"
        )));
    }
    let media_type = media_type(&call.parts.headers)?;
    let stream = call.stream.get_mut().ok().and_then(Option::take);
    let stream = stream.ok_or_else(|| Problem::internal("the body was read already"))?;
    let (sha256, bytes) = transfer::take(&call, stream).await?;
    let artifact = ArtifactRow {
        tenant: call.tenant(),
        sha256: Arc::from(sha256),
        name: Arc::from(name),
        media_type: Arc::from(media_type),
        bytes,
        at: call.app.now(),
    };
    // The bytes are synced, now the row: a crash in between leaves a file that nobody can ask for.
    call.app.engine().ask(command::Give { artifact: artifact.clone() }).await?;
    let row = call.app.engine().reader().artifact(artifact.tenant, &artifact.sha256)?.unwrap_or(artifact);
    let mut response = json(StatusCode::CREATED, &shown::artifact(&row))?;
    if let Ok(place) = HeaderValue::from_str(&format!("/api/v1/artifacts/sha256:{}", row.sha256)) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

fn media_type(headers: &HeaderMap) -> Result<String, Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok("application/octet-stream".to_owned()) };
    let text = value.to_str().ok().filter(|text| text.len() <= 200 && text.contains('/'));
    text.map(str::to_owned).ok_or_else(|| Problem::invalid("Content-Type: a media type such as text/plain is expected"))
}

/// The query of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    limit: Option<u32>,
    cursor: Option<String>,
}

/// `GET /api/v1/artifacts`
pub async fn list(call: Call) -> Answer {
    let given: Filter = call.query()?;
    let most = cursor::page(given.limit, None)?.most;
    if given.cursor.as_deref().is_some_and(|cursor| hash(cursor).is_none()) {
        return Err(Problem::invalid("the cursor is not one: take it as it stands from `next_cursor`"));
    }
    let tenant = call.tenant();
    let shown = call.list(move |app| {
        let after = given.cursor.as_deref().and_then(hash);
        let rows = app.engine().reader().artifacts(tenant, after, most)?;
        let full = rows.len() >= most as usize;
        let next_cursor = rows.last().filter(|_| full).map(|row| format!("sha256:{}", row.sha256));
        Ok(api::ArtifactPage { artifacts: rows.iter().map(shown::artifact).collect(), next_cursor })
    });
    ok(&shown.await?)
}

/// The hash of a reference such as `sha256:ba78...`.
fn hash(reference: &str) -> Option<&str> {
    let hash = reference.strip_prefix("sha256:").unwrap_or(reference);
    let plain = hash.len() == 64 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    plain.then_some(hash)
}

/// `GET /api/v1/artifacts/{id}`
pub async fn get(call: Call) -> Answer {
    let (text, tenant) = (call.param("id"), call.tenant());
    let row = hash(text).map(|sha256| call.app.engine().reader().artifact(tenant, sha256)).transpose()?.flatten();
    give_back(&call, row.ok_or_else(|| missing(text))?)
}

/// `GET /api/v1/files/{id}`: the same for worker hosts, also of what the owner of the folder put there without the
/// server. Hosts learn of hashes from the inputs of tasks alone.
pub async fn fetch(call: Call) -> Answer {
    let (text, tenant) = (call.param("id"), call.tenant());
    let sha256 = hash(text).ok_or_else(|| missing(text))?;
    let given = call.app.engine().reader().artifact(tenant, sha256)?;
    let local = || {
        let path = call.app.kapelle.files().path(sha256).filter(|_| tenant == TenantId::DEFAULT)?;
        let bytes = std::fs::metadata(path).ok()?.len();
        let (name, media_type) = (Arc::from("file"), Arc::from("application/octet-stream"));
        Some(ArtifactRow { tenant, sha256: Arc::from(sha256), name, media_type, bytes, at: call.app.now() })
    };
    give_back(&call, given.or_else(local).ok_or_else(|| missing(text))?)
}

fn missing(text: &str) -> Problem {
    Problem::not_found(format!("file {}", text.chars().take(80).collect::<String>()))
}

fn give_back(call: &Call, row: ArtifactRow) -> Answer {
    let sha256 = &*row.sha256;
    let tag = format!("\"{sha256}\"");
    let headers = &call.parts.headers;
    let mut response = if known(headers, &tag) {
        status(StatusCode::NOT_MODIFIED)
    } else {
        let path = call.app.kapelle.files().path(sha256);
        let path = path.ok_or_else(|| Problem::internal("the bytes of the file are missing from the folder"))?;
        // A range of another state of the file would be of no use; there is only one state.
        let fresh = headers.get(header::IF_RANGE).is_none_or(|value| value.as_bytes() == tag.as_bytes());
        let range = headers.get(header::RANGE).filter(|_| fresh).and_then(|value| value.to_str().ok());
        match range.map_or(Range::Whole, |range| Range::of(range, row.bytes)) {
            Range::Whole => transfer::give(call, path, 0, row.bytes, StatusCode::OK)?,
            Range::Part(from, to) => {
                let mut response = transfer::give(call, path, from, to - from + 1, StatusCode::PARTIAL_CONTENT)?;
                insert(&mut response, header::CONTENT_RANGE, &format!("bytes {from}-{to}/{}", row.bytes));
                response
            }
            Range::Beyond => {
                let mut response = status(StatusCode::RANGE_NOT_SATISFIABLE);
                insert(&mut response, header::CONTENT_RANGE, &format!("bytes */{}", row.bytes));
                response
            }
        }
    };
    insert(&mut response, header::ETAG, &tag);
    insert(&mut response, header::ACCEPT_RANGES, "bytes");
    insert(&mut response, header::CONTENT_TYPE, &row.media_type);
    // Never shown in place: it may be a page with scripts.
    insert(&mut response, header::CONTENT_DISPOSITION, &format!("attachment; filename*=UTF-8''{}", percent(&row.name)));
    insert(&mut response, header::CACHE_CONTROL, "private, max-age=31536000, immutable");
    Ok(response)
}

fn status(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn insert(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn percent(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn known(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|value| {
        let value = value.trim().trim_start_matches("W/");
        value == tag || value == "*"
    })
}

/// Which bytes are asked for.
#[derive(Debug, PartialEq, Eq)]
enum Range {
    Whole,
    /// From the first to the last of them.
    Part(u64, u64),
    Beyond,
}

impl Range {
    /// One range of bytes; several, or what is not one, are answered by the whole file.
    fn of(text: &str, length: u64) -> Range {
        let Some((from, to)) = text.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
            return Range::Whole;
        };
        let number = |text: &str| if text.is_empty() { Ok(None) } else { text.parse::<u64>().map(Some) };
        match (number(from.trim()), number(to.trim())) {
            (Ok(Some(from)), Ok(to)) if to.is_none_or(|to| to >= from) => {
                if from >= length {
                    return Range::Beyond;
                }
                Range::Part(from, to.unwrap_or(u64::MAX).min(length - 1))
            }
            (Ok(None), Ok(Some(last))) => match last.min(length) {
                0 => Range::Beyond,
                last => Range::Part(length - last, length - 1),
            },
            _ => Range::Whole,
        }
    }
}

/// Refuses references to files that the tenant does not have. The first tenant is that of the folder: what its owner put
/// there without the server counts too.
pub fn check(app: &App, tenant: TenantId, input: &Value) -> Result<(), Problem> {
    let mut references = Vec::new();
    gather(input, &mut references);
    if references.len() > REFERENCES_MAX {
        return Err(Problem::unprocessable(format!("input: at most {REFERENCES_MAX} files can be referred to")));
    }
    for reference in references {
        let own = hash(reference).is_some_and(|sha256| {
            let given = app.engine().reader().artifact(tenant, sha256).is_ok_and(|row| row.is_some());
            given || (tenant == TenantId::DEFAULT && app.kapelle.files().path(sha256).is_some())
        });
        if !own {
            let shown: String = reference.chars().take(80).collect();
            let detail = format!("input: there is no file `{shown}`: POST /api/v1/artifacts takes its bytes first");
            return Err(Problem::unprocessable(detail));
        }
    }
    Ok(())
}

fn gather<'v>(value: &'v Value, references: &mut Vec<&'v str>) {
    match value {
        Value::Object(map) => {
            references.extend(map.get("$file").and_then(Value::as_str));
            map.values().for_each(|value| gather(value, references));
        }
        Value::Array(items) => items.iter().for_each(|value| gather(value, references)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_read_and_anything_else_is_the_whole() {
        for (text, expected) in [
            ("bytes=0-3", Range::Part(0, 3)),
            ("bytes=4-", Range::Part(4, 9)),
            ("bytes=4-99", Range::Part(4, 9)),
            ("bytes=-3", Range::Part(7, 9)),
            ("bytes=-99", Range::Part(0, 9)),
            ("bytes=10-", Range::Beyond),
            ("bytes=-0", Range::Beyond),
            ("bytes=5-4", Range::Whole),
            ("bytes=0-1,3-4", Range::Whole),
            ("items=0-1", Range::Whole),
            ("bytes=", Range::Whole),
            ("bytes=-", Range::Whole),
        ] {
            assert_eq!(Range::of(text, 10), expected, "{text}");
        }
        assert_eq!(Range::of("bytes=0-", 0), Range::Beyond);
    }

    #[test]
    fn references_are_found_at_any_depth() {
        let value =
            serde_json::json!({ "a": [{ "$file": "x" }, 1], "b": { "c": { "$file": "y", "d": { "$file": 3 } } } });
        let mut found = Vec::new();
        gather(&value, &mut found);
        assert_eq!(found, ["x", "y"]);
    }
}
