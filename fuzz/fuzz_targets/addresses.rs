//! URLs of every kind, and `NO_PROXY`. What is shown of one is an address of the same server, and no path, query or
//! password is shown where it may be a secret.
#![no_main]

use k8s_spot_handler::source::url::{MetadataUrl, NoticeUrl};
use k8s_spot_handler::webhook::proxy::{NoProxy, ProxyUrl};
use k8s_spot_handler::webhook::url::WebhookUrl;
use libfuzzer_sys::fuzz_target;

/// What is not shown stands behind this.
const SECRET: &str = "geheim";

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match MetadataUrl::parse(text) {
        Ok(url) => {
            let shown = url.to_string();
            fuzz::is_one_line(&shown);
            assert_eq!(MetadataUrl::parse(&shown), Ok(url));
        }
        Err(why) => fuzz::is_one_line(&why),
    }
    match NoticeUrl::parse(text) {
        Ok(url) => {
            let shown = url.to_string();
            fuzz::is_one_line(&shown);
            let is_in_query =
                text.split_once('?').is_some_and(|(path, _)| !path.to_lowercase().contains(SECRET));
            assert!(!is_in_query || !shown.to_lowercase().contains(SECRET), "{shown}");
            if !shown.contains('?') {
                assert_eq!(NoticeUrl::parse(&shown), Ok(url));
            }
        }
        Err(why) => fuzz::is_one_line(&why),
    }
    match WebhookUrl::parse(text) {
        Ok(url) => {
            let shown = url.to_string();
            let server = shown.strip_suffix("/…").expect("no path is shown");
            assert_eq!(server.matches('/').count(), 2, "{shown}");
            assert_eq!(WebhookUrl::parse(server).expect("it is a server").to_string(), shown);
            let more = url.with_query("key", SECRET).expect("one more parameter changes nothing");
            assert_eq!(more.to_string(), shown);
        }
        Err(why) => fuzz::is_one_line(why),
    }
    match ProxyUrl::parse(text) {
        Ok(proxy) => {
            let shown = proxy.to_string();
            assert!(!shown.contains('@') && shown.matches('/').count() == 2, "{shown}");
            assert_eq!(ProxyUrl::parse(&shown).expect("it is a proxy").to_string(), shown);
        }
        Err(why) => fuzz::is_one_line(why),
    }
    let _ = NoProxy::parse(text);
});
