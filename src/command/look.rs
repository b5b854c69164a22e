//! `look`: see once whether an earlier process has left anything on the Node.

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::command::caller::Caller;
use crate::command::{Failure, api_server};
use crate::handler::threads::{UNMARKED, UNMARKED_AS_NODE, UNMARKED_AS_SERVICE_ACCOUNT};
use crate::kube::identity::Identity;
use crate::kube::workers::Workers;
use crate::kube::{reply, request};
use crate::node::NodeAnswer;
use crate::node::state::Remembered;
use crate::settings::{Settings, WhichNode};

/// How long it may take: who started it then looks for itself.
const TIMEOUT: Duration = Duration::from_secs(5);

/// [`UNMARKED`], or [`UNMARKED_AS_SERVICE_ACCOUNT`] where that was to be found out; failure if
/// something is there, or if that cannot be seen. Says nothing: it is started by `run`, which says what
/// there is to say.
///
/// # Errors
/// The settings do not tell how the API server is reached.
pub(super) fn look(settings: &Settings) -> Result<ExitCode, Failure> {
    let WhichNode::Named(name) = &settings.node else { return Ok(ExitCode::FAILURE) };
    let server = Arc::new(api_server(settings)?);
    let clock = Clock::start();
    let workers = Workers::new(Arc::clone(&server), clock, NonZeroUsize::MIN);
    let request = request::read_node(name);
    let reply = Caller::new(clock, workers).ask(&request, TIMEOUT);
    let unmarked = reply.is_ok_and(|reply| {
        matches!(reply::node(name, &request, &reply),
            NodeAnswer::Is(node) if node.state == Remembered::Nothing)
    });
    if !unmarked {
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::from(match server.identity() {
        Some(Identity::ServiceAccount(_)) => UNMARKED_AS_SERVICE_ACCOUNT,
        Some(Identity::Node) => UNMARKED_AS_NODE,
        None => UNMARKED,
    }))
}
