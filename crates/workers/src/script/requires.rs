//! What a folder of scripts needs and does not have, with the command that mends it.

use std::{fs, path::Path};

use kapelle_supervisor::LimitedChild;
use serde_json::Value;

use super::{discover::Kind, interpreter::upwards};

/// What a script of that kind lacks; none when it has everything, or says nothing of what it needs.
pub(super) async fn missing(kind: Kind, file: &Path, root: &Path, sdk: &[String], program: &Path) -> Option<String> {
    match kind {
        Kind::JavaScript | Kind::TypeScript => node_modules(file, root, sdk),
        Kind::Python => packages(file, root, sdk, program).await,
        Kind::Executable => None,
    }
}

fn node_modules(file: &Path, root: &Path, sdk: &[String]) -> Option<String> {
    let declared = upwards(file, root).find_map(|folder| {
        let text = fs::read_to_string(folder.join("package.json")).ok()?;
        let json: Value = serde_json::from_str(&text).unwrap_or_default();
        let names = json.get("dependencies").and_then(Value::as_object).cloned().unwrap_or_default();
        Some((folder, names.keys().cloned().collect::<Vec<_>>()))
    });
    let installed = |name: &str| file.ancestors().any(|folder| folder.join("node_modules").join(name).is_dir());
    let lacks = |names: &[String]| names.iter().filter(|name| !installed(name)).cloned().collect::<Vec<_>>();
    match declared {
        Some((folder, names)) => {
            let mut missing = lacks(&names);
            missing.extend(lacks(sdk).into_iter().filter(|name| !names.contains(name)));
            if missing.is_empty() {
                return None;
            }
            let extra: Vec<String> = missing.iter().filter(|name| !names.contains(name)).cloned().collect();
            let arguments = if extra.is_empty() { String::new() } else { format!(" {}", extra.join(" ")) };
            Some(format!(
                "{} is not installed: run `npm install{arguments}` in {}",
                missing.join(", "),
                folder.display()
            ))
        }
        None => {
            let missing = lacks(sdk);
            let folder = file.parent().unwrap_or(root).display();
            let names = missing.join(" ");
            (!missing.is_empty()).then(|| format!("{names} is not installed: run `npm install {names}` in {folder}"))
        }
    }
}

/// Prints those of its arguments that no installed package is called.
const LOOK: &str = "import sys\nfrom importlib.metadata import distribution\nfor name in sys.argv[1:]:\n    try: distribution(name)\n    except Exception: print(name)\n";

/// The interpreter that runs the script knows best what it finds.
async fn packages(file: &Path, root: &Path, sdk: &[String], python: &Path) -> Option<String> {
    let list = upwards(file, root).map(|folder| folder.join("requirements.txt")).find(|list| list.is_file());
    let mut wanted: Vec<String> =
        sdk.iter().map(|name| if name == "agents" { "openai-agents".to_owned() } else { name.clone() }).collect();
    if let Some(text) = list.as_ref().and_then(|list| fs::read_to_string(list).ok()) {
        wanted.extend(text.lines().filter_map(requirement));
    }
    wanted.sort();
    wanted.dedup();
    if wanted.is_empty() {
        return None;
    }
    let mut child = LimitedChild::new(python);
    child.args = ["-c", LOOK].into_iter().map(Into::into).chain(wanted.iter().map(Into::into)).collect();
    let named = ["PATH", "HOME"].into_iter().filter_map(|name| Some((name.into(), std::env::var_os(name)?)));
    child.env = named.collect();
    child.limits.memory = 8 << 30;
    child.limits.wall = std::time::Duration::from_secs(10);
    // One that cannot be asked says itself what it misses when it runs the script.
    let said = child.run().await.ok()?;
    let missing: Vec<String> = String::from_utf8_lossy(&said.stdout).lines().map(str::to_owned).collect();
    if missing.is_empty() {
        return None;
    }
    let listed = list.filter(|_| missing.iter().all(|name| !sdk.contains(name)) || sdk.is_empty());
    let what = listed.map_or_else(|| missing.join(" "), |list| format!("-r {}", list.display()));
    Some(format!("{} is not installed: run `{} -m pip install {what}`", missing.join(", "), python.display()))
}

/// The name in a line of `requirements.txt`; options, addresses and conditions on other systems are left to pip.
fn requirement(line: &str) -> Option<String> {
    let line = line.split('#').next().unwrap_or("").trim();
    if line.is_empty() || line.starts_with('-') || line.contains("://") || line.contains(';') {
        return None;
    }
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))).unwrap_or(line.len());
    Some(line[..end].to_owned())
}
