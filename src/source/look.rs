//! One look at everything that is polled, for a check by hand.

use std::time::Duration;

use crate::clock::Clock;
use crate::notice::{NoticePath, Polled};
use crate::source::Source;
use crate::source::http;
use crate::source::imds::Client;

/// What one look gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// What came of asking for a token.
    pub token: Token,
    /// What each path says; `None`: it was not asked, for want of a token.
    pub paths: Vec<(NoticePath, Option<Polled>)>,
}

/// What the metadata service says to whoever wants a token (IMDSv2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// It gives one, after this time.
    Given(Duration),
    /// It offers none, with this status (404 or 405); it is asked without.
    NotOffered(u16),
    /// None came.
    Failed {
        /// What came instead.
        found: String,
        /// What to do.
        remedy: &'static str,
    },
}

impl Source {
    /// Asks for a token, then for each path once. A request takes a second at most.
    pub fn look(&self, clock: Clock) -> Look {
        let mut client = Client::new(self.metadata_url.clone(), self.v1_fallback);
        let began = clock.now();
        let opened = client.open(began, &mut http::send);
        let token = match (opened, client.take_fallback()) {
            (Err(failure), _) => {
                let (found, remedy) = failure.told();
                Token::Failed { found, remedy }
            }
            (Ok(()), Some(status)) => Token::NotOffered(status),
            (Ok(()), None) => Token::Given(clock.now().since(began)),
        };
        let is_closed = matches!(token, Token::Failed { .. });
        let paths = self.pressing_lanes().chain(self.calm_lanes()).map(|mut lane| {
            let path = lane.path;
            let is_in_vain = is_closed && lane.address().is_on(&self.metadata_url);
            let polled = || lane.poll(&mut client, clock.now(), &mut http::send);
            (path, (!is_in_vain).then(polled))
        });
        Look { token, paths: paths.collect() }
    }
}
