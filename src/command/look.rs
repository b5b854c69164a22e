//! `look`: see once whether an earlier process has left anything on the Node.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use crate::clock::Clock;
use crate::command::limited::done_within;
use crate::command::{Failure, api_server};
use crate::handler::threads::{UNMARKED, UNMARKED_AS_NODE, UNMARKED_AS_SERVICE_ACCOUNT};
use crate::kube::access::Access;
use crate::kube::client::Client;
use crate::kube::identity::Identity;
use crate::kube::server::Server;
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
/// The settings do not tell how the API server is reached, or the system gives no thread.
pub(super) fn look(settings: &Settings) -> Result<ExitCode, Failure> {
    let WhichNode::Named(name) = &settings.node else { return Ok(ExitCode::FAILURE) };
    let clock = Clock::start();
    let server = Arc::new(api_server(settings)?);
    let client = Client::new(Arc::new(Access::new(Arc::clone(&server), clock)));
    let seen = Arc::new(AtomicU8::new(SOMETHING));
    let (name, found) = (name.clone(), Arc::clone(&seen));
    let look = move || found.store(status(client, &server, &name), Ordering::Release);
    // Nothing comes where the name of the API server is not resolved in time.
    let _ = done_within(TIMEOUT, clock, Box::new(look))?;
    Ok(ExitCode::from(seen.load(Ordering::Acquire)))
}

const SOMETHING: u8 = 1;

fn status(mut client: Client, server: &Server, name: &str) -> u8 {
    let request = request::read_node(name);
    let Ok(reply) = client.send(&request, TIMEOUT) else { return SOMETHING };
    match reply::node(name, &request, &reply) {
        NodeAnswer::Is(node) if node.state == Remembered::Nothing => match server.identity() {
            Some(Identity::ServiceAccount(_)) => UNMARKED_AS_SERVICE_ACCOUNT,
            Some(Identity::Node) => UNMARKED_AS_NODE,
            None => UNMARKED,
        },
        _ => SOMETHING,
    }
}
