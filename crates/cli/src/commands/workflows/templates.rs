//! Workflows made from templates.

use std::{fs, io::Write};

use kapelle::{Template, core::definition::nearest};
use serde_json::{Map, Value, json};

use crate::{
    app::App,
    failure::{Code, Failure},
    project::Project,
};

/// Prints the templates with their parameters.
pub(super) fn list(app: &App) -> Result<Code, Failure> {
    let templates = Template::shipped()?;
    if app.out.json {
        let values: Vec<Value> = templates
            .iter()
            .map(|one| json!({ "template": one.name, "description": one.description, "parameters": one.parameters }))
            .collect();
        app.out.print_json(&json!({ "templates": values }))?;
        return Ok(Code::Ok);
    }
    let mut text = String::new();
    for template in &templates {
        text.push_str(&format!("{}: {}\n", template.name, template.description));
        for (name, schema) in template.properties() {
            let about = schema.get("description").and_then(Value::as_str).unwrap_or_default();
            let default = schema.get("default").map_or_else(String::new, |default| format!(" [{default}]"));
            text.push_str(&format!("  {name}{default}  {about}\n"));
        }
    }
    app.out.print(text.trim_end())?;
    app.out.note("Make a workflow: kapelle workflows new NAME --template TEMPLATE --set PARAMETER=VALUE");
    Ok(Code::Ok)
}

/// Makes a workflow from a template.
pub(super) fn new(app: &App, name: &str, template: &str, set: &[String]) -> Result<Code, Failure> {
    let templates = Template::shipped()?;
    let Some(found) = templates.iter().find(|one| one.name == template) else {
        let names = templates.iter().map(|one| one.name.as_str());
        let failure = Failure::not_found(format!("unknown template `{template}`"));
        return Err(match nearest(template, names.clone()) {
            Some(near) => failure.help(format!("did you mean `{near}`?")),
            None => failure.help(format!("there are: {}", names.collect::<Vec<_>>().join(", "))),
        });
    };
    let mut values = Map::new();
    for given in set {
        let Some((key, value)) = given.split_once('=') else {
            return Err(Failure::usage(format!("`--set {given}` has no value")).help("write --set NAME=VALUE"));
        };
        let text =
            found.properties().any(|(known, schema)| known == key && schema.get("type") == Some(&json!("string")));
        // A string stays a string, also when it looks like a number; everything else is parsed as JSON if possible.
        let value =
            if text { Value::from(value) } else { serde_json::from_str(value).unwrap_or_else(|_| Value::from(value)) };
        values.insert(key.to_owned(), value);
    }
    let text = found.expand(name, values)?;
    let path = app.project.workflows().join(format!("{name}.yaml"));
    let folder = app.project.workflows();
    fs::create_dir_all(&folder).map_err(|error| Failure::io(&folder, &error))?;
    if path.symlink_metadata().is_ok() {
        let what = format!("{} is there already", Project::shown(&path));
        return Err(Failure::new(Code::Conflict, what).help("choose another name, or remove the file"));
    }
    let mut file = fs::File::create_new(&path).map_err(|error| Failure::io(&path, &error))?;
    file.write_all(text.as_bytes()).map_err(|error| Failure::io(&path, &error))?;
    let shown = Project::shown(&path);
    if app.out.json {
        app.out.print_json(&json!({ "workflow": name, "template": template, "file": shown }))?;
    } else {
        app.out.print(&format!("made {shown} from {template}"))?;
        app.out.note(&format!("Next: kapelle workflows show {name}"));
    }
    Ok(Code::Ok)
}
