//! What a server was asked, and what it said.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::http::Request;
use crate::lock;

/// All requests of a server, in the order of their arrival. Clones share it.
/// `K` is the server's kind of request. Credentials are not written down.
#[derive(Debug, Clone)]
pub struct Journal<K> {
    book: Arc<Book<K>>,
}

#[derive(Debug)]
struct Book<K> {
    started: Instant,
    entries: Mutex<Vec<Entry<K>>>,
    written: Condvar,
}

/// One request and its answer.
#[derive(Debug, Clone)]
pub struct Entry<K> {
    /// When its last byte had come, since the server's start.
    pub at: Duration,
    /// When the server was ready to answer, or saw the client give up, since
    /// its start. A watch counts as answered when it begins.
    pub answered: Option<Duration>,
    /// The connection it came on, counted from 1.
    pub connection: u64,
    /// What kind of request it is.
    pub kind: K,
    /// The HTTP method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query's pairs, decoded.
    pub query: Vec<(String, String)>,
    /// The `Content-Type` of the body.
    pub content_type: Option<String>,
    /// The body; what is not UTF-8 in it is replaced.
    pub body: String,
    /// `namespace/name` of the pod it is about.
    pub pod: Option<String>,
    /// The code of the answer; `None` while there is none, or where the
    /// connection was cut or left hanging instead.
    pub code: Option<u16>,
}

impl<K> Entry<K> {
    /// The value of a query parameter.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON, `Null` if it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// The line a request has in the journal, to be completed by its answer.
pub(crate) struct Line(usize);

impl<K: Copy + PartialEq> Journal<K> {
    pub(crate) fn new() -> Self {
        let book =
            Book { started: Instant::now(), entries: Mutex::default(), written: Condvar::new() };
        Self { book: Arc::new(book) }
    }

    /// The time on the journal's clock.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.book.started.elapsed()
    }

    pub(crate) fn started(&self) -> Instant {
        self.book.started
    }

    /// A copy of all entries.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry<K>>
    where
        K: Clone,
    {
        lock(&self.book.entries).clone()
    }

    /// The entries of one kind.
    #[must_use]
    pub fn of(&self, kind: K) -> Vec<Entry<K>> {
        self.select(|entry| entry.kind == kind)
    }

    /// The entries about one pod, `namespace/name`.
    #[must_use]
    pub fn of_pod(&self, name: &str) -> Vec<Entry<K>> {
        self.select(|entry| entry.pod.as_deref() == Some(name))
    }

    /// How many requests of one kind have come.
    #[must_use]
    pub fn count(&self, kind: K) -> usize {
        lock(&self.book.entries).iter().filter(|entry| entry.kind == kind).count()
    }

    /// How many requests have come.
    #[must_use]
    pub fn len(&self) -> usize {
        lock(&self.book.entries).len()
    }

    /// Whether none has come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most requests of one kind that were open at the same time.
    #[must_use]
    pub fn most_in_flight(&self, kind: K) -> usize {
        most_open(self.of(kind).iter())
    }

    /// The most requests about one and the same pod that were open at the same
    /// time.
    #[must_use]
    pub fn most_in_flight_per_pod(&self) -> usize {
        let entries = self.select(|entry| entry.pod.is_some());
        let mut pods: Vec<_> = entries.iter().map(|entry| &entry.pod).collect();
        pods.sort();
        pods.dedup();
        pods.into_iter()
            .map(|pod| most_open(entries.iter().filter(|entry| entry.pod == *pod)))
            .max()
            .unwrap_or(0)
    }

    /// Waits until the entries are as wished, at most that long. Whether they
    /// became so.
    #[must_use]
    pub fn wait_until(
        &self,
        at_most: Duration,
        mut wished: impl FnMut(&[Entry<K>]) -> bool,
    ) -> bool {
        let entries = lock(&self.book.entries);
        let waited =
            self.book.written.wait_timeout_while(entries, at_most, |entries| !wished(entries));
        waited.is_ok_and(|(_, time_out)| !time_out.timed_out())
    }

    /// Forgets what was written so far. Only between requests: one that is
    /// open loses its answer.
    pub fn clear(&self) {
        lock(&self.book.entries).clear();
    }

    pub(crate) fn open(
        &self,
        kind: K,
        pod: Option<String>,
        connection: u64,
        request: &Request,
    ) -> Line {
        let mut entries = lock(&self.book.entries);
        entries.push(Entry {
            at: self.now(),
            answered: None,
            connection,
            kind,
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            content_type: request.header("content-type").map(str::to_owned),
            body: String::from_utf8_lossy(&request.body).into_owned(),
            pod,
            code: None,
        });
        self.book.written.notify_all();
        Line(entries.len() - 1)
    }

    pub(crate) fn close(&self, line: &Line, code: Option<u16>) {
        let now = self.now();
        if let Some(entry) = lock(&self.book.entries).get_mut(line.0) {
            entry.answered = Some(now);
            entry.code = code;
        }
        self.book.written.notify_all();
    }

    fn select(&self, wanted: impl Fn(&Entry<K>) -> bool) -> Vec<Entry<K>> {
        lock(&self.book.entries).iter().filter(|entry| wanted(entry)).cloned().collect()
    }
}

impl<K: fmt::Debug> fmt::Display for Entry<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:9.3} #{:<3} ", self.at.as_secs_f64(), self.connection)?;
        match self.code {
            Some(code) => write!(f, "{code}")?,
            None => f.write_str("  –")?,
        }
        write!(f, " {:6} {}", self.method, self.path)?;
        for (index, (key, value)) in self.query.iter().enumerate() {
            write!(f, "{}{key}={value}", if index == 0 { '?' } else { '&' })?;
        }
        if self.body.is_empty() { Ok(()) } else { write!(f, " {}", self.body) }
    }
}

impl<K: fmt::Debug + Copy + PartialEq> fmt::Display for Journal<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries().iter().try_for_each(|entry| writeln!(f, "{entry}"))
    }
}

/// The deepest overlap of the entries' times.
fn most_open<'a, K: 'a>(entries: impl Iterator<Item = &'a Entry<K>>) -> usize {
    let mut turns: Vec<(Duration, isize)> = Vec::new();
    for entry in entries {
        turns.push((entry.at, 1));
        turns.push((entry.answered.unwrap_or(Duration::MAX), -1));
    }
    // At the same moment an end comes before a beginning.
    turns.sort();
    let mut open = 0;
    let mut most = 0;
    for (_, turn) in turns {
        open += turn;
        most = most.max(open);
    }
    usize::try_from(most).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_in_flight_are_counted_for_each_pod() {
        let journal = Journal::new();
        let open = |pod: &str| journal.open('e', Some(pod.to_owned()), 1, &Request::default());
        let first = open("a/b");
        let other = open("a/c");
        assert_eq!((journal.most_in_flight('e'), journal.most_in_flight_per_pod()), (2, 1));
        journal.close(&first, Some(429));
        journal.close(&other, Some(201));
        let second = open("a/b");
        assert_eq!(journal.most_in_flight_per_pod(), 1, "one after the other");
        open("a/b");
        assert_eq!((journal.most_in_flight('e'), journal.most_in_flight_per_pod()), (2, 2));
        journal.close(&second, None);
        assert!(journal.wait_until(Duration::ZERO, |all| all.len() == 4));
        assert!(!journal.wait_until(Duration::ZERO, |all| all.len() == 5));
    }
}
