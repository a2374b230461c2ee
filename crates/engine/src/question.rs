//! Cache keys of tasks whose answers may be reused.

use kapelle_core::{
    cache::{CacheKey, CacheRule, Cacheable},
    worker::WorkerSpec,
};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Computes the cache key of an input for a worker, if its answer may be reused. The key is the hash of the worker's
/// whole specification, which includes its version, and of the input with the keys of its objects in order. The time
/// grows with the input, so it is computed where the input is made, never on the loop.
#[must_use]
pub fn cacheable(spec: &WorkerSpec, rule: Option<CacheRule>, input: &Value) -> Option<Cacheable> {
    let rule = rule.or(spec.cache)?;
    // Slots and retry rules do not change answers, but they change so rarely that a miss then costs little.
    let spec = serde_json::to_vec(spec).ok()?;
    let mut hash = Sha256::new();
    hash.update((spec.len() as u64).to_le_bytes());
    hash.update(&spec);
    canonical(input, &mut hash);
    Some(Cacheable { key: CacheKey(hash.finalize().into()), rule })
}

fn canonical(value: &Value, hash: &mut Sha256) {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort_unstable();
            hash.update(b"{");
            hash.update((names.len() as u64).to_le_bytes());
            for name in names {
                canonical(&Value::String(name.clone()), hash);
                canonical(&fields[name], hash);
            }
        }
        Value::Array(items) => {
            hash.update(b"[");
            hash.update((items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| canonical(item, hash));
        }
        other => {
            let text = other.to_string();
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key(spec: &WorkerSpec, input: &Value) -> CacheKey {
        cacheable(spec, Some(CacheRule::default()), input).unwrap().key
    }

    #[test]
    fn the_order_of_keys_does_not_matter_and_everything_else_does() {
        let spec = WorkerSpec::named("w");
        let base = key(&spec, &json!({ "a": 1, "b": [1, 2] }));
        let swapped: Value = serde_json::from_str(r#"{ "b": [1, 2], "a": 1 }"#).unwrap();
        assert_eq!(base, key(&spec, &swapped));
        for other in [json!({ "a": 1, "b": [2, 1] }), json!({ "a": "1", "b": [1, 2] }), json!({ "a": 1 }), json!(null)]
        {
            assert_ne!(base, key(&spec, &other), "{other}");
        }
        let newer = WorkerSpec { version: "2".to_owned(), ..spec };
        assert_ne!(base, key(&newer, &swapped));
        assert!(cacheable(&newer, None, &swapped).is_none(), "a worker that does not say so is not cached");
    }
}
