//! Files: uploaded once, stored under their hash, and readable only by tenants that uploaded them.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use kapelle_app::StoredFile;
use serde::Deserialize;

use crate::{
    call::{Call, json, ok},
    problem::Problem,
    route::Answer,
    transfer,
};

/// The query of an upload.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: Option<String>,
}

/// `POST /api/v1/artifacts`
pub async fn give(mut call: Call) -> Answer {
    let given: Named = call.query()?;
    let name = call.app.file_name(&call.who, given.name)?;
    let media_type = media_type(&call.parts.headers)?;
    let stream = call.stream.get_mut().ok().and_then(Option::take);
    let stream = stream.ok_or_else(|| Problem::internal("the body has been read already"))?;
    let bytes = transfer::take(&call, stream).await?;
    let artifact = call.app.give(&call.who, (name, media_type), bytes).await?;
    let mut response = json(StatusCode::CREATED, &artifact)?;
    if let Ok(place) = HeaderValue::from_str(&format!("/api/v1/artifacts/{}", artifact.file)) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

fn media_type(headers: &HeaderMap) -> Result<String, Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok("application/octet-stream".to_owned()) };
    let text = value.to_str().ok().filter(|text| text.len() <= 200 && text.contains('/'));
    text.map(str::to_owned).ok_or_else(|| Problem::invalid("Content-Type: a media type such as text/plain is expected"))
}

/// `GET /api/v1/artifacts`
pub async fn list(call: Call) -> Answer {
    ok(&call.app.artifacts(&call.who, call.query()?).await?)
}

/// `GET /api/v1/artifacts/{id}`
pub async fn get(call: Call) -> Answer {
    send(&call, &call.app.artifact(&call.who, call.param("id"))?)
}

/// `GET /api/v1/files/{id}`: as `/api/v1/artifacts/{id}`, for worker hosts.
pub async fn fetch(call: Call) -> Answer {
    send(&call, &call.app.file_for_host(&call.who, call.param("id"))?)
}

fn send(call: &Call, file: &StoredFile) -> Answer {
    let StoredFile { artifact, sha256, path } = file;
    let tag = format!("\"{sha256}\"");
    let headers = &call.parts.headers;
    let mut response = if known(headers, &tag) {
        status(StatusCode::NOT_MODIFIED)
    } else {
        // A range of another version of the file would be useless; a file has only one version.
        let fresh = headers.get(header::IF_RANGE).is_none_or(|value| value.as_bytes() == tag.as_bytes());
        let range = headers.get(header::RANGE).filter(|_| fresh).and_then(|value| value.to_str().ok());
        match range.map_or(Range::Whole, |range| Range::of(range, artifact.size)) {
            Range::Whole => transfer::give(call, path.clone(), 0, artifact.size, StatusCode::OK)?,
            Range::Part(from, to) => {
                let mut response =
                    transfer::give(call, path.clone(), from, to - from + 1, StatusCode::PARTIAL_CONTENT)?;
                insert(&mut response, header::CONTENT_RANGE, &format!("bytes {from}-{to}/{}", artifact.size));
                response
            }
            Range::Beyond => {
                let mut response = status(StatusCode::RANGE_NOT_SATISFIABLE);
                insert(&mut response, header::CONTENT_RANGE, &format!("bytes */{}", artifact.size));
                response
            }
        }
    };
    insert(&mut response, header::ETAG, &tag);
    insert(&mut response, header::ACCEPT_RANGES, "bytes");
    insert(&mut response, header::CONTENT_TYPE, &artifact.media_type);
    // Never shown in place: it may be a page with scripts.
    insert(
        &mut response,
        header::CONTENT_DISPOSITION,
        &format!("attachment; filename*=UTF-8''{}", percent(&artifact.name)),
    );
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

/// The requested byte range.
#[derive(Debug, PartialEq, Eq)]
enum Range {
    Whole,
    /// The first and the last byte, both included.
    Part(u64, u64),
    Beyond,
}

impl Range {
    /// Parses one range of bytes. Several ranges, or an invalid one, mean the whole file.
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
}
