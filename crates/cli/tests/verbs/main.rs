//! The real binary, verb by verb: its output, its files, and its exit code.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as it should be")]

#[cfg(target_os = "linux")]
mod blocks;
mod borrowed;
#[cfg(target_os = "linux")]
mod canaries;
mod config;
mod control;
mod dead;
mod doctor;
mod each;
mod estimates;
mod faces;
mod faces_python;
mod general;
mod help;
mod host;
mod init;
mod inspection;
mod knowledge;
#[cfg(target_os = "linux")]
mod lent;
#[cfg(unix)]
mod links;
mod logs;
mod man;
mod model;
mod money;
mod moved;
#[cfg(target_os = "linux")]
mod operating;
#[cfg(target_os = "linux")]
mod parked;
mod place;
#[cfg(target_os = "linux")]
mod private;
mod queues;
mod receiver;
mod recorded;
#[cfg(target_os = "linux")]
mod replay;
mod resume;
mod run;
mod runs;
#[cfg(target_os = "linux")]
mod samples;
#[cfg(unix)]
mod schedules;
#[cfg(target_os = "linux")]
mod scripts;
mod serve;
mod session;
mod status;
mod submit;
mod subscriptions;
#[cfg(target_os = "linux")]
mod supervised;
mod tasks;
mod templates;
mod texts;
mod top;
mod trail;
mod version;
mod workers;
mod workflows;
