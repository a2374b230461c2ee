//! A receiver of events: a small HTTP server that answers as its path says, and remembers what it got.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

use serde_json::Value;

/// A request that was received.
#[derive(Debug, Clone)]
pub struct Received {
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Received {
    /// Returns the event.
    pub fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

type Memory = Arc<(Mutex<Vec<Received>>, Condvar)>;

/// The receiver. Paths: `/ok`, `/fails-once`, `/fails`, `/gone`, `/hang`, `/away` (redirects to `/ok`).
pub struct Receiver {
    pub address: String,
    memory: Memory,
}

impl Receiver {
    pub fn start() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let memory = Memory::default();
        let (shared, own) = (Arc::clone(&memory), address.clone());
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (memory, own) = (Arc::clone(&shared), own.clone());
                thread::spawn(move || while serve(&stream, &memory, &own).is_some() {});
            }
        });
        Receiver { address, memory }
    }

    /// Returns everything that was received on a path.
    pub fn on(&self, path: &str) -> Vec<Received> {
        self.memory.0.lock().unwrap().iter().filter(|got| got.path == path).cloned().collect()
    }

    /// Waits until something is true of what was received on a path, at most 60 s.
    pub fn wait(&self, path: &str, enough: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let (list, changed) = &*self.memory;
        let on = |list: &Vec<Received>| list.iter().filter(|got| got.path == path).cloned().collect::<Vec<_>>();
        let mut guard = list.lock().unwrap();
        while !enough(&on(&guard)) {
            let (next, waited) = changed.wait_timeout(guard, Duration::from_secs(60)).unwrap();
            assert!(!waited.timed_out(), "{path}: only {} requests came", on(&next).len());
            guard = next;
        }
        on(&guard)
    }
}

fn serve(stream: &TcpStream, memory: &Memory, own: &str) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).ok()?;
    let first = {
        let mut list = memory.0.lock().unwrap();
        let first = !list.iter().any(|got| got.path == path);
        list.push(Received { path: path.clone(), headers, body });
        memory.1.notify_all();
        first
    };
    let answer = match path.as_str() {
        // The connection stays open and silent until the other side gives up.
        "/hang" => {
            return stream.try_clone().ok().and_then(|mut open| open.read_to_end(&mut Vec::new()).ok()).and(None);
        }
        "/fails-once" if first => "500 Internal Server Error\r\nretry-after: 1".to_owned(),
        "/fails" => "500 Internal Server Error".to_owned(),
        "/gone" => "410 Gone".to_owned(),
        "/away" => format!("302 Found\r\nlocation: http://{own}/ok"),
        _ => "204 No Content".to_owned(),
    };
    let mut writer = stream;
    writer.write_all(format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n").as_bytes()).ok()
}
