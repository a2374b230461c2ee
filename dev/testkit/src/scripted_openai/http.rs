//! The part of HTTP/1.1 that the double needs: one request with a length, one answer, the connection kept.

use std::io;

use tokio::{io::AsyncReadExt, net::TcpStream};

/// One request.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

const REQUEST_MAX: usize = 64 << 20;

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Reads the next request of a connection. Returns `None` when the other side closed it. `buffer` keeps bytes that came
/// too early.
pub(crate) async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let bad = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    loop {
        if let Some((head, mut request)) = parse(buffer)? {
            let length = request.header("content-length").and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
            if length > REQUEST_MAX {
                return Err(bad("the request is too large"));
            }
            while buffer.len() < head + length {
                if stream.read_buf(buffer).await? == 0 {
                    return Ok(None);
                }
            }
            request.body = buffer[head..head + length].to_vec();
            buffer.drain(..head + length);
            return Ok(Some(request));
        }
        if buffer.len() > 1 << 20 {
            return Err(bad("the head of the request is too large"));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

fn parse(buffer: &[u8]) -> io::Result<Option<(usize, Request)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    let status = parsed.parse(buffer).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
    let httparse::Status::Complete(head) = status else { return Ok(None) };
    let pair = |h: &httparse::Header<'_>| (h.name.to_lowercase(), String::from_utf8_lossy(h.value).into_owned());
    let request = Request {
        method: parsed.method.unwrap_or("").to_owned(),
        path: parsed.path.unwrap_or("").to_owned(),
        headers: parsed.headers.iter().map(pair).collect(),
        body: Vec::new(),
    };
    Ok(Some((head, request)))
}

/// Builds the head of an answer. Without a length the body is chunked.
pub(crate) fn head(status: u16, headers: &[(String, String)], length: Option<usize>) -> String {
    let mut text = format!("HTTP/1.1 {status} Scripted\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    match length {
        Some(length) => text.push_str(&format!("content-length: {length}\r\n\r\n")),
        None => text.push_str("transfer-encoding: chunked\r\n\r\n"),
    }
    text
}
