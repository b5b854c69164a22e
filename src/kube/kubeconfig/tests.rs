use super::*;
use crate::kube::stand_in::Identity;

fn config(cluster: &str, user: &str) -> String {
    format!(
        r#"{{"kind":"Config","apiVersion":"v1","preferences":{{}},"current-context":"c",
        "contexts":[{{"name":"c","context":{{"cluster":"k","user":"u","namespace":"n"}}}}],
        "clusters":[{{"name":"k","cluster":{cluster}}}],"users":[{{"name":"u","user":{user}}}]}}"#
    )
}

fn cluster() -> String {
    let authority = STANDARD.encode(&Identity::shared().authority);
    format!(r#"{{"server":"https://10.0.0.1:6443","certificate-authority-data":"{authority}"}}"#)
}

fn why(content: &str) -> String {
    server(content.as_bytes(), Path::new("/etc")).unwrap_err()
}

#[test]
fn a_token_is_taken() {
    let server =
        server(config(&cluster(), r#"{"token":"geheim"}"#).as_bytes(), Path::new("/etc")).unwrap();
    assert_eq!(server.check(), Ok(()));
    assert_eq!(server.address().to_string(), "10.0.0.1:6443");
    assert_eq!(server.token().unwrap().unwrap().secret(), b"geheim");
    assert!(!format!("{server:?}").contains("geheim"));
}

#[test]
fn a_client_certificate_is_taken() {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["me".to_owned()]).unwrap();
    let (chain, key) = (STANDARD.encode(cert.pem()), STANDARD.encode(signing_key.serialize_pem()));
    let user = format!(r#"{{"client-certificate-data":"{chain}","client-key-data":"{key}"}}"#);
    let server = server(config(&cluster(), &user).as_bytes(), Path::new("/etc")).unwrap();
    assert_eq!(server.check(), Ok(()));
    assert_eq!(server.token(), Ok(None));
    assert!(server.tls().is_ok());
    let swapped = format!(r#"{{"client-certificate-data":"{key}","client-key-data":"{chain}"}}"#);
    let trouble = why(&config(&cluster(), &swapped));
    assert_eq!(trouble, "there is no certificate in its client certificate");
}

#[test]
fn relative_files_are_beside_the_kubeconfig() {
    let read = |folder: &str, authority: &str, token: &str| {
        let cluster = format!(
            r#"{{"server":"https://10.0.0.1","certificate-authority-data":"","certificate-authority":"{authority}"}}"#
        );
        let content = config(&cluster, &format!(r#"{{"tokenFile":"{token}"}}"#));
        let server = server(content.as_bytes(), Path::new(folder)).unwrap();
        (server.where_roots_are(), server.where_token_is().unwrap())
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    let (beside, above) = ("ca.crt", "../t/token");
    assert_eq!(
        read("/home/a/.kube", beside, above),
        pair("/home/a/.kube/ca.crt", "/home/a/.kube/../t/token")
    );
    // A kubeconfig without a folder is in the working directory.
    assert_eq!(read("", beside, above), pair(beside, above));
    assert_eq!(read("/home/a/.kube", "/ca.crt", "/token"), pair("/ca.crt", "/token"));
}

#[test]
fn what_cannot_be_done_is_said_with_what_to_do() {
    let user = r#"{"token":"t"}"#;
    let with = |more: &str| cluster().replace("{\"server\"", &format!("{{{more},\"server\""));
    for (content, expected) in [
        (
            "apiVersion: v1\nkind: Config\n".to_owned(),
            "it is not the JSON form of a kubeconfig: write it with kubectl config view",
        ),
        (r#"{"kind":"Pod"}"#.to_owned(), "it is not the JSON form"),
        (r#"{"kind":"Config","current-context":""}"#.to_owned(), "it has no current-context"),
        (
            config(&cluster(), user).replace(r#""cluster":"k""#, r#""cluster":"x""#),
            "it has no cluster named x",
        ),
        (
            config(&cluster(), user).replace(r#""user":"u""#, r#""user":"x""#),
            "it has no user named x",
        ),
        (
            config(r#"{"server":"http://a"}"#, user),
            "its server is not good: it must be https://HOST:PORT",
        ),
        (config(r#"{"server":"https://a"}"#, user), "it has no certificate-authority-data"),
        (
            config(&with(r#""insecure-skip-tls-verify":true"#), user),
            "it says insecure-skip-tls-verify",
        ),
        (config(&with(r#""proxy-url":"http://p""#), user), "it has proxy-url"),
        (config(&with(r#""tls-server-name":"x""#), user), "it has tls-server-name"),
        (
            config(&cluster(), r#"{"exec":{"command":"aws"}}"#),
            "it gets its credentials by a program (exec), and this one starts none",
        ),
        (config(&cluster(), r#"{"token":"t","as":"readonly"}"#), "its user acts as somebody else"),
        (
            config(&cluster(), r#"{"token":"t","as-groups":["a"]}"#),
            "its user acts as somebody else",
        ),
        (
            config(&cluster(), r#"{"username":"a","password":"b"}"#),
            "its user has neither token nor client certificate",
        ),
        (config(&cluster(), r#"{"token":"a\nb"}"#), "its token is not good"),
    ] {
        let said = why(&content);
        assert!(said.starts_with(expected), "{said}\n{content}");
    }
}
