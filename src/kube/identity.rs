//! The identity of requests. From Kubernetes 1.36 on the API server lets a ServiceAccount act as
//! the node that its own pod runs on, and as no other (constrained impersonation, KEP-5284): what is
//! asked then is held to that node by the same rules as its kubelet. Pure.

use std::fmt;

use ureq_proto::http::HeaderValue;

use crate::kube::reply::{self, Reply};

/// The identity that requests are to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// As the node where the API server allows it, else as the ServiceAccount.
    Auto,
    /// As the node, whatever the API server says.
    Node,
    /// As the ServiceAccount, or another subject of the credentials.
    #[default]
    ServiceAccount,
}

impl Choice {
    /// As a setting has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Node => "node",
            Self::ServiceAccount => "service-account",
        }
    }
}

/// What was found out by asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Requests are made as the node.
    Node,
    /// They are made as the ServiceAccount, for the API server does not allow the other; with its message, where it
    /// is known.
    ServiceAccount(Option<String>),
}

impl Identity {
    fn is_same(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node => f.write_str(
                "requests are made in the name of this node: the API server itself holds this handler to it",
            ),
            Self::ServiceAccount(why) => {
                f.write_str("requests are made in the name of the ServiceAccount: the API server does not let it act as its node")?;
                match why {
                    Some(why) => write!(f, " ({why})"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// The identity of the next request.
#[derive(Debug, Default)]
pub(super) struct Naming {
    choice: Choice,
    /// `system:node:NAME`, once the node's name is known.
    node: Option<HeaderValue>,
    found: Option<Identity>,
    /// What [`Naming::news`] returned last.
    reported: Option<Identity>,
}

impl Naming {
    pub(super) fn new(choice: Choice, node: Option<&str>) -> Self {
        let mut naming = Self { choice, ..Self::default() };
        if let Some(node) = node {
            naming.node_is(node);
        }
        naming
    }

    /// Whether the node's name is needed.
    pub(super) fn wants_node(&self) -> bool {
        self.choice != Choice::ServiceAccount && self.node.is_none()
    }

    /// Sets the node's name.
    pub(super) fn node_is(&mut self, name: &str) {
        // A name that no header can carry is no node's.
        self.node = HeaderValue::try_from(format!("system:node:{name}")).ok();
    }

    /// The value of `Impersonate-User` for the next request, if it is to have one.
    pub(super) fn impersonated(&self) -> Option<HeaderValue> {
        match (self.choice, &self.found) {
            (Choice::ServiceAccount, _) | (Choice::Auto, Some(Identity::ServiceAccount(_))) => None,
            (Choice::Node | Choice::Auto, _) => self.node.clone(),
        }
    }

    /// Takes in the answer to a request in the node's name; `None`: its stream is open. True if the same is
    /// to be asked in the ServiceAccount's name.
    pub(super) fn answered_node(&mut self, reply: Option<&Reply>) -> bool {
        if self.choice != Choice::Auto {
            return false;
        }
        let refused = reply.and_then(reply::refused_impersonation);
        match (refused, &self.found) {
            (Some(why), _) => {
                self.found = Some(Identity::ServiceAccount(Some(why)));
                true
            }
            // A ServiceAccount that may impersonate any user acts as a node without its rights: the API server then
            // says only that the node may not.
            (None, None) if reply.is_some_and(|reply| reply.status == FORBIDDEN) => true,
            (None, None) if reply.is_none_or(|reply| reply.status < 300) => {
                self.found = Some(Identity::Node);
                false
            }
            (None, _) => false,
        }
    }

    /// Takes in the answer to the same request in the name of the ServiceAccount.
    pub(super) fn answered_anew(&mut self, status: u16) {
        if self.found.is_none() && status < 300 {
            self.found = Some(Identity::ServiceAccount(None));
        }
    }

    /// The ServiceAccount lacks a right of its own: maybe it may act as the node by now.
    pub(super) fn forbidden(&mut self) {
        self.found = None;
    }

    /// What was found out, where that was to be.
    pub(super) fn found(&self) -> Option<&Identity> {
        self.found.as_ref().filter(|_| self.choice == Choice::Auto)
    }

    /// The same, if it has changed since the last call.
    pub(super) fn news(&mut self) -> Option<Identity> {
        let found = self
            .found()
            .filter(|found| !self.reported.as_ref().is_some_and(|last| last.is_same(found)));
        let found = found.cloned()?;
        self.reported = Some(found.clone());
        Some(found)
    }
}

const FORBIDDEN: u16 = 403;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::reply::KnownBy;

    fn reply(status: u16, message: &str) -> Reply {
        let body = format!(
            r#"{{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","message":"{message}"}}"#
        );
        Reply { status, retry_after: None, date: None, by: KnownBy::Token, body: body.into_bytes() }
    }

    /// As kube-apiserver 1.34 and 1.37 write it.
    fn refused() -> Reply {
        reply(
            403,
            r#"nodes \"n1\" is forbidden: User \"system:serviceaccount:kube-system:k8s-spot-handler\" cannot impersonate:associated-node resource \"nodes\" in API group \"authentication.k8s.io\" at the cluster scope"#,
        )
    }

    fn auto() -> Naming {
        Naming::new(Choice::Auto, Some("n1"))
    }

    fn name(naming: &Naming) -> Option<String> {
        naming.impersonated().map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_node_is_tried_first_and_stays_where_it_is_let() {
        let mut naming = auto();
        assert_eq!(name(&naming).as_deref(), Some("system:node:n1"));
        assert_eq!(naming.found(), None);
        assert!(!naming.answered_node(Some(&reply(200, ""))));
        assert_eq!(naming.found(), Some(&Identity::Node));
        // Then a refusal is one of that request.
        assert!(!naming.answered_node(Some(&reply(403, "no"))));
        assert_eq!(naming.found(), Some(&Identity::Node));
        assert!(name(&naming).is_some());
    }

    #[test]
    fn a_refused_impersonation_leads_to_the_service_account() {
        for known in [false, true] {
            let mut naming = auto();
            if known {
                naming.answered_node(Some(&reply(200, "")));
            }
            assert!(naming.answered_node(Some(&refused())));
            assert!(
                matches!(naming.found(), Some(Identity::ServiceAccount(Some(why))) if why.contains("cannot impersonate"))
            );
            assert_eq!(name(&naming), None);
        }
    }

    #[test]
    fn a_service_account_that_lost_its_rights_tries_the_node_again() {
        let mut naming = auto();
        naming.answered_node(Some(&refused()));
        assert!(naming.news().is_some());
        naming.forbidden();
        assert!(name(&naming).is_some());
        naming.answered_node(Some(&refused()));
        assert_eq!(naming.news(), None, "the same is not told twice");
        naming.forbidden();
        naming.answered_node(Some(&reply(200, "")));
        assert_eq!(naming.news(), Some(Identity::Node));
    }

    #[test]
    fn one_who_may_act_as_anybody_is_no_node() {
        let mut naming = auto();
        let no_rights =
            reply(403, r#"nodes \"n1\" is forbidden: User \"system:node:n1\" cannot get resource"#);
        assert!(naming.answered_node(Some(&no_rights)));
        assert_eq!(naming.found(), None);
        naming.answered_anew(403);
        assert_eq!(naming.found(), None);
        assert!(name(&naming).is_some());
        naming.answered_anew(200);
        assert_eq!(naming.found(), Some(&Identity::ServiceAccount(None)));
        assert_eq!(name(&naming), None);
    }

    #[test]
    fn an_answer_that_says_nothing_of_it_decides_nothing() {
        let mut naming = auto();
        for status in [301, 401, 404, 409, 429, 500] {
            assert!(!naming.answered_node(Some(&reply(status, ""))), "{status}");
        }
        assert_eq!(naming.found(), None);
        // A stream that opens is an answer, too.
        assert!(!naming.answered_node(None));
        assert_eq!(naming.found(), Some(&Identity::Node));
    }

    #[test]
    fn what_was_chosen_is_not_found_out() {
        let mut naming = Naming::new(Choice::Node, Some("n1"));
        assert!(!naming.answered_node(Some(&refused())));
        assert!(name(&naming).is_some() && naming.found().is_none());
        let naming = Naming::new(Choice::ServiceAccount, Some("n1"));
        assert!(name(&naming).is_none() && !naming.wants_node());
    }

    #[test]
    fn without_a_name_nobody_is_impersonated() {
        let mut naming = Naming::new(Choice::Auto, None);
        assert!(naming.wants_node() && name(&naming).is_none());
        naming.node_is("n1\r\nX: y");
        assert!(name(&naming).is_none());
        naming.node_is("n1");
        assert_eq!(name(&naming).as_deref(), Some("system:node:n1"));
    }
}
