//! The hosts to which a project sends keys of the user, and the user's consent.
//!
//! A project that was cloned names the address of each provider. Before it sends a key of the user's environment to
//! another host than the one the key is meant for, the user is shown this and has to agree once, with `kapelle config
//! trust`. An address in the user's own environment or configuration file needs no consent.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use kapelle::{
    gateway::sends::{KeyPlace, SaidBy, Sends},
    store::private,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    failure::{Code, Failure},
    project::Project,
    settings::Settings,
};

/// The file in the user's configuration folder.
const FILE: &str = "trusted.json";
/// The longest file, in bytes; a longer one is not ours.
const FILE_MAX: u64 = 4 << 20;

/// The consents of users, by the folder of the project.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Trusted {
    projects: BTreeMap<String, Agreed>,
}

/// The consent for a project.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Agreed {
    /// SHA-256 over the lines.
    hash: String,
    /// The keys and their destinations.
    sends: Vec<String>,
}

impl Agreed {
    fn of(moved: &[Sends]) -> Agreed {
        let mut sends: Vec<String> = moved.iter().map(Sends::in_words).collect();
        sends.sort();
        sends.dedup();
        let hash = Sha256::digest(sends.join("\n").as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        Agreed { hash, sends }
    }
}

/// Returns every key that is set, and its destination.
///
/// # Errors
/// When an address is invalid.
pub fn sends(settings: &Settings) -> Result<Vec<Sends>, Failure> {
    let env = |name: &str| settings.environment.get(name).map(str::to_owned);
    settings.config.gateway().sends(&env).map_err(|error| Failure::usage(error.to_string()))
}

/// Returns the keys of the user that the project itself sends to a host they are not meant for.
///
/// # Errors
/// When an address is invalid.
pub fn moved(project: &Project, settings: &Settings) -> Result<Vec<Sends>, Failure> {
    let of_project = |sends: &Sends| {
        let entry = settings.is_of_project(&format!("providers.{}.base_url", sends.provider));
        let address = match &sends.said_by {
            SaidBy::Variable(name) => settings.environment.origin(name) == ".env",
            SaidBy::Entry => entry,
        };
        let key = match &sends.key {
            KeyPlace::Variable(name) => settings.environment.origin(name) == "environment",
            KeyPlace::File(path) => {
                settings.is_of_project(&format!("providers.{}.api_key_file", sends.provider))
                    && !is_within(path, project)
            }
        };
        address && key && !sends.meant
    };
    Ok(sends(settings)?.into_iter().filter(of_project).collect())
}

fn is_within(path: &Path, project: &Project) -> bool {
    match (project.root.join(path).canonicalize(), project.root.canonicalize()) {
        (Ok(file), Ok(root)) => file.starts_with(root),
        // A missing file cannot be sent either.
        _ => true,
    }
}

/// Refuses to continue when the project sends keys of the user elsewhere and the user has not agreed.
///
/// # Errors
/// With every key and address, and the command that agrees.
pub fn check(project: &Project, settings: &Settings) -> Result<(), Failure> {
    let moved = moved(project, settings)?;
    if moved.is_empty() || is_agreed(project, settings, &moved)? {
        return Ok(());
    }
    let lines: Vec<String> = moved.iter().map(|sends| format!("{}: {}", sends.provider, sends.in_words())).collect();
    let what =
        format!("this project sends a key of yours to a host that the key is not meant for:\n  {}", lines.join("\n  "));
    Err(Failure::new(Code::Usage, what).help(
        "`kapelle config trust` agrees to it, once for this project; or give the provider a key variable of its own, or \
         set its address in your own environment, such as OPENAI_BASE_URL",
    ))
}

/// Says whether the user has agreed to exactly that.
///
/// # Errors
/// When the file cannot be read.
pub fn is_agreed(project: &Project, settings: &Settings, moved: &[Sends]) -> Result<bool, Failure> {
    let Some(file) = file(settings) else { return Ok(false) };
    Ok(read(&file)?.projects.get(&place(project)) == Some(&Agreed::of(moved)))
}

/// Agrees to what the project sends, or revokes the consent. Returns the keys and destinations.
///
/// # Errors
/// When the user has no configuration folder, or it cannot be written.
pub fn agree(project: &Project, settings: &Settings, revoke: bool) -> Result<Vec<Sends>, Failure> {
    let moved = moved(project, settings)?;
    let file = file(settings).ok_or_else(|| {
        Failure::usage("there is no folder for your configuration").help("set HOME or XDG_CONFIG_HOME")
    })?;
    let mut trusted = read(&file)?;
    if revoke || moved.is_empty() {
        trusted.projects.remove(&place(project));
    } else {
        trusted.projects.insert(place(project), Agreed::of(&moved));
    }
    let io = |error: std::io::Error| Failure::io(&file, &error);
    if let Some(folder) = file.parent() {
        private::make_dir(folder).map_err(io)?;
    }
    let text = serde_json::to_string_pretty(&trusted).unwrap_or_default();
    private::at_own_place(&file, format!("{text}\n").as_bytes()).map_err(io)?;
    Ok(if revoke { Vec::new() } else { moved })
}

fn file(settings: &Settings) -> Option<PathBuf> {
    settings.environment.user_folder().map(|folder| folder.join(FILE))
}

fn place(project: &Project) -> String {
    project.root.canonicalize().unwrap_or_else(|_| project.root.clone()).display().to_string()
}

fn read(file: &Path) -> Result<Trusted, Failure> {
    match private::read_small(file, FILE_MAX) {
        Ok(text) => serde_json::from_str(&text).map_err(|error| {
            Failure::usage(format!("{}: {error}", file.display()))
                .help("remove it, and agree again with `kapelle config trust`")
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Trusted::default()),
        Err(error) => Err(Failure::io(file, &error)),
    }
}
