//! The files of the web console.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;

use crate::{call::Call, problem::Problem, route::Answer};

/// The policy of the console: its own files alone, no code or style in the page, and text never becomes HTML.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
    connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'";
/// A file whose name changes with its content.
const FOR_GOOD: &str = "public, max-age=31536000, immutable";
/// Everything else is asked for each time.
const EACH_TIME: &str = "no-cache";

/// `GET /`
pub async fn home(_call: Call) -> Answer {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::FOUND;
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/ui/"));
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    Ok(response)
}

/// `GET /ui/{*path}`
pub async fn file(call: Call) -> Answer {
    let path = call.param("path");
    let file = kapelle_ui::find(path, takes_gzip(&call.parts.headers))
        .ok_or_else(|| Problem::not_found(format!("the file {}", path.chars().take(200).collect::<String>())))?;
    let mut response = Response::new(Body::from(Bytes::from_static(file.bytes)));
    let headers = response.headers_mut();
    let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_TYPE, file.media_type);
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::CACHE_CONTROL, if file.is_immutable { FOR_GOOD } else { EACH_TIME });
    set(header::VARY, "accept-encoding");
    if file.gzip {
        set(header::CONTENT_ENCODING, "gzip");
    }
    Ok(response)
}

/// Says whether the client takes gzip. A weight of 0 means that it does not.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let weight = parts.find_map(|part| part.strip_prefix("q=")).and_then(|text| text.parse::<f32>().ok());
        is_gzip && weight.is_none_or(|weight| weight > 0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_only_to_clients_that_take_it() {
        let takes = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_str(text).unwrap());
            takes_gzip(&headers)
        };
        assert!(takes("gzip") && takes("br, GZIP;q=0.5, deflate"));
        assert!(!takes("br") && !takes("gzip;q=0") && !takes_gzip(&HeaderMap::new()));
    }
}
