//! The operator's headers for each message.

use std::fmt;

use miniserde::json::{self, Value};
use ureq_proto::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use crate::json::{FromMembers, Members};
use crate::webhook::template::{FORM, Language};

/// The limit of all of them, in bytes; a token may take a few thousand.
const LONGEST: usize = 8192;

/// These are set by the client as it needs them, or are meant for a proxy, which does not get them (RFC
/// 9110, section 7.6.1).
const OF_THE_CLIENT: [&str; 13] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

/// Headers that can be sent: each name once, and values without line breaks.
#[derive(Clone, PartialEq, Eq)]
pub struct Headers(Vec<(HeaderName, HeaderValue)>);

impl Headers {
    /// Reads `WEBHOOK_HEADERS`, a JSON object of strings: `{"Content-type":"application/json"}`. It
    /// takes the place of the [default](Headers::default).
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence that has named the setting. It names the
    /// header, and never shows a value.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Members(Pairs(pairs)) = json::from_str(text).map_err(|_| NO_OBJECT.to_owned())?;
        if pairs.iter().map(|(name, _)| name.len()).sum::<usize>() > LONGEST {
            return Err(too_long());
        }
        let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
        for (name, value) in pairs {
            let (name, value) = header(&name, value)?;
            if headers.iter().any(|(before, _)| *before == name) {
                return Err(format!("names the header {} twice", name.as_str()));
            }
            headers.push((name, value));
        }
        let bytes = headers.iter().map(|(name, value)| name.as_str().len() + value.len());
        if bytes.sum::<usize>() > LONGEST { Err(too_long()) } else { Ok(Self(headers)) }
    }

    /// Each, in the order of the setting.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// Whether one of them is `Content-Type`. If not, the body has its own.
    pub fn say_content_type(&self) -> bool {
        self.content_type().is_some()
    }

    /// With this `Content-Type`, unless they have one.
    #[must_use]
    pub fn with_content_type(mut self, content_type: &'static str) -> Self {
        if !self.say_content_type() {
            self.0.push((CONTENT_TYPE, HeaderValue::from_static(content_type)));
        }
        self
    }

    /// The language of a template that is sent with them: JSON, unless their `Content-Type` is another.
    pub fn language(&self) -> Language {
        if !self.say_content_type() {
            return Language::Json;
        }
        let media_type = self.content_type().and_then(|value| value.to_str().ok());
        let media_type = media_type.and_then(|value| value.split(';').next()).unwrap_or_default();
        let media_type = media_type.trim().to_ascii_lowercase();
        let is_json = media_type.ends_with("/json") || media_type.ends_with("+json");
        match &*media_type {
            _ if is_json => Language::Json,
            FORM => Language::Form,
            _ => Language::Plain,
        }
    }

    fn content_type(&self) -> Option<&HeaderValue> {
        self.0.iter().find(|(name, _)| *name == CONTENT_TYPE).map(|(_, value)| value)
    }
}

impl Default for Headers {
    /// `Content-Type: application/json`.
    fn default() -> Self {
        Self(vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))])
    }
}

impl fmt::Debug for Headers {
    /// The names: a value may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name.as_str())).finish()
    }
}

const NO_OBJECT: &str =
    r#"is not a JSON object of headers, such as {"Content-type":"application/json"}"#;

const NO_NAME: &str =
    "has a header whose name is none; a name is letters, digits and any of !#$%&'*+-.^_`|~";

fn too_long() -> String {
    format!("has more than {LONGEST} bytes in its headers")
}

/// One header, if it may be sent.
fn header(name: &str, value: Value) -> Result<(HeaderName, HeaderValue), String> {
    // A name that is not valid is not shown: it may be the value.
    let known = HeaderName::from_bytes(name.as_bytes()).map_err(|_| NO_NAME.to_owned())?;
    let named = known.as_str();
    if OF_THE_CLIENT.contains(&named) {
        return Err(format!("has the header {named}, which the client sets as it needs it"));
    }
    let Value::String(value) = value else {
        return Err(format!("has a header {named} whose value is not a string"));
    };
    // Leading and trailing white space is no part of a value.
    let value = value.trim_matches([' ', '\t']);
    let is_plain = value.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    let read = HeaderValue::from_str(value).ok().filter(|_| is_plain);
    let mut value = read.ok_or_else(|| {
        format!("has a header {named} whose value holds more than visible ASCII, spaces and tabs")
    })?;
    value.set_sensitive(true);
    Ok((known, value))
}

/// All members: miniserde's own map keeps one of those with the same name.
#[derive(Default)]
struct Pairs(Vec<(String, Value)>);

impl FromMembers for Pairs {
    type Value = Value;

    fn member(&mut self, name: &str, value: Value) {
        self.0.push((name.to_owned(), value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let headers = Headers::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
        let pairs = headers.iter();
        pairs.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
    }

    #[test]
    fn an_object_of_strings_is_read_in_its_order() {
        assert_eq!(
            pairs(r#" {"X-Scope": "a b\tc", "Authorization": " Bearer geheim ", "A": ""} "#),
            [("x-scope", "a b\tc"), ("authorization", "Bearer geheim"), ("a", "")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert_eq!(pairs("{}"), []);
        assert_eq!(
            pairs(r#"{"Content-type":"application/json"}"#),
            [("content-type".to_owned(), "application/json".to_owned())]
        );
    }

    #[test]
    fn a_bad_one_is_named_and_no_value_shown() {
        for (text, why) in [
            ("", "is not a JSON object"),
            ("geheim", "is not a JSON object"),
            ("Authorization: geheim", "is not a JSON object"),
            (r#"["geheim"]"#, "is not a JSON object"),
            (r#"{"A": "geheim""#, "is not a JSON object"),
            (r#"{"A": "geheim",}"#, "is not a JSON object"),
            (r#"{"A b": "geheim"}"#, "has a header whose name is none; a name is"),
            (r#"{"": "geheim"}"#, "has a header whose name is none"),
            (r#"{"A:": "geheim"}"#, "has a header whose name is none"),
            (r#"{"A\r\nB": "geheim"}"#, "has a header whose name is none"),
            (r#"{"Ä": "geheim"}"#, "has a header whose name is none"),
            (r#"{"Bearer geheim": "Authorization"}"#, "has a header whose name is none"),
            (r#"{"A": 17}"#, "has a header a whose value is not a string"),
            (r#"{"A": null}"#, "has a header a whose value is not a string"),
            (r#"{"A": ["geheim"]}"#, "has a header a whose value is not a string"),
            (r#"{"A": {"b": "geheim"}}"#, "has a header a whose value is not a string"),
            (r#"{"A": "geheim\r\nB: c"}"#, "has a header a whose value holds more than visible"),
            (r#"{"A": "geheim\u0000"}"#, "has a header a whose value holds more than visible"),
            (r#"{"A": "geheim\u007f"}"#, "has a header a whose value holds more than visible"),
            (r#"{"A": "geheim é"}"#, "has a header a whose value holds more than visible"),
            (r#"{"A": "geheim", "b": "c", "a": "geheim"}"#, "names the header a twice"),
            (r#"{"A": "geheim", "A": "geheim"}"#, "names the header a twice"),
            (r#"{"Host": "geheim"}"#, "has the header host, which the client sets"),
        ] {
            let refused = Headers::parse(text).unwrap_err();
            assert!(refused.starts_with(why), "{text}: {refused}");
            assert!(!refused.contains("geheim"), "{text}: {refused}");
        }
        for name in OF_THE_CLIENT {
            assert!(Headers::parse(&format!(r#"{{"{}": "x"}}"#, name.to_uppercase())).is_err());
        }
        let value = |length: usize| format!(r#"{{"a": "{}"}}"#, "x".repeat(length));
        assert!(Headers::parse(&value(LONGEST - 1)).is_ok());
        assert!(Headers::parse(&value(LONGEST)).unwrap_err().contains("8192"));
    }

    #[test]
    fn values_are_never_shown() {
        let headers = Headers::parse(r#"{"Authorization": "Bearer geheim"}"#).unwrap();
        assert_eq!(format!("{headers:?}"), r#"["authorization"]"#);
        let (_, value) = headers.iter().next().unwrap();
        assert!(!format!("{value:?}").contains("geheim"), "the client may print it");
    }

    #[test]
    fn a_template_is_json_unless_the_headers_say_otherwise() {
        let language = |text: &str| Headers::parse(text).unwrap().language();
        for json in [
            r#"{"Content-type":"application/json"}"#,
            r#"{"content-type":"Application/JSON; charset=utf-8"}"#,
            r#"{"CONTENT-TYPE":"application/cloudevents+json ; a=b"}"#,
            r#"{"Content-Type":"text/json"}"#,
        ] {
            assert_eq!(language(json), Language::Json, "{json}");
            assert!(Headers::parse(json).unwrap().say_content_type());
        }
        for silent in ["{}", r#"{"Accept":"text/plain"}"#] {
            assert_eq!(language(silent), Language::Json, "{silent}");
        }
        for other in [
            r#"{"Content-Type":"text/plain"}"#,
            r#"{"Content-Type":"application/jsonlines"}"#,
            r#"{"Content-Type":""}"#,
        ] {
            assert_eq!(language(other), Language::Plain, "{other}");
        }
        for form in [
            r#"{"Content-Type":"application/x-www-form-urlencoded"}"#,
            r#"{"content-type":"Application/X-WWW-Form-URLEncoded; charset=utf-8"}"#,
        ] {
            assert_eq!(language(form), Language::Form, "{form}");
        }
        assert_eq!(Headers::default().language(), Language::Json);
        assert!(!Headers::parse("{}").unwrap().say_content_type());
    }
}
