//! The check whether the SDK that a script imports is installed, and the command that installs it. Lists of packages
//! (`requirements.txt`, `package.json`) are read by pip and npm alone: a script itself reports anything else that it
//! lacks.

use std::path::Path;

use kapelle_supervisor::LimitedChild;

use super::{
    discover::{Kind, Script},
    interpreter::upwards,
    packages,
};
use kapelle_workers::inside;

/// Bytes of a list of packages that are read.
const LIST_MAX: u64 = 1 << 20;

/// Returns the missing parts of a script's SDK; `None` when it has everything, or uses no SDK.
pub(super) async fn missing(script: &Script, root: &Path, program: &Path) -> Option<String> {
    if script.uses.imports.is_empty() {
        return None;
    }
    match script.kind {
        Kind::JavaScript | Kind::TypeScript => node_modules(script, root),
        Kind::Python => packages(script, root, program).await,
        Kind::Executable => None,
    }
}

fn node_modules(script: &Script, root: &Path) -> Option<String> {
    let file = &script.path;
    let own = &script.settings;
    // Packages may come from elsewhere, too; then the script reports what it lacks.
    let elsewhere = own.interpreter.is_some()
        || own.environment.contains_key("NODE_PATH")
        || own.passed.iter().any(|name| name == "NODE_PATH")
        || file.ancestors().any(|folder| folder.join(".pnp.cjs").exists() || folder.join(".pnp.js").exists());
    if elsewhere {
        return None;
    }
    let installed = |name: &str| file.ancestors().any(|folder| folder.join("node_modules").join(name).is_dir());
    let missing: Vec<&str> = script.uses.imports.iter().map(String::as_str).filter(|name| !installed(name)).collect();
    if missing.is_empty() {
        return None;
    }
    let names = missing.join(" ");
    let described = upwards(file, root).find_map(|folder| {
        let list = inside::read(inside::project_of(root), &folder.join("package.json"), LIST_MAX).ok()?;
        let text = String::from_utf8_lossy(&list);
        let listed = missing.iter().all(|name| text.contains(&format!("\"{name}\"")));
        Some((folder.display().to_string(), if listed { String::new() } else { format!(" {names}") }))
    });
    let (folder, arguments) =
        described.unwrap_or_else(|| (file.parent().unwrap_or(root).display().to_string(), format!(" {names}")));
    Some(format!("{} is not installed: run `npm install{arguments}` in {folder}", missing.join(", ")))
}

/// A Python program that prints those of its arguments that cannot be imported from the folder in the first argument.
const LOOK: &str = "import sys\nfrom importlib.util import find_spec\nsys.path.insert(0, sys.argv[1])\nfor name in sys.argv[2:]:\n    try: found = find_spec(name)\n    except Exception: found = True\n    if not found: print(name)\n";

/// Asks the interpreter that runs the script which packages it finds.
async fn packages(script: &Script, root: &Path, python: &Path) -> Option<String> {
    let folder = script.path.parent().unwrap_or(root);
    let mut child = LimitedChild::new(python);
    child.args = ["-c", LOOK].into_iter().map(Into::into).collect();
    child.args.push(folder.into());
    child.args.extend(script.uses.imports.iter().map(Into::into));
    let named = ["PATH", "HOME"].into_iter().filter_map(|name| Some((name.into(), std::env::var_os(name)?)));
    child.env = named.collect();
    let own = &script.settings;
    child.env.extend(own.environment.iter().map(|(name, value)| (name.into(), value.into())));
    let passed = own.passed.iter().filter(|name| name.starts_with("PYTHON"));
    child.env.extend(passed.filter_map(|name| Some((name.into(), std::env::var_os(name)?))));
    child.limits.memory = 8 << 30;
    child.limits.wall = std::time::Duration::from_secs(10);
    // An interpreter that cannot be asked reports what it lacks when it runs the script.
    let said = child.run().await.ok()?;
    let missing: Vec<String> = String::from_utf8_lossy(&said.stdout).lines().map(packages::of_pip).collect();
    if missing.is_empty() {
        return None;
    }
    let list = upwards(&script.path, root).map(|folder| folder.join("requirements.txt")).find(|list| list.is_file());
    let what = list.map_or_else(|| missing.join(" "), |list| format!("-r {}", list.display()));
    Some(format!("{} is not installed: run `{} -m pip install {what}`", missing.join(", "), python.display()))
}
