//! One exchange after the other with the API server, over a connection that is kept.

use std::sync::Arc;
use std::time::Duration;

use crate::kube::access::Access;
use crate::kube::connection::Connection;
use crate::kube::reply::Reply;
use crate::kube::request::Request;
use crate::kube::token::Token;
use crate::kube::trouble::Trouble;
use crate::moment::Moment;

/// Whoever asks, and waits for the answer.
pub struct Client {
    access: Arc<Access>,
    connection: Option<Connection>,
}

impl Client {
    /// Connects with the first request.
    pub fn new(access: Arc<Access>) -> Self {
        Self { access, connection: None }
    }

    /// The request and its answer; what can be mended by asking once more is. All of it within
    /// `patience`, connecting included.
    ///
    /// # Errors
    /// There is no answer, in the user's words.
    pub fn send(&mut self, request: &Request, patience: Duration) -> Result<Reply, Trouble> {
        let until = self.access.clock().now() + patience;
        let kept = self.connection.is_some();
        let (reply, token) = match self.exchange(request, until) {
            // The server has closed a connection that was idle for a while. It may also have taken
            // the request and then died: no request does more when it is sent twice, for each
            // carries a UID, a resourceVersion, or the name of what it creates.
            Err(Trouble::Unanswered { .. }) if kept => self.exchange(request, until)?,
            outcome => outcome?,
        };
        let is_stale = || self.access.server().token().is_ok_and(|fresh| fresh != token);
        if reply.status == UNAUTHORIZED && is_stale() {
            return self.exchange(request, until).map(|(reply, _)| reply);
        }
        Ok(reply)
    }

    fn exchange(
        &mut self,
        request: &Request,
        until: Moment,
    ) -> Result<(Reply, Option<Token>), Trouble> {
        let answer = self.try_exchange(request, until);
        let status = answer.as_ref().ok().map(|(reply, _)| reply.status);
        self.access.server().exchanged(request, status);
        answer
    }

    fn try_exchange(
        &mut self,
        request: &Request,
        until: Moment,
    ) -> Result<(Reply, Option<Token>), Trouble> {
        let clock = self.access.clock();
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.access, clock.now().until(until))?,
        };
        let reply = connection.send(request, clock.now().until(until))?;
        let token = connection.token().cloned();
        // A new connection comes with the token that is in the file then.
        if connection.is_reusable() && reply.status != UNAUTHORIZED {
            self.connection = Some(connection);
        }
        Ok((reply, token))
    }
}

const UNAUTHORIZED: u16 = 401;
