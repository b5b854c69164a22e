//! What a program asked through a relay, from the program's side: for it a request is open until its answer is
//! there or it has given it up, whatever the server has done meanwhile.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use super::Passing;
use crate::lock;

/// One request.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As it came.
    pub request: Passing,
    /// When.
    pub received: Timestamp,
    /// When its answer was complete, or it was given up.
    pub answered: Option<Timestamp>,
    /// The status of the answer, if one has come.
    pub status: Option<u16>,
    /// The answer, where it is not that to a watch.
    pub answer: String,
    /// Whether the server was asked.
    pub passed_on: bool,
    /// Whether it met a fault.
    pub met_fault: bool,
    /// It came on a connection that had been frozen, some time after it was sent.
    pub thawed: bool,
}

/// All of them. Clones share it.
#[derive(Clone, Default)]
pub struct Journal(Arc<Mutex<Vec<Entry>>>);

impl Journal {
    /// In the order in which they came.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        lock(&self.0).clone()
    }

    pub(super) fn open(&self, request: Passing, met_fault: bool, thawed: bool) -> Open {
        let mut entries = lock(&self.0);
        entries.push(Entry {
            request,
            received: Timestamp::now(),
            answered: None,
            status: None,
            answer: String::new(),
            passed_on: false,
            met_fault,
            thawed,
        });
        Open { journal: self.clone(), index: entries.len() - 1 }
    }

    /// No more is to be known of what is open: its connection is frozen.
    pub(super) fn lose(&self) {
        let now = Timestamp::now();
        for entry in lock(&self.0).iter_mut() {
            entry.answered.get_or_insert(now);
        }
    }
}

/// A request until its answer is complete, or it is given up: until it is dropped.
pub struct Open {
    journal: Journal,
    index: usize,
}

impl Open {
    /// The server is asked.
    pub(super) fn passed_on(&mut self) {
        self.change(|entry| entry.passed_on = true);
    }

    /// The answer begins.
    pub(super) fn begun(&mut self, status: u16) {
        self.change(|entry| entry.status = Some(status));
    }

    /// The answer is this.
    pub(super) fn answered(&mut self, body: &[u8]) {
        let text = String::from_utf8_lossy(body).into_owned();
        self.change(|entry| entry.answer = text);
    }

    /// It is open no longer, though its answer goes on.
    pub(super) fn close(&mut self) {
        self.change(|entry| _ = entry.answered.get_or_insert_with(Timestamp::now));
    }

    fn change(&mut self, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = lock(&self.journal.0).get_mut(self.index) {
            change(entry);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.close();
    }
}
