//! The well-behaved tenant: a few requests of every kind, one after the other, each timed.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    http::Http,
    place::{now, pause},
    stage::Stage,
};

/// Length of a window for the 99th percentile.
const WINDOW: Duration = Duration::from_millis(1_500);
/// Pause between two requests, in milliseconds: the tenant works steadily and leaves the processor to others most of
/// the time.
const PAUSE_MS: u64 = 8;

/// Durations of its requests, window by window.
#[derive(Default)]
pub struct Took {
    windows: Vec<Vec<Duration>>,
}

impl Took {
    /// Adds the windows of a later round.
    pub fn add(&mut self, later: Took) {
        self.windows.extend(later.windows);
    }

    fn of(&self, hundredth: usize) -> Duration {
        let mut each: Vec<Duration> =
            self.windows.iter().map(|window| window[(window.len() - 1) * hundredth / 100]).collect();
        each.sort_unstable();
        each[each.len() / 2]
    }

    /// Returns the 99th percentile of all, or of the median window when that is less: a moment in which another program
    /// had the processor does not count, a lasting delay does.
    pub fn p99(&self) -> Duration {
        let mut all: Vec<Duration> = self.windows.iter().flatten().copied().collect();
        all.sort_unstable();
        self.of(99).min(all[(all.len() - 1) * 99 / 100])
    }

    /// Says whether the server still answers.
    pub fn ends(stage: &Stage) -> bool {
        stage.place.http().get("/readyz").is_ok_and(|answer| answer.status == 200)
    }
}

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count: usize = self.windows.iter().map(Vec::len).sum();
        let worst = self.windows.iter().filter_map(|window| window.last()).max().copied().unwrap_or_default();
        let (half, p99) = (self.of(50), self.p99());
        write!(f, "{count} requests in {} windows, p50 {half:?}, p99 {p99:?}, worst {worst:?}", self.windows.len())
    }
}

/// The well-behaved tenant.
pub struct Good {
    http: Http,
    took: Vec<(Instant, Duration)>,
    tasks: Vec<String>,
    calls: u64,
    asked: usize,
}

impl Good {
    pub fn new(stage: &Stage) -> Good {
        let http = Http::new(stage.place.address, Arc::clone(&stage.good));
        Good { http, took: Vec::new(), tasks: Vec::new(), calls: 0, asked: 0 }
    }

    /// Works until then.
    pub fn work(&mut self, until: Instant) {
        while now() < until {
            let begun = now();
            self.ask();
            self.took.push((begun, begun.elapsed()));
            pause(PAUSE_MS);
        }
    }

    fn ask(&mut self) {
        self.asked += 1;
        let Good { http, asked, .. } = self;
        match *asked % 8 {
            0 => drop(http.get("/api/v1/tasks").unwrap().json(200)),
            1 => drop(http.get("/api/v1/runs").unwrap().json(200)),
            2 => drop(http.get("/readyz").unwrap().json(200)),
            3 => {
                let text = format!("file {asked}");
                let file = http.ask("POST", "/api/v1/artifacts", "", &Value::from(text.as_str())).unwrap().json(201);
                let path = format!("/api/v1/artifacts/{}", file["$file"].as_str().unwrap());
                assert_eq!(http.get(&path).unwrap().body, Value::from(text).to_string().as_bytes());
            }
            4 => {
                let chat =
                    json!({ "model": "fast", "max_tokens": 100, "messages": [{ "role": "user", "content": "hi" }] });
                let said = http.post("/v1/chat/completions", &chat).unwrap().json(200);
                assert_eq!(said["choices"][0]["message"]["content"], "hello");
                self.calls += 1;
            }
            5 => drop(http.get("/api/v1/workers").unwrap().json(200)),
            _ => {
                let body = json!({ "worker": "log", "input": { "message": format!("good {asked}") } });
                let done = http.post("/api/v1/tasks?wait_ms=20000", &body).unwrap().json(201);
                assert_eq!(done["state"], "succeeded", "{done}");
                self.tasks.push(done["id"].as_str().unwrap().to_owned());
            }
        }
    }

    /// Forgets all durations so far.
    pub fn forget(&mut self) {
        self.took.clear();
    }

    /// Returns the durations of requests since the last call.
    pub fn took(&mut self) -> Took {
        let all = std::mem::take(&mut self.took);
        let begun = all.first().unwrap().0;
        let mut windows: Vec<Vec<Duration>> = Vec::new();
        for (at, took) in all {
            let number = usize::try_from(at.duration_since(begun).as_millis() / WINDOW.as_millis()).unwrap();
            // A request longer than a window leaves some windows empty.
            windows.resize_with(windows.len().max(number + 1), Vec::new);
            windows[number].push(took);
        }
        windows.retain(|window| !window.is_empty());
        windows.iter_mut().for_each(|window| window.sort_unstable());
        Took { windows }
    }

    /// Returns how many model calls it made.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// Checks that its tasks ended with their own answers, in one attempt each.
    pub fn has_what_is_its_own(&mut self) {
        let tasks = std::mem::take(&mut self.tasks);
        assert!(tasks.len() > 10, "{}", tasks.len());
        for id in tasks.iter().rev().take(300) {
            let task = self.http.get(&format!("/api/v1/tasks/{id}")).unwrap().json(200);
            assert_eq!((&task["state"], &task["attempt"]), (&json!("succeeded"), &json!(1)), "{task}");
            assert!(!task.to_string().contains("forged"), "{task}");
        }
    }
}
