//! A small HTTP server that notes its requests. The path says how it answers.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

pub(crate) struct Server {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    pub(crate) hung: Arc<Notify>,
}

impl Server {
    pub(crate) async fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, seen, hung) = (listener.local_addr().unwrap().port(), Arc::default(), Arc::new(Notify::new()));
        let server = Server { port, seen: Arc::clone(&seen), hung: Arc::clone(&hung) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&seen), Arc::clone(&hung)));
            }
        });
        server
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Returns the requests so far, each with its headers and body.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Vec<String>>>, hung: Arc<Notify>) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4_096];
    let request = loop {
        let read = stream.read(&mut buffer).await.unwrap_or(0);
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            if read == 0 {
                return;
            }
            continue;
        };
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            break text;
        }
    };
    seen.lock().unwrap().push(request.clone());
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let (route, query) = path.split_once('?').unwrap_or((&path, ""));
    let answer = match route {
        "/json" => ok("application/json", r#"{"a":1}"#),
        "/echo" => ok("text/plain", &request),
        "/big" => ok("text/plain", &"x".repeat(200_000)),
        "/to" => format!("HTTP/1.1 302 Found\r\nLocation: {query}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        "/keep" => format!("HTTP/1.1 307 Moved\r\nLocation: {query}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        "/loop" => "HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
        "/hang" => {
            hung.notify_one();
            std::future::pending::<()>().await;
            return;
        }
        "/cut" => return,
        _ => {
            let status = route.trim_start_matches('/').parse().unwrap_or(200);
            format!("HTTP/1.1 {status} X\r\nRetry-After: 7\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody")
        }
    };
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn ok(media_type: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}
