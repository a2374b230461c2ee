//! Values that expressions are evaluated over, converted once and shared.

use std::{borrow::Cow, fmt, sync::Arc};

use minijinja::{
    Value,
    value::{DynObject, Enumerator, Object, ObjectRepr},
};
use serde_json::Value as Json;

use super::{
    error::{ExprError, ExprErrorKind},
    expression::explain,
    json, lazy,
};

/// A value in the engine's form. Building it walks the JSON once; cloning copies a pointer.
#[derive(Clone)]
pub struct Shared(pub(super) Value);

impl Shared {
    /// Converts a JSON value.
    #[must_use]
    pub fn from_json(value: &Json) -> Shared {
        Shared(json::from_json(value))
    }

    /// Reads JSON text. A long list is read only where it is used, and a fault of an item is then an error.
    ///
    /// # Errors
    /// When the bytes are not JSON, or nested deeper than 128.
    pub fn from_json_bytes(bytes: &[u8]) -> Result<Shared, ExprError> {
        if let Some(list) = lazy::list(bytes) {
            return Ok(Shared(list));
        }
        let parsed: Json = serde_json::from_slice(bytes)
            .map_err(|error| ExprError::new(ExprErrorKind::Type, format!("the value is not JSON: {error}")))?;
        Ok(Shared::from_json(&parsed))
    }

    /// Makes a map of shared values, such as the outputs of steps by name, without copying them.
    #[must_use]
    pub fn map<K: Into<Arc<str>>>(entries: impl IntoIterator<Item = (K, Shared)>) -> Shared {
        Shared(Value::from_pairs(entries.into_iter().map(|(key, value)| (Value::from(key.into()), value.0))))
    }

    /// Returns JSON `null`.
    #[must_use]
    pub fn null() -> Shared {
        Shared(Value::from(()))
    }

    /// Returns the number of items of a list or a map.
    #[must_use]
    pub fn len(&self) -> Option<usize> {
        if self.0.as_str().is_some() { None } else { self.0.len() }
    }

    /// Tells whether it is a list.
    #[must_use]
    pub fn is_list(&self) -> bool {
        matches!(self.0.kind(), minijinja::value::ValueKind::Seq | minijinja::value::ValueKind::Iterable)
    }

    /// Tells whether it is an empty list or map.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// Returns the item of a list at that index.
    #[must_use]
    pub fn item(&self, index: usize) -> Option<Shared> {
        self.0.get_item_by_index(index).ok().filter(|value| !value.is_undefined()).map(Shared)
    }

    /// Returns the value of a map under that key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Shared> {
        self.0.get_attr(key).ok().filter(|value| !value.is_undefined()).map(Shared)
    }

    /// Converts to JSON.
    ///
    /// # Errors
    /// When it is larger than [`super::RESULT_MAX`].
    pub fn to_json(&self) -> Result<Json, ExprError> {
        json::to_json(&self.0).map_err(|error| explain(&error))
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shared({})", self.0.kind())
    }
}

/// Names that an expression can use, and their values. Cloning copies a pointer.
#[derive(Clone, Debug, Default)]
pub struct Context(Arc<Roots>);

#[derive(Clone, Debug, Default)]
struct Roots(Vec<(Cow<'static, str>, Shared)>);

impl Object for Roots {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.0.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.iter().map(|(name, _)| Value::from(&**name)).collect())
    }
}

impl Context {
    /// Makes an empty context.
    #[must_use]
    pub fn new() -> Context {
        Context::default()
    }

    /// Adds a name; an earlier value of that name is replaced.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: Shared) -> Context {
        let name = name.into();
        let roots = &mut Arc::make_mut(&mut self.0).0;
        match roots.iter_mut().find(|(known, _)| *known == name) {
            Some(entry) => entry.1 = value,
            None => roots.push((name, value)),
        }
        self
    }

    /// Returns the value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Shared> {
        self.0.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    pub(super) fn value(&self) -> Value {
        Value::from_dyn_object(DynObject::new(Arc::clone(&self.0)))
    }
}
