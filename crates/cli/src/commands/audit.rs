//! `kapelle audit`: who did what, and whether the trail is whole.

use kapelle::store::{AuditHead, Reader};
use serde_json::json;

use crate::{
    app::App,
    failure::{Code, Failure},
    shown,
};

/// Entries read at a time.
const PAGE: u32 = 1_000;

/// Show administrative acts, or check that none was changed or taken out.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Show the acts, oldest first
    List,
    /// Check the chain of hashes
    Verify {
        /// An entry that must be there, as an earlier check printed it: what was cut off at the end is noticed by it
        #[arg(long, value_name = "SEQ:HASH")]
        expect: Option<String>,
    },
}

/// Runs the verb.
///
/// # Errors
/// When there is no folder, or the trail is not whole.
pub fn run(app: &App, args: &Args) -> Result<Code, Failure> {
    let reader = app.reader()?;
    match &args.verb {
        None | Some(Verb::List) => list(app, &reader),
        Some(Verb::Verify { expect }) => verify(app, &reader, expect.as_deref()),
    }
}

fn list(app: &App, reader: &dyn Reader) -> Result<Code, Failure> {
    let (mut rows, mut entries, mut after) = (Vec::new(), Vec::new(), 0);
    loop {
        let page = reader.audit_from(after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        for row in &page {
            let act = &row.act;
            entries.push(json!({
                "seq": row.seq, "at": shown::time_exact(row.at), "tenant": act.tenant.0, "actor": &*act.actor,
                "action": &*act.action, "resource": &*act.resource, "hash": hex(&row.hash),
            }));
            let who = [act.actor.to_string(), act.action.to_string(), act.resource.to_string()];
            rows.push([vec![row.seq.to_string(), shown::time(row.at)], who.to_vec()].concat());
        }
    }
    if app.out.json {
        app.out.print_json(&json!({ "entries": entries }))?;
    } else {
        app.out.print(&shown::table(&["SEQ", "AT", "ACTOR", "ACTION", "RESOURCE"], rows))?;
    }
    Ok(Code::Ok)
}

fn verify(app: &App, reader: &dyn Reader, expect: Option<&str>) -> Result<Code, Failure> {
    let expected = expect.map(|text| {
        let parts = text.split_once(':').and_then(|(seq, hash)| Some((seq.parse::<u64>().ok()?, hash.to_owned())));
        parts.ok_or_else(|| Failure::usage(format!("--expect {text}: SEQ:HASH is expected")))
    });
    let expected = expected.transpose()?;
    let mut head: Option<AuditHead> = None;
    let mut found = expected.is_none();
    loop {
        let page = reader.audit_from(head.map_or(0, |(seq, _)| seq), PAGE)?;
        if page.is_empty() {
            break;
        }
        for row in &page {
            row.follows(head).map_err(|what| Failure::new(Code::Failed, format!("the trail is not whole: {what}")))?;
            head = Some(row.head());
            found |= expected.as_ref().is_some_and(|(seq, hash)| *seq == row.seq && *hash == hex(&row.hash));
        }
    }
    if !found {
        let what = "the entry that was expected is not there: the trail was cut off or replaced";
        return Err(Failure::new(Code::Failed, what));
    }
    let (seq, hash) = head.map_or((0, String::new()), |(seq, hash)| (seq, hex(&hash)));
    if app.out.json {
        app.out.print_json(&json!({ "entries": seq, "head": format!("{seq}:{hash}") }))?;
    } else {
        app.out.print(&format!("the trail is whole: {seq} entries, the last is {seq}:{hash}"))?;
    }
    Ok(Code::Ok)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
