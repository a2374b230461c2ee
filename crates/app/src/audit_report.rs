//! A report on the audit trail: acts by actor, anomalies, and a review of the keys.

use std::collections::BTreeMap;

use kapelle_api as api;
use serde_json::{Value, json};

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;
/// Actions that take something away: many at once are an anomaly.
const ENDING: [&str; 6] =
    ["task.cancel", "run.cancel", "dead.discard", "workflow.delete", "worker.forget", "key.revoke"];
/// Anomalies and findings that a report names.
const NAMED_MAX: usize = 200;

/// Limits beyond which acts are anomalies.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// Minutes of the day, in local time, at which the night begins and ends; equal for no night.
    pub(crate) night: (u32, u32),
    /// Minutes from UTC to local time.
    pub(crate) offset: i64,
    /// Ending acts of one actor within `within_ms` that are too many.
    pub(crate) many: usize,
    pub(crate) within_ms: i64,
    /// Days without an act after which a key is worth a look.
    pub(crate) unused_days: i64,
}

/// The trail and the keys of one tenant.
pub(crate) struct Evidence {
    /// Acts within the period, oldest first, each with its time.
    pub(crate) acts: Vec<(i64, api::AuditEntry)>,
    pub(crate) keys: Vec<api::Key>,
    /// The faults of the chain of hashes; `None` when it was not checked.
    pub(crate) faults: Option<Vec<String>>,
    pub(crate) since: i64,
    pub(crate) until: i64,
    /// Whether all acts of the period are there.
    pub(crate) complete: bool,
}

/// Makes the report.
pub(crate) fn report(evidence: &Evidence, rules: &Rules) -> Value {
    let (actors, actions) = by_actor(evidence);
    let anomalies = anomalies(evidence, rules);
    let access = access(evidence, rules);
    let mut report = json!({
        "period": { "since": time(evidence.since), "until": time(evidence.until) },
        "acts": evidence.acts.len(),
        "complete": evidence.complete,
        "chain": match &evidence.faults {
            Some(faults) => json!({ "ok": faults.is_empty(), "faults": faults }),
            None => Value::Null,
        },
        "actors": actors,
        "actions": actions,
        "anomalies": anomalies,
        "access": access,
    });
    report["markdown"] = json!(markdown(&report));
    report
}

fn time(ms: i64) -> String {
    crate::to_api::time(kapelle_core::Timestamp(ms))
}

fn name_of<'a>(keys: &'a [api::Key], actor: &str) -> Option<&'a api::Key> {
    keys.iter().find(|key| key.id == actor)
}

fn by_actor(evidence: &Evidence) -> (Vec<Value>, BTreeMap<&str, usize>) {
    let mut actions: BTreeMap<&str, usize> = BTreeMap::new();
    let mut actors: BTreeMap<&str, (i64, i64, BTreeMap<&str, usize>)> = BTreeMap::new();
    for (at, act) in &evidence.acts {
        *actions.entry(&act.action).or_default() += 1;
        let entry = actors.entry(&act.actor).or_insert_with(|| (*at, *at, BTreeMap::new()));
        entry.1 = *at;
        *entry.2.entry(&act.action).or_default() += 1;
    }
    let shown = actors.into_iter().map(|(actor, (first, last, of))| {
        let key = name_of(&evidence.keys, actor);
        json!({
            "actor": actor,
            "name": key.map(|key| key.name.as_str()),
            "role": key.map(|key| key.role.to_string()),
            "acts": of.values().sum::<usize>(),
            "first": time(first),
            "last": time(last),
            "actions": of,
        })
    });
    let mut shown: Vec<Value> = shown.collect();
    shown.sort_by_key(|actor| std::cmp::Reverse(actor["acts"].as_u64()));
    (shown, actions)
}

fn anomaly(kind: &str, at: i64, actor: &str, what: String) -> Value {
    json!({ "kind": kind, "at": time(at), "actor": actor, "what": what })
}

fn anomalies(evidence: &Evidence, rules: &Rules) -> Vec<Value> {
    let mut found = Vec::new();
    for fault in evidence.faults.iter().flatten() {
        found.push(anomaly("chain", evidence.until, "", format!("the trail is not intact: {fault}")));
    }
    for (at, act) in &evidence.acts {
        let what = match act.action.as_str() {
            "key.create" => format!("a new key: {}", act.resource),
            "token.rotate" => "the token of the folder was replaced".to_owned(),
            _ => continue,
        };
        let kind = if act.action == "key.create" { "new_key" } else { "token" };
        found.push(anomaly(kind, *at, &act.actor, what));
    }
    found.extend(at_night(evidence, rules));
    found.extend(in_masses(evidence, rules));
    found.sort_by_key(|anomaly| anomaly["at"].as_str().and_then(ms_of));
    found.truncate(NAMED_MAX);
    found
}

/// Acts at night, one anomaly for each actor and night.
fn at_night(evidence: &Evidence, rules: &Rules) -> Vec<Value> {
    let (begin, end) = rules.night;
    let mut nights: BTreeMap<(&str, i64), (i64, usize)> = BTreeMap::new();
    for (at, act) in &evidence.acts {
        let local = at + rules.offset * MINUTE_MS;
        let minute = u32::try_from(local.rem_euclid(DAY_MS) / MINUTE_MS).unwrap_or(0);
        let night = if begin <= end { (begin..end).contains(&minute) } else { minute >= begin || minute < end };
        if night {
            // A night that passes midnight is one night.
            let day = (local - i64::from(end) * MINUTE_MS).div_euclid(DAY_MS);
            nights.entry((&act.actor, day)).or_insert((*at, 0)).1 += 1;
        }
    }
    let shown = nights.into_iter().map(|((actor, _), (first, count))| {
        anomaly("night", first, actor, format!("{count} acts in the night, the first at this time"))
    });
    shown.collect()
}

/// Many ending acts of one actor in a short time, one anomaly for each burst.
fn in_masses(evidence: &Evidence, rules: &Rules) -> Vec<Value> {
    let mut by_actor: BTreeMap<(&str, &str), Vec<i64>> = BTreeMap::new();
    for (at, act) in evidence.acts.iter().filter(|(_, act)| ENDING.contains(&act.action.as_str())) {
        by_actor.entry((&act.actor, &act.action)).or_default().push(*at);
    }
    let mut found = Vec::new();
    for ((actor, action), times) in by_actor {
        let mut at = 0;
        while at < times.len() {
            let within = times[at..].iter().take_while(|time| **time - times[at] <= rules.within_ms).count();
            if within >= rules.many {
                let minutes = rules.within_ms / MINUTE_MS;
                let what = format!("{within} times {action} within {minutes} minutes, the first at this time");
                found.push(anomaly("mass", times[at], actor, what));
                at += within;
            } else {
                at += 1;
            }
        }
    }
    found
}

/// Every valid key, with what is worth a look.
fn access(evidence: &Evidence, rules: &Rules) -> Value {
    let (mut keys, mut findings) = (Vec::new(), Vec::new());
    for key in evidence.keys.iter().filter(|key| key.revoked_at.is_none()) {
        let before = |text: &str, ms: i64| ms_of(text).is_some_and(|at| at < ms);
        let expired = key.expires_at.as_ref().is_some_and(|at| before(at, evidence.until));
        if expired {
            continue;
        }
        let last = evidence.acts.iter().rev().find(|(_, act)| act.actor == key.id).map(|(at, _)| *at);
        let old = before(&key.created_at, evidence.until - rules.unused_days * DAY_MS);
        let mut told = |finding: &str| findings.push(json!({ "key": key.id, "name": key.name, "finding": finding }));
        if key.role == api::Role::Admin && key.expires_at.is_none() {
            told("an admin key that never expires; `kapelle keys create --expires` makes one that does");
        }
        let acts_by_right = matches!(key.role, api::Role::Admin | api::Role::Operator);
        if acts_by_right && old && last.is_none() && evidence.until - evidence.since >= rules.unused_days * DAY_MS {
            told("it made no administrative act in the period; revoke it, or give it a smaller role");
        }
        keys.push(json!({
            "key": key.id, "name": key.name, "role": key.role, "created_at": key.created_at,
            "expires_at": key.expires_at, "last_act": last.map(time),
        }));
    }
    findings.truncate(NAMED_MAX);
    json!({ "keys": keys, "findings": findings })
}

pub(crate) fn ms_of(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

fn markdown(report: &Value) -> String {
    let text = |value: &Value| {
        let plain = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        // A name comes from a user: it must not end a row or begin another element.
        let mut shown = String::new();
        for c in plain.chars().map(|c| if c.is_control() { ' ' } else { c }) {
            if matches!(c, '|' | '<' | '>' | '[' | ']' | '`' | '*' | '_' | '\\') {
                shown.push('\\');
            }
            shown.push(c);
        }
        if value.is_null() { "-".to_owned() } else { shown }
    };
    let mut lines = vec![
        "# Audit".to_owned(),
        String::new(),
        format!(
            "From {} to {}: {} acts.",
            text(&report["period"]["since"]),
            text(&report["period"]["until"]),
            report["acts"]
        ),
    ];
    if report["complete"] == false {
        lines.push("The period holds more acts than one report reads; these are the newest.".to_owned());
    }
    lines.push(match report["chain"]["ok"].as_bool() {
        Some(true) => "The chain of hashes is intact.".to_owned(),
        Some(false) => "**The chain of hashes is broken.**".to_owned(),
        None => "The chain of hashes was not checked.".to_owned(),
    });
    let mut table = |title: &str, empty: &str, heads: &[&str], rows: &Value, fields: &[&str]| {
        lines.extend([String::new(), format!("## {title}"), String::new()]);
        let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
        if rows.is_empty() {
            lines.push(empty.to_owned());
            return;
        }
        lines.push(format!("| {} |", heads.join(" | ")));
        lines.push(format!("|{}", "---|".repeat(heads.len())));
        for row in rows {
            let cells: Vec<String> = fields.iter().map(|field| text(&row[*field])).collect();
            lines.push(format!("| {} |", cells.join(" | ")));
        }
    };
    let heads = ["actor", "name", "role", "acts", "first", "last"];
    table("Acts by actor", "Nobody acted.", &heads, &report["actors"], &heads);
    let fields = ["at", "kind", "actor", "what"];
    table("Anomalies", "Nothing unusual was found.", &fields, &report["anomalies"], &fields);
    let heads = ["key", "name", "role", "created", "expires", "last act"];
    let fields = ["key", "name", "role", "created_at", "expires_at", "last_act"];
    table("Valid keys", "The token of the folder is the only valid key.", &heads, &report["access"]["keys"], &fields);
    let fields = ["key", "name", "finding"];
    table("Findings", "No key needs a look.", &fields, &report["access"]["findings"], &fields);
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-12-01, 12:00 UTC.
    const NOON: i64 = 1_796_126_400_000;

    fn act(at: i64, actor: &str, action: &str, resource: &str) -> (i64, api::AuditEntry) {
        let text = str::to_owned;
        let entry = api::AuditEntry {
            seq: 1,
            at: time(at),
            tenant: 1,
            actor: text(actor),
            action: text(action),
            resource: text(resource),
            hash: String::new(),
        };
        (at, entry)
    }

    fn key(id: &str, role: api::Role, created: i64, expires: Option<i64>) -> api::Key {
        api::Key {
            id: id.to_owned(),
            name: format!("name of {id} | <b>"),
            role,
            tenant: 1,
            created_at: time(created),
            expires_at: expires.map(time),
            revoked_at: None,
            workers: None,
            queues: None,
            ask: false,
            approve: false,
            submit: false,
        }
    }

    fn rules() -> Rules {
        Rules { night: (22 * 60, 6 * 60), offset: 60, many: 3, within_ms: 10 * MINUTE_MS, unused_days: 90 }
    }

    fn evidence(acts: Vec<(i64, api::AuditEntry)>, keys: Vec<api::Key>) -> Evidence {
        let since = NOON - 100 * DAY_MS;
        Evidence { acts, keys, faults: Some(Vec::new()), since, until: NOON, complete: true }
    }

    fn kinds(report: &Value) -> Vec<&str> {
        report["anomalies"].as_array().unwrap().iter().map(|found| found["kind"].as_str().unwrap()).collect()
    }

    #[test]
    fn acts_are_counted_by_actor_and_unusual_ones_are_named() {
        let hour = 60 * MINUTE_MS;
        // 23:30 UTC is 00:30 local time, and 04:59 UTC the same night; 05:00 UTC is 6:00 and day.
        let night = NOON - 12 * hour - 30 * MINUTE_MS;
        let acts = vec![
            act(night, "key_a", "run.cancel", "run_1"),
            act(NOON - 7 * hour - MINUTE_MS, "key_a", "task.retry", "task_1"),
            act(NOON - 7 * hour, "key_a", "task.retry", "task_1"),
            act(NOON - 30 * MINUTE_MS, "token", "task.cancel", "task_1"),
            act(NOON - 25 * MINUTE_MS, "token", "task.cancel", "task_2"),
            act(NOON - 20 * MINUTE_MS, "token", "task.cancel", "task_3"),
            act(NOON - 2 * MINUTE_MS, "token", "task.cancel", "task_4"),
            act(NOON - MINUTE_MS, "token", "key.create", "key_b (admin)"),
        ];
        let keys = vec![key("key_a", api::Role::Operator, NOON - 200 * DAY_MS, None)];
        let report = report(&evidence(acts, keys), &rules());
        assert_eq!(kinds(&report), ["night", "mass", "new_key"], "{report}");
        assert_eq!(report["anomalies"][0]["what"], "2 acts in the night, the first at this time");
        assert!(report["anomalies"][1]["what"].as_str().unwrap().starts_with("3 times task.cancel within 10 minutes"));
        assert_eq!((&report["actors"][0]["actor"], &report["actors"][0]["acts"]), (&json!("token"), &json!(5)));
        assert_eq!(report["actions"]["task.cancel"], 4);
        let markdown = report["markdown"].as_str().unwrap();
        assert!(markdown.contains("| key\\_a | name of key\\_a \\| \\<b\\> | operator | 3 |"), "{markdown}");
        assert!(markdown.contains("The chain of hashes is intact."));
    }

    #[test]
    fn keys_are_reviewed_and_a_broken_chain_is_an_anomaly() {
        let keys = vec![
            key("key_old", api::Role::Operator, NOON - 95 * DAY_MS, None),
            key("key_new", api::Role::Operator, NOON - 5 * DAY_MS, None),
            key("key_admin", api::Role::Admin, NOON - 5 * DAY_MS, None),
            key("key_gone", api::Role::Admin, NOON - 95 * DAY_MS, Some(NOON - DAY_MS)),
        ];
        let mut evidence = evidence(Vec::new(), keys);
        evidence.faults = Some(vec!["entry 3 was changed".to_owned()]);
        evidence.complete = false;
        let report = report(&evidence, &rules());
        assert_eq!(kinds(&report), ["chain"]);
        let findings = report["access"]["findings"].as_array().unwrap();
        let named: Vec<&str> = findings.iter().map(|finding| finding["key"].as_str().unwrap()).collect();
        assert_eq!(named, ["key_old", "key_admin"]);
        assert_eq!(report["access"]["keys"].as_array().unwrap().len(), 3);
        let markdown = report["markdown"].as_str().unwrap();
        assert!(markdown.contains("**The chain of hashes is broken.**") && markdown.contains("Nobody acted."));
    }
}
