//! The operator's headers for webhooks, compared with what another reader of JSON makes of them.
#![no_main]

use k8s_spot_handler::webhook::headers::Headers;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let json = serde_json::from_str::<Value>(text);
    match fuzz::within(input, 100, 16 * 1024, || Headers::parse(text)) {
        Ok(headers) => {
            let mut bytes = 0;
            for (name, value) in headers.iter() {
                bytes += name.as_str().len() + value.len();
                let value = value.as_bytes();
                assert!(value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~')), "{value:?}");
                assert!(
                    !["host", "content-length", "transfer-encoding", "connection"]
                        .contains(&name.as_str())
                );
            }
            assert!(bytes <= 8192);
            let _ = headers.language();
            assert!(headers.clone().with_content_type("text/plain").say_content_type());
            if let Ok(json) = json {
                let object = json.as_object().expect("only an object is read");
                assert_eq!(object.len(), headers.iter().count());
            }
        }
        Err(why) => {
            fuzz::is_one_line(&why);
            for value in json.iter().filter_map(Value::as_object).flat_map(|object| object.values())
            {
                let value = value.as_str().unwrap_or_default();
                assert!(!value.contains("geheim") || !why.contains(value), "{why}");
            }
        }
    }
});
