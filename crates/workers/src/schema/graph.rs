//! A schema as a graph: which subschemas look at one value, and which at the parts of it.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::refs::Refs;

/// The most values of a schema: all of its objects, lists and scalars.
const VALUES_MAX: usize = 100_000;
/// The largest total size of a schema's regular expressions: their text in bytes, and as much again as they repeat.
const PATTERNS_MAX: u64 = 50_000;
/// The longest chain of subschemas without a circle: each is a level of the checker's stack.
const DEPTH_MAX: usize = 400;
/// The longest chain of subschemas that look at one value, one because of the other.
const HERE_DEPTH_MAX: u32 = 100;
/// The highest cost of checking one value without its parts, in looks.
const HERE_MAX: u64 = 100_000;

/// One subschema.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// The cost of a look by itself: entries of `enum` and `required`, and one for the look.
    pub own: u64,
    /// The weight of its `pattern`, in looks per 32 bytes of text; 0 without one.
    pub pattern: u64,
    /// `uniqueItems`.
    pub unique: bool,
    /// `unevaluatedProperties` or `unevaluatedItems`: subschemas of this value are looked at a second time for it.
    pub twice: bool,
    /// Subschemas that look at the value itself.
    pub here: Vec<usize>,
    /// Subschemas for a named property.
    pub named: HashMap<String, Vec<usize>>,
    /// Subschemas for every property.
    pub each: Vec<usize>,
    /// Subschemas for the properties whose names match, with the weight of the expression.
    pub matching: Vec<(u64, usize)>,
    /// Subschemas for the names of properties.
    pub names: Vec<usize>,
    /// Subschemas for the first items.
    pub first: Vec<usize>,
    /// Subschemas for every item.
    pub items: Vec<usize>,
}

/// A schema as a graph. The first node is the schema itself.
#[derive(Debug)]
pub(super) struct Graph {
    pub nodes: Vec<Node>,
    /// Whether it has `anyOf` or `oneOf`, whose failure gathers those of all branches.
    branches: bool,
}

const HERE_LISTS: [&str; 3] = ["allOf", "anyOf", "oneOf"];
const HERE_ONES: [&str; 4] = ["not", "if", "then", "else"];
const HERE_MAPS: [&str; 2] = ["dependentSchemas", "dependencies"];
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];
const EACH: [&str; 2] = ["additionalProperties", "unevaluatedProperties"];
const ITEMS: [&str; 4] = ["items", "additionalItems", "contains", "unevaluatedItems"];

struct Builder<'s> {
    refs: Refs<'s>,
    graph: Graph,
    known: HashMap<*const Value, usize>,
    /// Subschemas that are not read yet.
    left: Vec<(usize, &'s Value)>,
    patterns: u64,
}

impl Graph {
    /// Reads a schema.
    ///
    /// # Errors
    /// A line for people when checking a value by it could cost too much.
    pub fn of(schema: &Value) -> Result<Graph, String> {
        let values = super::cost::count(schema, VALUES_MAX);
        if values > VALUES_MAX {
            return Err(format!("the schema holds more than {VALUES_MAX} values; split it"));
        }
        let (refs, graph) = (Refs::of(schema), Graph { nodes: Vec::new(), branches: false });
        let mut builder = Builder { refs, graph, known: HashMap::new(), left: Vec::new(), patterns: 0 };
        builder.node(schema);
        while let Some((at, schema)) = builder.left.pop() {
            if let Value::Object(map) = schema {
                let node = builder.read(map);
                builder.graph.nodes[at] = node;
            }
        }
        if builder.patterns > PATTERNS_MAX {
            return Err(format!(
                "the regular expressions of the schema are too large ({} of at most {PATTERNS_MAX}): repeat less, as in `{{1,64}}`",
                builder.patterns
            ));
        }
        builder.graph.check(&builder.refs, &builder.known)?;
        Ok(builder.graph)
    }

    /// Says whether the failure of one subschema gathers those of others.
    pub fn branches(&self) -> bool {
        self.branches
    }

    /// Refuses a schema that costs too much for any value.
    fn check(&self, refs: &Refs<'_>, known: &HashMap<*const Value, usize>) -> Result<(), String> {
        let place = |at: usize| {
            let of = known.iter().find(|(_, node)| **node == at).map(|(value, _)| *value);
            of.and_then(|value| refs.place(value)).unwrap_or_else(|| "#".to_owned())
        };
        let mut seen: Vec<Seen> = vec![Seen::New; self.nodes.len()];
        for at in 0..self.nodes.len() {
            let looks = self.looks(at, 0, &mut seen).map_err(|at| {
                format!("{}: the schema refers to itself without going into the value; this would never end", place(at))
            })?;
            if looks.0 > HERE_MAX {
                return Err(format!(
                    "{}: looking at one value takes {} looks at subschemas; at most {HERE_MAX} are allowed: use fewer branches of `allOf`, `anyOf` and `oneOf` that refer to one another",
                    place(at),
                    if looks.0 == u64::MAX { "countless".to_owned() } else { looks.0.to_string() },
                ));
            }
            if looks.1 > HERE_DEPTH_MAX {
                return Err(format!(
                    "{}: {} subschemas follow one another for one value; at most {HERE_DEPTH_MAX} are allowed",
                    place(at),
                    looks.1
                ));
            }
        }
        match self.depth() {
            depth if depth > DEPTH_MAX => Err(format!(
                "#: subschemas are nested and refer to one another {depth} deep; at most {DEPTH_MAX} are allowed"
            )),
            _ => Ok(()),
        }
    }

    /// Returns how many looks a look at one value becomes without its parts, and how deep they go; on a circle, the
    /// node that closes it.
    fn looks(&self, at: usize, depth: usize, seen: &mut [Seen]) -> Result<(u64, u32), usize> {
        match seen[at] {
            Seen::Done(looks, deep) => return Ok((looks, deep)),
            Seen::Open => return Err(at),
            // Deeper than anything that is accepted: the figure only has to exceed the limit.
            Seen::New if depth > 1_000 => return Ok((1, HERE_DEPTH_MAX + 1)),
            Seen::New => seen[at] = Seen::Open,
        }
        let (mut looks, mut deep) = (self.nodes[at].own, 0);
        for next in &self.nodes[at].here {
            let (more, below) = self.looks(*next, depth + 1, seen)?;
            let more = if self.nodes[at].twice { more.saturating_mul(2) } else { more };
            looks = looks.saturating_add(more);
            deep = deep.max(below);
        }
        seen[at] = Seen::Done(looks, deep + 1);
        Ok((looks, deep + 1))
    }

    /// Returns the longest chain of subschemas without repetition.
    fn depth(&self) -> usize {
        let mut seen = vec![false; self.nodes.len()];
        let mut stack = vec![(0, 1)];
        let mut deepest = 0;
        while let Some((at, depth)) = stack.pop() {
            if std::mem::replace(&mut seen[at], true) {
                continue;
            }
            deepest = deepest.max(depth);
            stack.extend(self.nodes[at].all().map(|next| (next, depth + 1)));
        }
        deepest
    }
}

#[derive(Debug, Clone, Copy)]
enum Seen {
    New,
    Open,
    Done(u64, u32),
}

impl Node {
    fn all(&self) -> impl Iterator<Item = usize> {
        let lists = [&self.here, &self.each, &self.names, &self.first, &self.items];
        let plain = lists.into_iter().flatten().copied();
        plain
            .chain(self.named.values().flatten().copied())
            .chain(self.matching.iter().map(|(_, at)| *at))
            .collect::<Vec<_>>()
            .into_iter()
    }
}

impl<'s> Builder<'s> {
    fn node(&mut self, schema: &'s Value) -> usize {
        if let Some(at) = self.known.get(&std::ptr::from_ref(schema)) {
            return *at;
        }
        let at = self.graph.nodes.len();
        self.graph.nodes.push(Node { own: 1, ..Node::default() });
        self.known.insert(std::ptr::from_ref(schema), at);
        self.left.push((at, schema));
        at
    }

    /// Adds the subschemas of a value that is a schema or a list of schemas.
    fn several(&mut self, value: Option<&'s Value>) -> Vec<usize> {
        match value {
            None => Vec::new(),
            Some(Value::Array(list)) => list.iter().map(|schema| self.node(schema)).collect(),
            Some(schema) => vec![self.node(schema)],
        }
    }

    fn read(&mut self, map: &'s Map<String, Value>) -> Node {
        let mut node = Node { own: 1 + map.len() as u64 / 4, ..Node::default() };
        for word in ["enum", "required", "const", "dependentRequired"] {
            node.own += map.get(word).map_or(0, |value| super::cost::count(value, VALUES_MAX) as u64);
        }
        node.twice = map.contains_key("unevaluatedProperties") || map.contains_key("unevaluatedItems");
        node.unique = map.get("uniqueItems") == Some(&Value::Bool(true));
        if let Some(text) = map.get("pattern").and_then(Value::as_str) {
            node.pattern = self.weight(text);
        }
        self.graph.branches |= map.contains_key("anyOf") || map.contains_key("oneOf");
        for word in HERE_LISTS.into_iter().chain(HERE_ONES) {
            node.here.extend(self.several(map.get(word)));
        }
        for schema in HERE_MAPS.iter().filter_map(|word| map.get(*word)?.as_object()).flat_map(Map::values) {
            if !schema.is_array() {
                node.here.push(self.node(schema));
            }
        }
        for (word, text) in REFERENCES.iter().filter_map(|word| Some((*word, map.get(*word)?.as_str()?))) {
            match self.refs.find(word, text) {
                Some(found) => node.here.extend(found.into_iter().map(|schema| self.node(schema)).collect::<Vec<_>>()),
                // A schema of schemas, which the checker brings along.
                None => node.own += 200,
            }
        }
        for (name, schema) in map.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let at = self.node(schema);
            node.named.entry(name.clone()).or_default().push(at);
        }
        for (text, schema) in map.get("patternProperties").and_then(Value::as_object).into_iter().flatten() {
            let entry = (self.weight(text), self.node(schema));
            node.matching.push(entry);
        }
        EACH.iter().for_each(|word| node.each.extend(self.several(map.get(*word))));
        node.names = self.several(map.get("propertyNames"));
        node.first = self.several(map.get("prefixItems"));
        ITEMS.iter().for_each(|word| node.items.extend(self.several(map.get(*word))));
        node
    }

    /// Returns the cost of matching a regular expression: the larger the repeated part, the more states are active at
    /// once.
    fn weight(&mut self, text: &str) -> u64 {
        let braces = text.split('{').skip(1).filter_map(|part| part.split('}').next());
        let numbers = braces.flat_map(|times| times.split(',')).filter_map(|digits| digits.parse::<u64>().ok());
        let repeated = numbers.filter(|number| *number > 1).fold(1_u64, |all, number| all.saturating_mul(number));
        let size = repeated.min(PATTERNS_MAX) + text.len() as u64;
        self.patterns = self.patterns.saturating_add(size);
        1 + size / 32
    }
}
