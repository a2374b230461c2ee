//! Inputs from the command line: `--input name=value`, `--input name=@file`, `--inputs file.json`.

use std::path::{Path, PathBuf};

use kapelle::{
    core::{worker::FileSource, yaml::nearest},
    documents::media_type_of,
    store::Blobs,
    workers::inside,
};
use kapelle_api::Client;
use serde_json::{Map, Value, json};

use crate::{
    app::App,
    failure::Failure,
    input_files::{Content, Pipes, shown},
    project::{CONFIG_FILE, Project},
    remote,
};

/// The options for inputs.
#[derive(Debug, Clone, clap::Args)]
pub struct InputArgs {
    /// An input: `name=value`, or `name=@file` for a file (`@-`: standard input), read by the input's schema. Or
    /// several inputs as a JSON object: `{"name": "value"}`
    #[arg(short, long = "input", value_name = "NAME=VALUE")]
    pub input: Vec<String>,
    /// All inputs as a JSON object in a file; `-` reads standard input. `--input` takes precedence
    #[arg(long, value_name = "FILE")]
    pub inputs: Option<PathBuf>,
    /// Contents that were read already and can be read only once.
    #[arg(skip)]
    pub pipes: Pipes,
}

/// Inputs, and the files that they refer to.
#[derive(Debug, Default)]
pub struct Inputs {
    pub value: Value,
    files: Vec<Content>,
    pipes: Pipes,
    /// The input that reads standard input.
    stdin: Option<String>,
}

impl InputArgs {
    /// Reads the inputs. `beside` is the folder to which a schema's default files are relative.
    ///
    /// # Errors
    /// A message that names the wrong input, and how it is written.
    pub fn read(&self, schema: Option<&Value>, beside: &Path) -> Result<Inputs, Failure> {
        let mut inputs = Inputs { pipes: self.pipes.clone(), ..Inputs::default() };
        let mut object = match &self.inputs {
            Some(path) => inputs.object(path)?,
            None => Map::new(),
        };
        for argument in &self.input {
            if argument.trim_start().starts_with('{') {
                for (name, value) in read_object("--input", argument)? {
                    property(schema, &name)?;
                    object.insert(name, value);
                }
                continue;
            }
            let (name, text) = argument.split_once('=').ok_or_else(|| {
                Failure::usage(format!("--input {argument}: there is no `=`")).help(
                    "write --input name=value, name=@file, or all inputs as JSON: --input '{\"name\": \"value\"}'",
                )
            })?;
            let property = property(schema, name)?;
            let value = inputs.value_of(name, text, property)?;
            object.insert(name.to_owned(), value);
        }
        inputs.default_files(schema, &mut object, beside)?;
        inputs.value = Value::Object(object);
        Ok(inputs)
    }
}

impl Inputs {
    /// Copies the files into the store, where tasks find them.
    ///
    /// # Errors
    /// When a file can no longer be read, or the disk is full.
    pub fn store(&self, blobs: &Blobs) -> Result<(), Failure> {
        for content in &self.files {
            let path = content.path();
            let mut file = std::fs::File::open(path).map_err(|error| Failure::io(path, &error))?;
            let (stored, _) = blobs.put_from(&mut file)?;
            if stored != content.sha256 {
                let message = format!("{}: changed while it was read", Project::shown(path));
                return Err(Failure::usage(message).help("run it again"));
            }
        }
        Ok(())
    }

    /// Says whether an input refers to a file.
    pub fn has_files(&self) -> bool {
        !self.files.is_empty()
    }

    /// Hands the files to a server: into the folder that it works on, or as uploads to a server elsewhere.
    ///
    /// # Errors
    /// When a file cannot be read or written, or the server refuses it.
    pub async fn give(&self, app: &App, client: &Client) -> Result<(), Failure> {
        if !remote::is_named(app) {
            return self.store(&Blobs::in_folder(&app.data()?));
        }
        for content in &self.files {
            let path = content.path();
            let bytes = std::fs::read(path).map_err(|error| Failure::io(path, &error))?;
            let name = path.file_name().map_or_else(|| "input".into(), |name| name.to_string_lossy());
            client.upload(&name, media_type_of(&name).unwrap_or("application/octet-stream"), bytes).await?;
        }
        Ok(())
    }

    fn value_of(&mut self, name: &str, text: &str, schema: Option<&Value>) -> Result<Value, Failure> {
        let wanted = Wanted::of(schema);
        if let Some(literal) = text.strip_prefix("@@") {
            return wanted.read(name, &format!("@{literal}"));
        }
        match text.strip_prefix('@') {
            None => wanted.read(name, text),
            Some("") => Err(Failure::usage(format!("--input {name}=@: the name of the file is missing"))),
            Some(path) => {
                let path = Path::new(path);
                self.once(path, &format!("--input {name}"))?;
                if wanted.file {
                    return self.file(path);
                }
                let text = self.pipes.text(path)?;
                let text = if wanted.string { text.as_str() } else { text.trim() };
                wanted.read(name, text)
            }
        }
    }

    /// Refuses a second input from standard input.
    fn once(&mut self, path: &Path, reader: &str) -> Result<(), Failure> {
        if path != Path::new("-") {
            return Ok(());
        }
        match self.stdin.replace(reader.to_owned()) {
            None => Ok(()),
            Some(other) => Err(Failure::usage(format!("standard input is used twice: by {other} and by {reader}"))
                .help("it can be read only once: use a file for one of them")),
        }
    }

    /// Reads all inputs from a file, or from standard input for `-`.
    fn object(&mut self, path: &Path) -> Result<Map<String, Value>, Failure> {
        self.once(path, "--inputs")?;
        read_object(&shown(path), &self.pipes.text(path)?)
    }

    /// Turns a file into a reference to its content.
    fn file(&mut self, path: &Path) -> Result<Value, Failure> {
        let content = self.pipes.content(path)?;
        let Content { sha256, size, name, .. } = &content;
        let mut value = json!({ "$file": format!("sha256:{sha256}"), "name": name, "size": size });
        if let Some(media_type) = media_type_of(name) {
            value["media_type"] = json!(media_type);
        }
        self.files.push(content);
        Ok(value)
    }

    /// Reads default files such as `@../samples/x.txt`, relative to the workflow.
    fn default_files(
        &mut self,
        schema: Option<&Value>,
        object: &mut Map<String, Value>,
        beside: &Path,
    ) -> Result<(), Failure> {
        let properties = schema.and_then(|schema| schema.get("properties")).and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            let default = property.get("default").and_then(Value::as_str).and_then(|text| text.strip_prefix('@'));
            if let (true, Some(path), false) = (Wanted::of(Some(property)).file, default, object.contains_key(name)) {
                let path = beside.join(path);
                if path.exists() {
                    inside::check(&project_of(beside), &path).map_err(|why| {
                        Failure::usage(format!("the default of the input `{name}`: {} {why}", Project::shown(&path)))
                            .help(format!("give it yourself if you want it: --input {name}=@FILE"))
                    })?;
                }
                let value = self.file(&path).map_err(|failure| {
                    failure.help(format!("the workflow's own example is not there: give --input {name}=@FILE"))
                })?;
                object.insert(name.clone(), value);
            }
        }
        Ok(())
    }
}

/// Returns the project of a workflow: the nearest folder with a `kapelle.yaml`, or the folder above its own.
fn project_of(folder: &Path) -> PathBuf {
    let here = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let root = here.ancestors().find(|folder| folder.join(CONFIG_FILE).is_file());
    root.or_else(|| here.parent()).unwrap_or(&here).to_owned()
}

/// The files of inputs for a worker that runs outside the engine.
impl FileSource for Inputs {
    fn path(&self, sha256: &str) -> Option<PathBuf> {
        self.files.iter().find(|content| content.sha256 == sha256).map(|content| content.path().to_owned())
    }
}

/// The types that a schema accepts.
struct Wanted {
    string: bool,
    file: bool,
    json: Vec<String>,
}

impl Wanted {
    fn of(schema: Option<&Value>) -> Wanted {
        let types: Vec<String> = match schema.and_then(|schema| schema.get("type")) {
            Some(Value::String(one)) => vec![one.clone()],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        let string = types.iter().any(|kind| kind == "string");
        let is_file = schema.and_then(|schema| schema.get("format")).is_some_and(|format| format == "file");
        let file = is_file || (!string && types.iter().any(|kind| kind == "object"));
        Wanted { string, file, json: types.into_iter().filter(|kind| kind != "string").collect() }
    }

    fn read(&self, name: &str, text: &str) -> Result<Value, Failure> {
        let parsed = serde_json::from_str::<Value>(text);
        match parsed {
            // With several types, or none, text that parses as JSON is JSON.
            Ok(value) if self.fits(&value) => Ok(value),
            _ if self.string || self.json.is_empty() => Ok(Value::from(text)),
            Ok(_) => Err(self.refuse(name, text, "")),
            Err(error) => Err(self.refuse(name, text, &format!(" ({error})"))),
        }
    }

    fn fits(&self, value: &Value) -> bool {
        if self.json.is_empty() {
            return !self.string && !value.is_string();
        }
        self.json.iter().any(|kind| match kind.as_str() {
            "integer" => value.as_number().is_some_and(|number| !number.as_str().contains(['.', 'e', 'E'])),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            "null" => value.is_null() && !self.string,
            _ => false,
        })
    }

    fn refuse(&self, name: &str, text: &str, why: &str) -> Failure {
        let shown: String = text.chars().take(60).collect();
        let kinds = self.json.join(" or ");
        let failure = Failure::usage(format!("--input {name}={shown}: expected {kinds}{why}"));
        match self.json.first().map(String::as_str) {
            _ if self.file => failure.help(format!("give a file: --input {name}=@FILE")),
            Some("array") => failure.help(format!("write JSON: --input '{name}=[\"a\", \"b\"]'")),
            Some("object") => failure.help(format!("write JSON: --input '{name}={{\"key\": 1}}'")),
            Some("boolean") => failure.help("write true or false"),
            _ => failure,
        }
    }
}

/// Returns the schema of one input; an error when a closed schema does not name it.
fn property<'a>(schema: Option<&'a Value>, name: &str) -> Result<Option<&'a Value>, Failure> {
    let Some(schema) = schema else { return Ok(None) };
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return Ok(None) };
    if let Some(found) = properties.get(name) {
        return Ok(Some(found));
    }
    let names: Vec<&str> = properties.keys().map(String::as_str).collect();
    let near = nearest(name, names.iter().copied());
    if schema.get("additionalProperties") != Some(&Value::Bool(false)) && near.is_none() {
        return Ok(None);
    }
    let failure = Failure::usage(format!("unknown input `{name}`"));
    Err(match near {
        Some(near) => failure.help(format!("did you mean `{near}`?")),
        None => failure.help(format!("there are: {}", names.join(", "))),
    })
}

fn read_object(place: &str, text: &str) -> Result<Map<String, Value>, Failure> {
    let help = "write a JSON object such as {\"text\": \"...\"}";
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Failure::usage(format!("{place}: expected the inputs as a JSON object")).help(help)),
        Err(error) => Err(Failure::usage(format!("{place}: not JSON: {error}")).help(help)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(schema: &Value, inputs: &[&str]) -> Result<Value, Failure> {
        let input = inputs.iter().map(|text| (*text).to_owned()).collect();
        let args = InputArgs { input, inputs: None, pipes: Pipes::default() };
        args.read(Some(schema), Path::new(".")).map(|inputs| inputs.value)
    }

    #[test]
    fn a_value_is_read_by_its_schema() {
        let schema = json!({ "properties": {
            "text": { "type": "string" }, "n": { "type": "integer" }, "yes": { "type": "boolean" },
            "list": { "type": "array" }, "any": {}, "both": { "type": ["string", "null"] },
        } });
        let given = ["text=007", "n=7", "yes=true", "list=[1]", "any=x", "both=null"];
        let expected = json!({ "text": "007", "n": 7, "yes": true, "list": [1], "any": "x", "both": "null" });
        assert_eq!(read(&schema, &given).unwrap(), expected);
        assert_eq!(read(&schema, &["text=a=b"]).unwrap()["text"], "a=b");
        assert_eq!(read(&schema, &["text=@@x"]).unwrap()["text"], "@x");
        let all = read(&schema, &[r#" {"text": "a=b", "n": 7}"#, "n=8", r#"{"list": [1]}"#]).unwrap();
        assert_eq!(all, json!({ "text": "a=b", "n": 8, "list": [1] }));
        for (input, part) in [
            ("n=1.5", "expected integer"),
            ("n=seven", "expected integer"),
            ("yes=1", "expected boolean"),
            ("list={}", "expected array"),
            ("txt=x", "unknown input `txt`"),
            ("text", "there is no `=`"),
            ("text=@", "the name of the file is missing"),
            ("text=@/tmp", "is a folder"),
            ("text=@/dev/zero", "is a device"),
            ("{\"text\": }", "--input: not JSON: expected value at line 1 column 10"),
            ("{\"txt\": 1}", "unknown input `txt`"),
        ] {
            assert!(read(&schema, &[input]).unwrap_err().message.contains(part), "{input}");
        }
    }
}
