//! The operator's own headers.

use std::fmt;

use ureq_proto::http::{HeaderMap, HeaderName, HeaderValue, header};

/// Headers that go with a message. Their values are never shown: one of them may let it in.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(HeaderMap);

/// So many at most.
const MOST: usize = 64;

/// What this program writes itself, and what is about the connection and not about the message.
const OURS: [HeaderName; 11] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::USER_AGENT,
    HeaderName::from_static("keep-alive"),
];

impl Headers {
    /// None.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds one; a name may come more than once.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence that has named the setting. The value is
    /// not in it, nor what should be a name and is none.
    pub fn add(&mut self, name: &str, value: &str) -> Result<(), String> {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| "a header's name consists of letters, digits and `-`".to_owned())?;
        if OURS.contains(&name) {
            return Err(format!("the header {name} is written by this program itself"));
        }
        let visible = |byte: u8| matches!(byte, b' '..=b'~' | b'\t');
        let mut value = HeaderValue::try_from(value.trim())
            .ok()
            .filter(|_| value.trim().bytes().all(visible))
            .ok_or_else(|| format!("the header {name} may have visible ASCII characters only"))?;
        if self.0.len() == MOST {
            return Err(format!("more than {MOST} headers are not sent"));
        }
        value.set_sensitive(true);
        self.0.append(name, value);
        Ok(())
    }

    /// Whether one of this name is among them, in whatever case.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.0.iter()
    }
}

impl fmt::Debug for Headers {
    /// The names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys().map(HeaderName::as_str)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_never_shown() {
        let mut headers = Headers::none();
        headers.add("Authorization", "Bearer geheim").unwrap();
        headers.add("X-Key", " geheim\n").unwrap();
        headers.add("x-key", "").unwrap();
        assert_eq!(format!("{headers:?}"), r#"["authorization", "x-key"]"#);
        assert!(headers.contains("authorization") && headers.contains("X-KEY"));
        assert!(!headers.contains("content-type"));
        let values: Vec<_> = headers.iter().map(|(_, value)| value.to_str().unwrap()).collect();
        assert_eq!(values, ["Bearer geheim", "geheim", ""]);
        assert!(headers.iter().all(|(_, value)| !format!("{value:?}").contains("geheim")));
    }

    #[test]
    fn what_is_no_header_or_not_the_operators_is_refused() {
        let refusal = |name: &str, value: &str| Headers::none().add(name, value).unwrap_err();
        for name in ["", "a b", "geheim:", "é", "a\r\nb"] {
            assert_eq!(
                refusal(name, "geheim"),
                "a header's name consists of letters, digits and `-`"
            );
        }
        for value in ["geheim\r\nX: y", "geheim\0", "gehéim", "geheim\u{7f}"] {
            let why = refusal("X-Key", value);
            assert_eq!(why, "the header x-key may have visible ASCII characters only");
        }
        for name in ["Host", "CONTENT-LENGTH", "Connection", "User-Agent", "transfer-encoding"] {
            let why = refusal(name, "geheim");
            assert!(why.ends_with("is written by this program itself"), "{why}");
            assert!(!why.contains("geheim"));
        }
    }

    #[test]
    fn there_is_an_end_to_their_number() {
        let mut headers = Headers::none();
        for _ in 0..MOST {
            headers.add("a", "b").unwrap();
        }
        assert!(headers.add("a", "b").unwrap_err().starts_with("more than 64"));
    }
}
