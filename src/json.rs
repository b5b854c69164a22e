//! Writes JSON as text, part by part. Building miniserde's values first would be half as much code again.

use miniserde::json;

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
