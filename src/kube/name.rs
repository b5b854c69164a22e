//! What Kubernetes takes for a name (RFC 1123). Names go into paths and selectors as they are.

/// Whether a Node or a Pod can have this name: a DNS subdomain of at most 253 characters.
pub fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_part)
}

/// Whether a namespace can have this name: a DNS label of at most 63 characters.
pub fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_part(text)
}

/// Whether a label or an annotation can have this name: at most 63 characters, after the name of a
/// domain and a slash, if it has one.
pub fn is_qualified(text: &str) -> bool {
    let (domain, name) =
        text.split_once('/').map_or((None, text), |(domain, name)| (Some(domain), name));
    let ends_well = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    domain.is_none_or(is_subdomain)
        && bytes.len() <= 63
        && ends_well(bytes.first())
        && ends_well(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn is_part(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_in_paths_and_selectors() {
        for text in ["n", "ip-10-0-0-1.eu-west-1.compute.internal", "0", &"a".repeat(253)] {
            assert!(is_subdomain(text), "{text}");
        }
        let long = "a".repeat(254);
        for text in [
            "", "Node", "a/b", "a b", "a,b", "a=b", ".a", "a.", "a..b", "..", "-a", "a-", "é",
            &long,
        ] {
            assert!(!is_subdomain(text), "{text}");
        }
        assert!(is_label("kube-system"));
        assert!(!is_label("a.b"));
        assert!(!is_label(&"a".repeat(64)));
    }
}
