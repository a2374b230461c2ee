//! Builder of the tree, event by event: no recursion, and a limit on what aliases repeat.

use std::collections::{HashMap, HashSet};

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span, Tag, options};

use super::{
    node::{Content, Node, Place},
    problem::{Problem, Problems},
};

/// Name, size limit and messages of a kind of file.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// Name with its article: `a workflow`.
    pub name: &'static str,
    /// Size limit in bytes.
    pub most: usize,
    /// Advice for an empty file.
    pub empty: &'static str,
    /// Advice for a file that is too long or too deep.
    pub split: &'static str,
}

/// A file that was read: its tree, its text without the byte order mark, and the problems so far.
#[derive(Debug)]
pub struct Document<'a> {
    /// The tree. `None` when the file holds only comments.
    pub root: Option<Node<'a>>,
    /// Text to which the positions refer.
    pub source: &'a str,
    /// Problems that did not end the reading, such as repeated keys.
    pub problems: Problems,
}

/// Reads a file of that form and passes the document to `read`. A byte order mark is removed; JSON may hold tabs.
///
/// # Errors
/// When it is too long, not UTF-8, not YAML, or holds more than one document; and the errors of `read`.
pub fn document<T>(
    bytes: &[u8],
    file: &str,
    form: Form,
    read: impl FnOnce(Document<'_>) -> Result<T, Problems>,
) -> Result<T, Problems> {
    if bytes.len() > form.most {
        let (size, most) = (in_words(bytes.len()), in_words(form.most));
        return Err(Problems::whole(
            file,
            format!("the file has {size}; {} has at most {most}", form.name),
            form.split,
        ));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count() + 1;
        let message = format!("the file is not UTF-8: byte {} (line {line}) cannot be read", error.valid_up_to());
        Problems::whole(file, message, "save it as UTF-8")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    stacker::maybe_grow(STACK, 4 * STACK, || {
        if text.trim_start().starts_with('{') && text.contains('\t') {
            // JSON may be indented with tabs, which YAML refuses; a tab cannot stand in a JSON string.
            return tree(&text.replace('\t', " "), file, form, read);
        }
        tree(text, file, form, read)
    })
}

fn tree<T>(
    source: &str,
    file: &str,
    form: Form,
    read: impl FnOnce(Document<'_>) -> Result<T, Problems>,
) -> Result<T, Problems> {
    let mut problems = Problems::none(file);
    match events(source, form) {
        Ok((root, found)) => {
            found.into_iter().for_each(|problem| problems.push(problem));
            read(Document { root: root.filter(|root| !root.is_null()), source, problems })
        }
        Err(problem) => {
            problems.push(problem);
            Err(problems)
        }
    }
}

fn in_words(bytes: usize) -> String {
    match bytes {
        0..=0xf_ffff => format!("{} KiB", bytes.div_ceil(1 << 10)),
        _ => format!("{} MiB", bytes.div_ceil(1 << 20)),
    }
}

/// Stack in bytes that reading a file with up to 200 levels needs at most.
const STACK: usize = 2 << 20;

/// Nesting limit of collections.
const NESTING_MAX: usize = 200;
/// Limit of values in one file.
const NODES_MAX: usize = 6_000_000;
/// Limit of values that aliases may add.
const ALIASED_MAX: usize = 200_000;

/// A list or map that is still open.
struct Frame<'a> {
    place: Place,
    anchor: usize,
    nodes_before: usize,
    content: Open<'a>,
}

enum Open<'a> {
    List(Vec<Node<'a>>),
    Map(Vec<(Node<'a>, Node<'a>)>, Option<Node<'a>>),
}

struct Builder<'a> {
    stack: Vec<Frame<'a>>,
    anchors: HashMap<usize, (Node<'a>, usize)>,
    root: Option<Node<'a>>,
    nodes: usize,
    aliased: usize,
    problems: Vec<Problem>,
}

/// Reads one document. Problems that do not end the reading (duplicate keys) are returned with the tree.
fn events(source: &str, form: Form) -> Result<(Option<Node<'_>>, Vec<Problem>), Problem> {
    let settings = options! {
        flow_nesting_limit: NESTING_MAX,
        block_nesting_limit: NESTING_MAX,
        emit_comments: false,
    };
    let mut builder =
        Builder { stack: Vec::new(), anchors: HashMap::new(), root: None, nodes: 0, aliased: 0, problems: Vec::new() };
    let mut documents = 0;
    for event in Parser::new_from_str_with_options(source, settings) {
        let (event, span) = event.map_err(|error| {
            let mark = error.marker();
            let place = Place { line: mark.line() as u32, column: mark.col() as u32 + 1, byte: 0 };
            scan_problem(source, place, &error.info(), form)
        })?;
        if matches!(event, Event::DocumentStart(..)) {
            documents += 1;
            if documents > 1 {
                let message = "the file holds more than one document";
                let hint = format!("keep one document in a file ({} in each) and remove `---`", form.name);
                return Err(problem(place(&span), message, &hint));
            }
        }
        builder.event(event, &span)?;
    }
    Ok((builder.root, builder.problems))
}

fn place(span: &Span) -> Place {
    let start = span.start;
    Place {
        line: start.line() as u32,
        column: start.col() as u32 + 1,
        byte: start.byte_offset().unwrap_or_default() as u32,
    }
}

fn problem(place: Place, message: &str, hint: &str) -> Problem {
    let hint = Some(hint.to_owned()).filter(|hint| !hint.is_empty());
    Problem { line: place.line, column: place.column, field: String::new(), message: message.to_owned(), hint }
}

fn scan_problem(source: &str, place: Place, info: &str, form: Form) -> Problem {
    if info.contains("nesting") || info.contains("recursion") {
        let message = format!("values are nested deeper than {NESTING_MAX} levels");
        return problem(place, &message, form.split);
    }
    let line = source.lines().nth((place.line as usize).saturating_sub(1)).unwrap_or_default();
    let blank = &line[..line.len() - line.trim_start().len()];
    let hint = if blank.contains('\t') || info.contains("tab") {
        "indent with spaces: YAML does not allow tabs"
    } else if info.contains("simple key") {
        "a colon and a blank must follow every key"
    } else {
        ""
    };
    problem(place, &format!("this is not YAML: {info}"), hint)
}

impl<'a> Builder<'a> {
    fn event(&mut self, event: Event<'a>, span: &Span) -> Result<(), Problem> {
        let place = place(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let quoted = known_tag(tag.as_deref(), place)?;
                let plain = style == ScalarStyle::Plain && !quoted;
                self.count(1, place)?;
                let node = Node { content: Content::Scalar { text, plain }, place };
                self.done(node, anchor, 1, place)
            }
            Event::SequenceStart(_, anchor, tag) => {
                known_tag(tag.as_deref(), place)?;
                self.open(place, anchor, Open::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                known_tag(tag.as_deref(), place)?;
                self.open(place, anchor, Open::Map(Vec::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(id) => {
                let Some((node, size)) = self.anchors.get(&id) else {
                    let message = "the alias stands inside of what it refers to";
                    return Err(problem(place, message, "write the values out"));
                };
                if *size > ALIASED_MAX - self.aliased {
                    return Err(problem(place, "aliases repeat too many values", "write the values out"));
                }
                let (node, size) = (node.clone(), *size);
                self.aliased += size;
                self.count(size, place)?;
                self.done(node, 0, size, place)
            }
            _ => Ok(()),
        }
    }

    fn count(&mut self, nodes: usize, place: Place) -> Result<(), Problem> {
        self.nodes += nodes;
        if self.nodes > NODES_MAX {
            let message = format!("the file holds more than {NODES_MAX} values");
            return Err(problem(place, &message, "split the file"));
        }
        Ok(())
    }

    fn open(&mut self, place: Place, anchor: usize, content: Open<'a>) -> Result<(), Problem> {
        self.count(1, place)?;
        self.stack.push(Frame { place, anchor, nodes_before: self.nodes - 1, content });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Problem> {
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        let size = self.nodes - frame.nodes_before;
        let content = match frame.content {
            Open::List(items) => Content::List(items),
            Open::Map(entries, _) => Content::Map(self.without_duplicates(entries)),
        };
        self.done(Node { content, place: frame.place }, frame.anchor, size, frame.place)
    }

    fn done(&mut self, node: Node<'a>, anchor: usize, size: usize, place: Place) -> Result<(), Problem> {
        if anchor != 0 {
            if size > ALIASED_MAX - self.aliased {
                return Err(problem(place, "the anchor holds too many values", "write the values out"));
            }
            self.aliased += size;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.stack.last_mut().map(|frame| &mut frame.content) {
            None => self.root = Some(node),
            Some(Open::List(items)) => items.push(node),
            Some(Open::Map(entries, key)) => match key.take() {
                Some(name) => entries.push((name, node)),
                None => match node.text() {
                    Some("<<") => {
                        return Err(problem(place, "merge keys (`<<`) are not supported", "write the keys out"));
                    }
                    Some(_) => *key = Some(node),
                    None => return Err(problem(place, "a key must be text", "a value with `{` or `[` needs quotes")),
                },
            },
        }
        Ok(())
    }

    /// Keeps the first of entries with equal keys and reports the others.
    fn without_duplicates(&mut self, entries: Vec<(Node<'a>, Node<'a>)>) -> Vec<(Node<'a>, Node<'a>)> {
        let mut first: HashMap<&str, u32> = HashMap::new();
        let mut again: HashSet<usize> = HashSet::new();
        for (index, (key, _)) in entries.iter().enumerate() {
            let name = key.text().unwrap_or_default();
            let line = *first.entry(name).or_insert(key.place.line);
            if first.len() + again.len() <= index {
                again.insert(index);
                let message = format!("`{name}` is given twice");
                self.problems.push(problem(key.place, &message, &format!("it is on line {line} already")));
            }
        }
        if again.is_empty() {
            return entries;
        }
        entries.into_iter().enumerate().filter(|(index, _)| !again.contains(index)).map(|(_, entry)| entry).collect()
    }
}

/// Tells whether the tag makes the value text; tags of other schemas are refused.
fn known_tag(tag: Option<&Tag>, place: Place) -> Result<bool, Problem> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.is_yaml_core_schema() => Ok(tag.is_yaml_core_schema_tag("str")),
        Some(tag) => {
            let message = format!("the tag `{}` is not supported", tag.original());
            Err(problem(place, &message, "remove it: files cannot include or create anything else"))
        }
    }
}
