//! The clients that are there: not too many, and none for long.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::moment::Moment;
use crate::report::server::connection::{Connection, Socket};
use crate::report::server::endpoints::Endpoints;

/// At a time. A Prometheus, the kubelet and a person are three.
pub(super) const MOST: usize = 16;
/// From the moment in which a client is let in until it is closed, whatever it does.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The clients.
#[derive(Debug)]
pub(super) struct Connections<S> {
    /// The oldest first.
    all: VecDeque<Connection<S>>,
    /// How long each may stay.
    patience: Duration,
}

impl<S: Socket> Connections<S> {
    pub(super) fn new(patience: Duration) -> Self {
        Self { all: VecDeque::new(), patience }
    }

    /// Lets a client in. If there is no room for it, the oldest has had the most time of all, and is
    /// closed.
    pub(super) fn admit(&mut self, socket: S, endpoints: Arc<Endpoints>, now: Moment) {
        if self.all.len() >= MOST {
            self.all.pop_front();
        }
        self.all.push_back(Connection::new(socket, endpoints, now + self.patience));
    }

    /// Closes those whose time is over.
    pub(super) fn expire(&mut self, now: Moment) {
        while self.all.front().is_some_and(|oldest| oldest.until() <= now) {
            self.all.pop_front();
        }
        if self.all.is_empty() {
            // Nothing is kept for clients that are not there.
            self.all = VecDeque::new();
        }
    }

    /// When the next one's time is over.
    pub(super) fn next_end(&self) -> Option<Moment> {
        self.all.front().map(Connection::until)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Connection<S>> {
        self.all.iter()
    }

    /// Lets each go on, in order, and closes those for which `go_on` says no.
    pub(super) fn retain(&mut self, go_on: impl FnMut(&mut Connection<S>) -> bool) {
        self.all.retain_mut(go_on);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::server::connection::stand_in::{Line, endpoints};

    fn at(milliseconds: u64) -> Moment {
        Moment::at(Duration::from_millis(milliseconds))
    }

    fn numbers(connections: &Connections<Line>) -> Vec<usize> {
        connections.iter().map(|connection| connection.socket().number).collect()
    }

    #[test]
    fn a_client_stays_for_its_time_and_no_longer_whatever_it_does() {
        let mut connections = Connections::new(PATIENCE);
        assert_eq!(connections.next_end(), None);
        for (number, now) in [(0, 1000), (1, 1000), (2, 3000)] {
            connections.admit(Line { number, ..Line::default() }, endpoints(), at(now));
        }
        assert_eq!(connections.next_end(), Some(at(6000)));
        // Each goes on all the time.
        connections.retain(|_| true);
        connections.expire(at(5999));
        assert_eq!(numbers(&connections), [0, 1, 2]);
        connections.expire(at(6000));
        assert_eq!((numbers(&connections), connections.next_end()), (vec![2], Some(at(8000))));
        connections.expire(at(8000));
        assert_eq!((numbers(&connections), connections.next_end()), (vec![], None));
    }

    #[test]
    fn one_too_many_takes_the_place_of_the_oldest() {
        let mut connections = Connections::new(PATIENCE);
        for number in 0..MOST + 3 {
            connections.admit(Line { number, ..Line::default() }, endpoints(), at(0));
        }
        assert_eq!(numbers(&connections), (3..MOST + 3).collect::<Vec<_>>());
        connections.retain(|connection| connection.socket().number != 5);
        assert_eq!(numbers(&connections).len(), MOST - 1);
    }
}
