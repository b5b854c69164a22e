//! The thread: waits until anything happens at any of its sockets, and lets it happen.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::clock::Clock;
use crate::moment::Moment;
use crate::report::Teller;
use crate::report::fact::Fact;
use crate::report::server::connection::Waits;
use crate::report::server::connections::Connections;
use crate::report::server::endpoints::Endpoints;
use crate::report::server::listen;
use crate::report::server::pages::Pages;
use crate::report::server::request::Asked;

/// Listeners, clients, pages.
pub(super) struct Serving<P> {
    listeners: Vec<(TcpListener, Arc<Endpoints>)>,
    connections: Connections<TcpStream>,
    /// Until then nobody is let in.
    closed_until: Moment,
    /// Addresses that could not be had so far.
    missing: Vec<(SocketAddr, Endpoints)>,
    /// When they are tried again, and how long it is then to the next time.
    next_try: Moment,
    pause: Duration,
    clock: Clock,
    pages: P,
    tell: Teller,
}

/// From one try for an address that cannot be had to the next: twice as long each time, and at most a
/// minute.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Which sockets have something to say, in order.
#[derive(Default)]
struct Ready {
    /// Empty if nobody is let in.
    listeners: Vec<bool>,
    connections: Vec<bool>,
}

/// For how long nobody is let in where the system has no room for more (no descriptors, no memory).
/// As long as somebody waits to be let in, it would say so again at once, and for ever.
const PAUSE: Duration = Duration::from_secs(1);

impl<P: Pages> Serving<P> {
    pub(super) fn new(
        listeners: Vec<(TcpListener, Endpoints)>,
        missing: Vec<(SocketAddr, Endpoints)>,
        clock: Clock,
        pages: P,
        patience: Duration,
        tell: Teller,
    ) -> Self {
        let listeners = listeners.into_iter().map(|(it, endpoints)| (it, Arc::new(endpoints)));
        Self {
            listeners: listeners.collect(),
            connections: Connections::new(patience),
            closed_until: Moment::START,
            missing,
            next_try: clock.now() + FIRST_PAUSE,
            pause: FIRST_PAUSE,
            clock,
            pages,
            tell,
        }
    }

    /// `facts`: what is to be told first.
    pub(super) fn for_ever(mut self, facts: Vec<Fact>) {
        for fact in facts {
            (self.tell)(fact);
        }
        loop {
            let ready = self.wait();
            // Who is there comes before who wants in, and may take their place.
            self.answer(&ready.connections);
            self.connections.expire(self.clock.now());
            self.accept(&ready.listeners);
            self.try_again();
        }
    }

    /// Looks whether addresses can be had now that could not before.
    fn try_again(&mut self) {
        let now = self.clock.now();
        if self.missing.is_empty() || now < self.next_try {
            return;
        }
        for (address, endpoints) in std::mem::take(&mut self.missing) {
            match listen(address) {
                Ok(listener) => {
                    let pages = endpoints.to_string();
                    let address = listener.local_addr().unwrap_or(address);
                    self.listeners.push((listener, Arc::new(endpoints)));
                    (self.tell)(Fact::ListensAgain { address, pages });
                }
                Err(_) => self.missing.push((address, endpoints)),
            }
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.next_try = now + self.pause;
    }

    /// Waits until something happens; without end, if nothing is under way.
    fn wait(&self) -> Ready {
        let now = self.clock.now();
        let is_open = self.closed_until <= now;
        let reopens = (!is_open).then_some(self.closed_until);
        let tries = (!self.missing.is_empty()).then_some(self.next_try);
        let wake = [self.connections.next_end(), reopens, tries].into_iter().flatten().min();
        let left = wake.and_then(|wake| Timespec::try_from(now.until(wake)).ok());

        let open = self.listeners.iter().filter(|_| is_open);
        let mut sockets: Vec<PollFd<'_>> =
            open.map(|(listener, _)| PollFd::new(listener, PollFlags::IN)).collect();
        let open = sockets.len();
        sockets.extend(self.connections.iter().map(|connection| {
            let events = match connection.waits() {
                Waits::ToRead => PollFlags::IN,
                Waits::ToWrite => PollFlags::OUT,
            };
            PollFd::new(connection.socket(), events)
        }));
        match poll(&mut sockets, left.as_ref()) {
            Ok(_) => {
                let mut listeners: Vec<bool> =
                    sockets.iter().map(|socket| !socket.revents().is_empty()).collect();
                let connections = listeners.split_off(open);
                Ready { listeners, connections }
            }
            Err(Errno::INTR) => Ready::default(),
            Err(_) => {
                // No memory. It would say so again at once.
                self.clock.sleep_until(now + PAUSE);
                Ready::default()
            }
        }
    }

    /// Lets those go on that can.
    fn answer(&mut self, ready: &[bool]) {
        let Self { connections, pages, clock, .. } = self;
        let answer =
            |endpoints: &Endpoints, asked: &Asked| endpoints.answer(asked, pages, clock.now());
        let mut ready = ready.iter();
        connections.retain(|connection| {
            let can_go_on = ready.next().is_some_and(|ready| *ready);
            !can_go_on || connection.advance(&answer).is_continue()
        });
    }

    /// Lets in who waits, one at each listener: the others stay in the kernel's queue until those
    /// who are there have had their turn.
    fn accept(&mut self, ready: &[bool]) {
        for ((listener, endpoints), _) in
            self.listeners.iter().zip(ready).filter(|(_, ready)| **ready)
        {
            let now = self.clock.now();
            let accepted = listener.accept();
            match accepted.and_then(|(socket, _)| socket.set_nonblocking(true).map(|()| socket)) {
                Ok(socket) => self.connections.admit(socket, Arc::clone(endpoints), now),
                Err(error) if passes(&error) => {}
                Err(_) => self.closed_until = now + PAUSE,
            }
        }
    }
}

/// Whether it is over already: the client has gone again, or somebody else has taken it.
fn passes(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_has_gone_again_closes_no_door_but_a_lack_of_descriptors_does() {
        for errno in [Errno::AGAIN, Errno::INTR, Errno::CONNABORTED] {
            assert!(passes(&errno.into()), "{errno}");
        }
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::PERM] {
            assert!(!passes(&errno.into()), "{errno}");
        }
    }
}
