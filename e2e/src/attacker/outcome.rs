//! What the API server makes of an attempt.

use std::fmt;

/// Its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub code: u16,
    /// Who refused it; `None`: it was done.
    pub refusal: Option<Refusal>,
    /// In the server's words.
    pub message: String,
}

/// Who refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The account's role does not grant it.
    Role,
    /// The node authorizer: it is not this node's.
    NodeAuthorizer,
    /// The admission plugin `NodeRestriction`.
    NodeRestriction,
    /// A policy of ours.
    Policy,
    /// Nobody that is known here: what was asked may have no form.
    Other,
}

impl Answer {
    pub(super) fn new(code: u16, message: &str) -> Self {
        let done = (200..300).contains(&code);
        Self { code, refusal: (!done).then(|| Refusal::of(message)), message: message.to_owned() }
    }

    /// Whether the server did what was asked.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.refusal.is_none()
    }
}

impl Refusal {
    fn of(message: &str) -> Self {
        if message.contains("ValidatingAdmissionPolicy 'k8s-spot-handler-") {
            Self::Policy
        } else if message.contains("User \"system:serviceaccount:") && message.contains("cannot ") {
            Self::Role
        } else if message.contains("User \"system:node:") && message.contains("cannot ") {
            Self::NodeAuthorizer
        } else if ["node ", "is not allowed to modify labels"]
            .iter()
            .any(|words| message.contains(&format!("is forbidden: {words}")))
        {
            Self::NodeRestriction
        } else {
            Self::Other
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match &self.refusal {
            None => return f.write_str("done"),
            Some(Refusal::Role) => "role",
            Some(Refusal::NodeAuthorizer) => "node authorizer",
            Some(Refusal::NodeRestriction) => "NodeRestriction",
            Some(Refusal::Policy) => "policy",
            Some(Refusal::Other) => "?",
        };
        write!(f, "{} {by}", self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As kube-apiserver 1.34 and 1.37 write it.
    #[test]
    fn who_refused_is_told_by_the_words() {
        for (message, refusal) in [
            (
                "pods \"p\" is forbidden: User \"system:serviceaccount:s:k8s-spot-handler\" cannot create resource \"pods/eviction\" in API group \"\" in the namespace \"n\"",
                Refusal::Role,
            ),
            (
                "users \"system:node:a\" is forbidden: User \"system:serviceaccount:s:k8s-spot-handler\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope",
                Refusal::Role,
            ),
            (
                "pods is forbidden: User \"system:node:a\" cannot list resource \"pods\" in API group \"\" at the cluster scope: can only list/watch pods with spec.nodeName field selector",
                Refusal::NodeAuthorizer,
            ),
            (
                "nodes \"a\" is forbidden: node \"a\" is not allowed to modify taints",
                Refusal::NodeRestriction,
            ),
            (
                "pods \"p\" is forbidden: node a can only evict pods with spec.nodeName set to itself",
                Refusal::NodeRestriction,
            ),
            (
                "nodes \"a\" is forbidden: is not allowed to modify labels: node-restriction.kubernetes.io/pool",
                Refusal::NodeRestriction,
            ),
            (
                "ValidatingAdmissionPolicy 'k8s-spot-handler-nodes-s' with binding 'k8s-spot-handler-nodes-s' denied request: no",
                Refusal::Policy,
            ),
            ("pod \"p\" not found", Refusal::Other),
        ] {
            assert_eq!(Answer::new(403, message).refusal, Some(refusal), "{message}");
        }
        assert!(Answer::new(201, "").is_done());
    }
}
