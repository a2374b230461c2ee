//! Clients that submit, look, wait and cancel while the server is killed under them, and record what they saw.

use std::sync::atomic::{AtomicBool, Ordering};

use kapelle_testkit::rng::Rng;
use serde_json::{Value, json};

use crate::{
    history::{Look, Span, What},
    http::{Answer, Http},
    place::{micros, pause},
};

/// The most open tasks of one client.
const OPEN_MAX: usize = 24;

/// A client.
pub struct Client {
    http: Http,
    chance: Rng,
    number: u64,
    submitted: u64,
    open: Vec<String>,
    /// Its observations, by task.
    pub events: Vec<(String, Span, What)>,
    /// Answers that a correct server never gives.
    pub faults: Vec<String>,
}

impl Client {
    pub fn new(http: Http, number: u64, chance: Rng) -> Client {
        Client { http, chance, number, submitted: 0, open: Vec::new(), events: Vec::new(), faults: Vec::new() }
    }

    /// Works until told to stop; submissions that have begun are completed.
    pub fn until(mut self, stop: &AtomicBool) -> Client {
        while !stop.load(Ordering::Relaxed) {
            if self.open.len() >= OPEN_MAX {
                let oldest = self.open.remove(0);
                // A running task may belong to a host that never received it, and wait for the end of a lease.
                if self.look(&oldest, 50).is_none_or(|look| !look.ended() && look.state != "running") {
                    self.open.push(oldest);
                }
                continue;
            }
            match self.chance.below(10) {
                0..=4 => self.submit(1),
                5 => {
                    let many = 2 + self.chance.below(8);
                    self.submit(many);
                }
                6 => self.cancel(),
                _ if self.open.is_empty() => {}
                _ => {
                    let at = usize::try_from(self.chance.below(self.open.len() as u64)).unwrap();
                    let task = self.open[at].clone();
                    let wait = if self.chance.once_in(3) { 50 } else { 0 };
                    self.look(&task, wait);
                }
            }
        }
        self
    }

    fn ask(&mut self, method: &str, path: &str, more: &str, body: &Value) -> (Span, Option<Answer>) {
        let sent = micros();
        let answer = self.http.ask(method, path, more, body).ok();
        let span = Span { sent, got: micros() };
        if let Some(answer) = answer.as_ref().filter(|answer| answer.status >= 500) {
            self.faults.push(format!("{method} {path}: {} {}", answer.status, String::from_utf8_lossy(&answer.body)));
        }
        if answer.is_none() {
            pause(5);
        }
        (span, answer.filter(|answer| answer.status < 500))
    }

    fn task(&mut self) -> Value {
        self.submitted += 1;
        let n = self.number * 1_000_000 + self.submitted;
        let retry = json!({ "max_attempts": 8, "delay_ms": 5, "jitter": "none" });
        match self.chance.below(8) {
            0 => json!({ "worker": "far", "input": { "text": format!("room {n} needs light") } }),
            1 => json!({ "worker": "log", "input": { "message": n } }),
            _ => {
                let mut input = json!({ "n": n, "ms": self.chance.below(20) });
                if self.chance.once_in(20) {
                    input["fail"] = json!(1);
                } else if self.chance.once_in(20) {
                    input["release"] = json!(1);
                }
                json!({ "worker": "plain", "input": input, "retry": retry, "priority": self.chance.below(3) })
            }
        }
    }

    /// Submits until the server has acknowledged all, each time under the same key.
    fn submit(&mut self, many: u64) {
        let tasks: Vec<Value> = (0..many).map(|_| self.task()).collect();
        let key = format!("idempotency-key: c{}-{}\r\n", self.number, self.submitted);
        let (path, body) = if many == 1 {
            ("/api/v1/tasks", tasks[0].clone())
        } else {
            ("/api/v1/tasks/batch", json!({ "tasks": tasks }))
        };
        loop {
            let (span, answer) = self.ask("POST", path, &key, &body);
            let Some(answer) = answer else { continue };
            let told: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(answer.status, 201, "{told}");
            let ids = if many == 1 { vec![told["id"].clone()] } else { told["ids"].as_array().unwrap().clone() };
            assert_eq!(ids.len() as u64, many);
            for id in ids {
                let id = id.as_str().unwrap().to_owned();
                self.events.push((id.clone(), span, What::Submitted));
                self.open.push(id);
            }
            return;
        }
    }

    /// Looks at a task, waiting for its end for a while.
    pub fn look(&mut self, task: &str, wait_ms: u64) -> Option<Look> {
        let (span, answer) = self.ask("GET", &format!("/api/v1/tasks/{task}?wait_ms={wait_ms}"), "", &Value::Null);
        let answer = answer?;
        let look = match answer.status {
            404 => None,
            status => Some(Look::of(&answer.json(status.min(200)))),
        };
        if look.as_ref().is_some_and(Look::ended) {
            self.open.retain(|open| open != task);
        }
        self.events.push((task.to_owned(), span, What::Seen(look.clone())));
        look
    }

    fn cancel(&mut self) {
        if self.open.is_empty() || !self.chance.once_in(3) {
            return;
        }
        let at = usize::try_from(self.chance.below(self.open.len() as u64)).unwrap();
        let task = self.open[at].clone();
        let (span, answer) = self.ask("POST", &format!("/api/v1/tasks/{task}/cancel"), "", &json!({}));
        let done = answer.map(|answer| match answer.status {
            200 => true,
            409 => false,
            other => panic!("cancel: {other} {}", String::from_utf8_lossy(&answer.body)),
        });
        self.events.push((task, span, What::Cancelled(done)));
    }
}
