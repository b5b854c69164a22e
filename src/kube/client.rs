//! One exchange after the other with the API server, over a connection that is kept.

use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
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
        self.send_until_given_up(request, patience, &Interest::default())
    }

    /// The same, until nobody is interested in the answer any more.
    ///
    /// # Errors
    /// There is no answer, in the user's words.
    pub fn send_until_given_up(
        &mut self,
        request: &Request,
        patience: Duration,
        interest: &Interest,
    ) -> Result<Reply, Trouble> {
        let since = self.access.clock().now();
        self.send_while(request, since + patience, interest).map_err(|trouble| {
            if interest.is_lost() {
                let after = self.access.clock().now().since(since);
                Trouble::GivenUp { asked: request.to_string(), after }
            } else {
                trouble
            }
        })
    }

    fn send_while(
        &mut self,
        request: &Request,
        until: Moment,
        interest: &Interest,
    ) -> Result<Reply, Trouble> {
        let kept = self.connection.is_some();
        let (reply, token) = match self.exchange(request, until, interest) {
            // The server has closed a connection that was idle for a while. It may also have taken
            // the request and then died: no request does more when it is sent twice, for each
            // carries a UID, a resourceVersion, or the name of what it creates.
            Err(Trouble::Unanswered { .. }) if kept && !interest.is_lost() => {
                self.exchange(request, until, interest)?
            }
            outcome => outcome?,
        };
        let is_stale = || self.access.server().token().is_ok_and(|fresh| fresh != token);
        if reply.status == UNAUTHORIZED && is_stale() {
            return self.exchange(request, until, interest).map(|(reply, _)| reply);
        }
        Ok(reply)
    }

    fn exchange(
        &mut self,
        request: &Request,
        until: Moment,
        interest: &Interest,
    ) -> Result<(Reply, Option<Token>), Trouble> {
        let answer = self.try_exchange(request, until, interest);
        let status = answer.as_ref().ok().map(|(reply, _)| reply.status);
        self.access.server().exchanged(request, status);
        answer
    }

    fn try_exchange(
        &mut self,
        request: &Request,
        until: Moment,
        interest: &Interest,
    ) -> Result<(Reply, Option<Token>), Trouble> {
        let clock = self.access.clock();
        let kept = self.connection.take().and_then(Connection::if_idle);
        let mut connection = if let Some(connection) = kept {
            connection
        } else {
            // However long the answer may take: whoever is there accepts a connection soon.
            let patience = clock.now().until(until).min(CONNECT_TIMEOUT);
            Connection::open(&self.access, patience)?
        };
        interest.depends_on(connection.socket());
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

/// How long a connection may take, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether an answer is still waited for. Once it is not, its connection is shut.
#[derive(Default)]
pub struct Interest(Mutex<State>);

enum State {
    /// The connection over which it is to come, if there is one yet.
    Waiting(Weak<TcpStream>),
    Lost,
}

impl Default for State {
    fn default() -> Self {
        Self::Waiting(Weak::new())
    }
}

impl Interest {
    /// The answer is waited for no longer.
    pub fn lose(&self) {
        if let State::Waiting(socket) = std::mem::replace(&mut *self.lock(), State::Lost) {
            shut(&socket);
        }
    }

    fn is_lost(&self) -> bool {
        matches!(*self.lock(), State::Lost)
    }

    fn depends_on(&self, socket: &Arc<TcpStream>) {
        let socket = Arc::downgrade(socket);
        match &mut *self.lock() {
            State::Waiting(before) => *before = socket,
            State::Lost => shut(&socket),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shut(socket: &Weak<TcpStream>) {
    if let Some(socket) = socket.upgrade() {
        // It fails only on a socket that has ended by itself.
        let _ = socket.shutdown(Shutdown::Both);
    }
}

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
