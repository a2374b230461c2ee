//! A long list that stays JSON text: an item is parsed when it is read. The outputs of a fan-out over a hundred
//! thousand items then take the memory of their text, and not ten times as much.

use std::sync::Arc;

use minijinja::{
    Error, ErrorKind, Value,
    value::{Enumerator, Object, ObjectRepr},
};
use serde_json::value::RawValue;

use super::json::from_json;

/// Shorter texts are parsed at once, in bytes: reading their items often is then cheaper.
const FROM_BYTES: usize = 256 << 10;

/// Items as JSON text.
#[derive(Debug)]
struct Lazy {
    text: Arc<[u8]>,
    /// Start and end of each item.
    places: Vec<(u32, u32)>,
}

/// Returns the list if the text is a long one. Returns `None` when it is to be parsed as a whole.
pub(super) fn list(text: &[u8]) -> Option<Value> {
    let long = text.len() >= FROM_BYTES && u32::try_from(text.len()).is_ok();
    if !long || text.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'[') {
        return None;
    }
    // The usual parser reports text that is not JSON.
    let items: Vec<&RawValue> = serde_json::from_slice(text).ok()?;
    let place = |item: &&RawValue| {
        let start = item.get().as_ptr().addr().checked_sub(text.as_ptr().addr())?;
        Some((u32::try_from(start).ok()?, u32::try_from(start + item.get().len()).ok()?))
    };
    let places = items.iter().map(place).collect::<Option<Vec<_>>>()?;
    Some(Value::from_object(Lazy { text: Arc::from(text), places }))
}

impl Object for Lazy {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let (from, to) = *self.places.get(key.as_usize()?)?;
        let item = self.text.get(from as usize..to as usize)?;
        Some(match serde_json::from_slice(item) {
            Ok(json) => from_json(&json),
            // Nested too deeply: the usual parser refuses the whole text, this one refuses the item when it is read.
            Err(error) => Value::from(Error::new(ErrorKind::BadSerialization, format!("an item is not JSON: {error}"))),
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.places.len())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::expr::{Context, Expression, Shared};

    fn long() -> Json {
        let item = |n: u64| match n % 4 {
            0 => json!({ "n": n, "text": "ä, \"b\" ] }", "list": [n, [n]] }),
            1 => json!(n),
            2 => json!("x".repeat((n % 50) as usize)),
            _ => Json::Null,
        };
        (0..20_000).map(item).collect()
    }

    #[test]
    fn a_long_list_is_what_it_would_be_if_it_were_read_at_once() {
        let json = long();
        for text in [json.to_string(), format!(" \n{json:#}")] {
            assert!(list(text.as_bytes()).is_some(), "it is long enough");
            let (lazy, read) = (Shared::from_json_bytes(text.as_bytes()).unwrap(), Shared::from_json(&json));
            assert_eq!((lazy.len(), lazy.is_list()), (read.len(), true));
            for at in [0, 1, 2, 3, 19_999] {
                assert_eq!(lazy.item(at).unwrap().to_json().unwrap(), json[at]);
            }
            assert!(lazy.item(20_000).is_none());
            let look = |list: Shared, expression: &str| {
                Expression::compile(expression).unwrap().eval(&Context::new().with("list", list)).unwrap()
            };
            for expression in [
                "list | length",
                "list[8].n + list[-3]",
                "list[4:7]",
                "list | first == list[0]",
                "2 in list",
                "(list | last) is none",
            ] {
                assert_eq!(look(lazy.clone(), expression), look(read.clone(), expression), "{expression}");
            }
            assert_eq!(lazy.to_json().unwrap(), json);
        }
    }

    #[test]
    fn what_is_not_a_long_list_is_left_to_the_usual_way() {
        assert!(list(b"[1, 2]").is_none(), "short");
        let wide = "1,".repeat(200_000);
        assert!(list(format!("[{wide}]").as_bytes()).is_none(), "not JSON");
        assert!(Shared::from_json_bytes(format!("[{wide}]").as_bytes()).is_err());
        assert!(list(format!("{{\"a\": [{wide}1]}}").as_bytes()).is_none(), "a map");
    }

    #[test]
    fn an_item_that_cannot_be_read_is_an_error_of_who_looks() {
        let deep = format!("[{}{}, {}1]", "[".repeat(500), "]".repeat(500), "1,".repeat(200_000));
        let list = Shared::from_json_bytes(deep.as_bytes()).unwrap();
        let context = Context::new().with("list", list);
        assert_eq!(Expression::compile("list[1]").unwrap().eval(&context).unwrap(), json!(1));
        assert!(Expression::compile("list[0]").unwrap().eval(&context).is_err());
    }
}
