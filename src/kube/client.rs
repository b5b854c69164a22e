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
        let mut connection = match self.connection.take().and_then(Connection::if_idle) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::server::Listener;
    use crate::kube::stand_in::{LONG, SHORT, StandIn, get};
    use std::sync::{Mutex, mpsc};

    #[test]
    fn what_an_idle_connection_was_told_is_nobodys_answer() {
        let ((go, gone), (tell, told)) = (mpsc::channel(), mpsc::channel());
        let gone = Mutex::new(gone);
        let server = StandIn::start(move |number, mut peer| {
            while peer.hears().is_some() {
                peer.says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
                if number == 0 {
                    gone.lock().unwrap().recv().unwrap();
                    peer.says(b"HTTP/1.1 408 Request Time-out\r\nConnection: close\r\n\r\n");
                    let _ = tell.send(());
                }
            }
        });
        let api = server.server();
        let statuses = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&statuses);
        api.tell(Listener {
            exchanged: Box::new(move |_, status| heard.lock().unwrap().push(status)),
            identified: Box::new(|_| {}),
        });
        let access = Access::new(api, crate::clock::Clock::start());
        let mut client = Client::new(Arc::new(access));
        assert_eq!(client.send(&get("/api"), LONG).unwrap().status, 200);
        go.send(()).unwrap();
        told.recv().unwrap();
        // A moment more than loopback needs.
        let _ = told.recv_timeout(SHORT);
        assert_eq!(client.send(&get("/api"), LONG).unwrap().status, 200);
        // What was not sent is not counted.
        assert_eq!(*statuses.lock().unwrap(), [Some(200), Some(200)]);
    }
}
