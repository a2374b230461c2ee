//! `kapelle audit`: shows administrative acts, and checks that the trail is complete.

use std::path::PathBuf;

use kapelle::{
    store::{Reader, SqliteReader},
    trail::{Noted, TrailKey, written},
    trail_check::{Checked, check},
};
use kapelle_api::{AuditEntry, AuditQuery};
use serde_json::json;

use crate::{
    api_session::ApiSession,
    app::App,
    failure::{Code, Failure},
    remote, shown,
};

/// Entries read at a time.
const PAGE: u32 = 1_000;

/// Show administrative acts, or check that none was changed or removed.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Show the acts, oldest first
    List(List),
    /// Check the chain of hashes, and compare it with the heads in session.log and other logs
    Verify(Verify),
}

#[derive(Debug, Default, clap::Args)]
struct List {
    /// Acts on the data of this tenant [default: the tenant of the key; 1 for the owner of the folder]
    #[arg(long, conflicts_with = "all")]
    tenant: Option<u32>,
    /// Acts on the data of all tenants
    #[arg(long)]
    all: bool,
}

#[derive(Debug, clap::Args)]
struct Verify {
    /// An entry that must be there, as an earlier check printed it; may be repeated
    #[arg(long, value_name = "SEQ:HASH")]
    expect: Vec<String>,
    /// A file with heads, such as a log of the server or a copy of session.log; may be repeated
    #[arg(long, value_name = "FILE")]
    heads: Vec<PathBuf>,
    /// Accept heads made with a former key, whose keyed hashes cannot be checked any more
    #[arg(long, value_name = "NAME")]
    accept_key: Vec<String>,
}

/// Runs the verb.
///
/// # Errors
/// When the folder does not exist, or the trail is incomplete.
pub async fn run(app: &App, args: &Args) -> Result<Code, Failure> {
    match &args.verb {
        None => list(app, &List::default()).await,
        Some(Verb::List(args)) => list(app, args).await,
        Some(Verb::Verify(args)) => {
            remote::needs_folder(app, "audit verify")?;
            app.has_data()?;
            let reader = SqliteReader::open_read_only(&app.data()?)?;
            verify(app, &reader, args)
        }
    }
}

async fn list(app: &App, args: &List) -> Result<Code, Failure> {
    let session = ApiSession::reading(app)?;
    let all = args.all.then_some(true);
    let mut page = AuditQuery { tenant: args.tenant, all, limit: Some(PAGE), cursor: None };
    let mut entries: Vec<AuditEntry> = Vec::new();
    loop {
        let read = session.api().audit(page.clone()).await?;
        entries.extend(read.entries);
        page.cursor = read.next_cursor;
        if page.cursor.is_none() {
            break;
        }
    }
    entries.reverse();
    if app.out.json {
        app.out.print_json(&json!({ "entries": entries, "next_cursor": null }))?;
        return Ok(Code::Ok);
    }
    let row = |entry: AuditEntry| {
        let tenant = args.all.then(|| entry.tenant.to_string());
        let first = [entry.seq.to_string(), shown::instant(&entry.at)].into_iter().chain(tenant);
        first.chain([entry.actor, entry.action, entry.resource]).collect()
    };
    let of_tenant = args.all.then_some("TENANT");
    let headings: Vec<&str> =
        ["SEQ", "AT"].into_iter().chain(of_tenant).chain(["ACTOR", "ACTION", "RESOURCE"]).collect();
    app.out.print(&shown::table(&headings, entries.into_iter().map(row).collect()))?;
    Ok(Code::Ok)
}

fn verify(app: &App, reader: &dyn Reader, args: &Verify) -> Result<Code, Failure> {
    let folder = app.data()?;
    let mut noted = Noted::of_session(&folder).map_err(|error| Failure::io(&folder, &error))?;
    let here = noted.len();
    for path in &args.heads {
        let found = Noted::in_file(path, false).map_err(|error| Failure::io(path, &error))?;
        if found.is_empty() {
            let what = format!("--heads {}: it has no heads; expected lines with SEQ:HASH", path.display());
            return Err(
                Failure::usage(what).help("`kapelle audit verify` prints the head, and `kapelle serve -v` logs it")
            );
        }
        noted.extend(found);
    }
    for text in &args.expect {
        let head = Noted::parse(text, "--expect");
        noted.push(head.ok_or_else(|| Failure::usage(format!("--expect {text}: expected SEQ:HASH")))?);
    }
    let key = TrailKey::read(&folder).map_err(|error| Failure::io(&folder.join(kapelle::trail::KEY_FILE), &error))?;
    let checked = check(&mut |after| reader.audit_from(after, PAGE), &noted, key.as_ref(), &args.accept_key)?;
    if !checked.faults.is_empty() {
        return Err(broken(&checked));
    }
    let head = checked.head.map_or_else(|| "0:".to_owned(), written);
    if app.out.json {
        app.out.print_json(&json!({
            "entries": checked.entries, "head": head, "heads": checked.agree, "known": checked.known,
        }))?;
        return Ok(Code::Ok);
    }
    app.out.print(&format!("the trail is complete: {} entries, the last is {head}", checked.entries))?;
    let told = match (checked.agree, checked.entries) {
        (_, 0) => return Ok(Code::Ok),
        (0, _) => {
            "no head is recorded outside the database, so a cut-off end would go unnoticed: write the last entry \
                   down, and pass it with --expect later"
                .to_owned()
        }
        (agree, _) => format!("{agree} heads agree with it ({here} of session.log), up to entry {}", checked.known),
    };
    app.out.note(&told);
    Ok(Code::Ok)
}

fn broken(checked: &Checked) -> Failure {
    let last =
        checked.head.map_or_else(|| "no entry".to_owned(), |head| format!("the last entry is {}", written(head)));
    let known = match checked.known {
        0 => "none of the heads agrees with the trail".to_owned(),
        known => format!("up to entry {known} a head agrees with the trail"),
    };
    let what = format!("the trail is not complete: {}", checked.faults.join("\n  "));
    Failure::new(Code::Failed, what).help(format!(
        "{} entries are there, {last}; {known}. Keep the folder as it is and compare it with a backup",
        checked.entries
    ))
}
