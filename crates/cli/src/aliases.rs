//! Checks whether a model is behind the aliases that a workflow asks.

use std::collections::{BTreeMap, BTreeSet};

use kapelle::{
    core::definition::{Action, Definition},
    gateway::AliasStatus,
    workers::Catalogue,
};

use crate::out::Out;

/// Warns once for every reason why answers will be offline.
pub fn warn(out: Out, definition: &Definition, catalogue: &Catalogue, aliases: &[AliasStatus]) {
    let mut asked: BTreeSet<String> = BTreeSet::new();
    for step in definition.blocks.iter().flat_map(|block| &block.steps) {
        let Action::Worker { worker, .. } = &step.action else { continue };
        let alias = catalogue.get(worker.as_str()).and_then(|worker| worker.spec().model.clone());
        asked.extend(alias.map(|alias| alias.to_string()));
    }
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for status in aliases.iter().filter(|status| !status.live && asked.contains(&status.alias)) {
        let reason = status.reason.as_deref().unwrap_or("the alias is offline");
        reasons.entry(reason).or_default().push(&status.alias);
    }
    for (reason, aliases) in reasons {
        let models = if aliases.len() == 1 { "model" } else { "models" };
        let names = aliases.join("`, `");
        out.warn(&format!("{reason} (for the {models} `{names}`): answers are offline and marked degraded"));
    }
}
