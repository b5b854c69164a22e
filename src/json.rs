//! JSON beyond what miniserde derives: text that is written part by part (to build miniserde's values first would be
//! half as much code again), and objects that are read one member after the other.

use miniserde::de::{Map, Visitor};
use miniserde::{Deserialize, json, make_place};

/// An object that is being written. A key must not be given twice.
pub(crate) struct Object(String);

impl Object {
    pub(crate) fn new() -> Self {
        Self("{".to_owned())
    }

    /// With a string at this key.
    pub(crate) fn text(self, key: &str, value: &str) -> Self {
        self.json(key, &text(value))
    }

    /// With a value at this key that is JSON already.
    pub(crate) fn json(mut self, key: &str, value: &str) -> Self {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0 += &text(key);
        self.0.push(':');
        self.0 += value;
        self
    }

    /// All of it.
    pub(crate) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// A list of these values, which are JSON.
pub(crate) fn list(values: &[String]) -> String {
    format!("[{}]", values.join(","))
}

/// A string.
pub(crate) fn text(text: &str) -> String {
    json::to_string(text)
}

/// `text` escaped for a JSON string, without quotation marks.
pub(crate) fn escaped(text: &str) -> String {
    let quoted = json::to_string(text);
    let inside = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inside.unwrap_or_default().to_owned()
}

/// An object that is read one member after the other, in its order.
pub(crate) struct Members<T>(pub(crate) T);

/// What [`Members`] come to.
pub(crate) trait FromMembers: Default {
    /// The type of every value.
    type Value: Deserialize;

    /// Takes in the next member. A name may come more than once.
    fn member(&mut self, name: &str, value: Self::Value);
}

make_place!(Place);

impl<T: FromMembers> Visitor for Place<Members<T>> {
    fn map(&mut self) -> miniserde::Result<Box<dyn Map + '_>> {
        let (name, value) = (String::new(), None);
        Ok(Box::new(ReadingMembers { out: &mut self.out, so_far: T::default(), name, value }))
    }
}

impl<T: FromMembers> Deserialize for Members<T> {
    fn begin(out: &mut Option<Self>) -> &mut dyn Visitor {
        Place::new(out)
    }
}

struct ReadingMembers<'a, T: FromMembers> {
    out: &'a mut Option<Members<T>>,
    so_far: T,
    name: String,
    value: Option<T::Value>,
}

impl<T: FromMembers> ReadingMembers<'_, T> {
    fn take_in(&mut self) {
        if let Some(value) = self.value.take() {
            self.so_far.member(&self.name, value);
        }
    }
}

impl<T: FromMembers> Map for ReadingMembers<'_, T> {
    fn key(&mut self, name: &str) -> miniserde::Result<&mut dyn Visitor> {
        self.take_in();
        name.clone_into(&mut self.name);
        Ok(Deserialize::begin(&mut self.value))
    }

    fn finish(&mut self) -> miniserde::Result<()> {
        self.take_in();
        *self.out = Some(Members(std::mem::take(&mut self.so_far)));
        Ok(())
    }
}
