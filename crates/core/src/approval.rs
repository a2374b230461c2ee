//! Rules about who may answer an approval step.

use serde::{Deserialize, Serialize};

/// Id of the folder's own token among the ids of keys.
pub const OWNER: &str = "token";

/// Words for roles. In a list of approvers such a word means the role, even if a key has that name.
pub const ROLES: [&str; 5] = ["admin", "operator", "developer", "viewer", "worker"];

/// Approval rule of a step.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ApprovalRule {
    /// Names or ids of keys, and roles. Empty: everybody with the permission to approve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<String>,
    /// Whether the key that started the run may answer. Default: only the folder's own token may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_starter: Option<bool>,
}

/// The key that is about to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Approver<'a> {
    /// Id of the key; [`OWNER`] for the folder's token.
    pub id: &'a str,
    /// Name for people.
    pub name: &'a str,
    /// Role as a word.
    pub role: &'a str,
}

impl Approver<'_> {
    /// Returns the folder's own token.
    #[must_use]
    pub fn owner() -> Approver<'static> {
        Approver { id: OWNER, name: OWNER, role: "admin" }
    }

    fn is(&self, entry: &str) -> bool {
        if ROLES.contains(&entry) { entry == self.role } else { entry == self.id || entry == self.name }
    }
}

impl ApprovalRule {
    /// Tells whether the rule has its default value.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == ApprovalRule::default()
    }

    /// Checks that a key may answer. `starter` is the key that started the run; `None` means the folder's own token.
    ///
    /// # Errors
    /// The reason for the refusal.
    pub fn check(&self, who: &Approver<'_>, starter: Option<&str>) -> Result<(), String> {
        if !self.approvers.is_empty() && !self.approvers.iter().any(|entry| who.is(entry)) {
            return Err(format!(
                "key `{}` ({}) is not among the approvers of this step; expected one of {}",
                who.name,
                who.role,
                self.approvers.join(", ")
            ));
        }
        let started = starter.unwrap_or(OWNER) == who.id;
        if started && !self.allow_starter.unwrap_or(who.id == OWNER) {
            return Err("the run was started with this key; another key has to answer, unless the step says \
                        `allow_starter: true`"
                .to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_starter_and_those_who_are_not_listed_may_not_answer() {
        let cfo = Approver { id: "key_1", name: "cfo", role: "developer" };
        let ops = Approver { id: "key_2", name: "developer", role: "operator" };
        let rule = |approvers: &[&str], allow_starter| ApprovalRule {
            approvers: approvers.iter().map(ToString::to_string).collect(),
            allow_starter,
        };
        for (rule, who, starter, may) in [
            (rule(&[], None), cfo, Some("key_2"), true),
            (rule(&[], None), cfo, Some("key_1"), false),
            (rule(&[], Some(true)), cfo, Some("key_1"), true),
            (rule(&[], Some(false)), cfo, Some("key_1"), false),
            (rule(&["cfo"], None), cfo, None, true),
            (rule(&["key_1"], None), cfo, None, true),
            (rule(&["cfo"], None), cfo, Some("key_1"), false),
            (rule(&["cfo"], None), ops, None, false),
            (rule(&["operator"], None), ops, None, true),
            // The name of a key cannot stand for a role.
            (rule(&["developer"], None), ops, None, false),
            (rule(&[], None), Approver::owner(), None, true),
            (rule(&[], Some(false)), Approver::owner(), None, false),
            (rule(&["cfo"], None), Approver::owner(), None, false),
            (rule(&["admin"], None), Approver::owner(), Some("key_1"), true),
        ] {
            assert_eq!(rule.check(&who, starter).is_ok(), may, "{rule:?} {who:?} {starter:?}");
        }
    }
}
