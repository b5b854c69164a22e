//! One webhook, as configured. Files are read when they are used: a mounted Secret or `ConfigMap` may
//! change.

use std::fmt;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use webpki_roots::TLS_SERVER_ROOTS;

use crate::file;
use crate::http::connection::H1;
use crate::http::dial::Tls;
use crate::http::error::Cause;
use crate::http::tls;
use crate::webhook::form::Form;
use crate::webhook::headers::Headers;
use crate::webhook::proxy::Proxies;
use crate::webhook::template::Template;
use crate::webhook::url::WebhookUrl;

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Its address.
    pub url: ValueOrFile<WebhookUrl>,
    /// The headers of each message.
    pub headers: ValueOrFile<Headers>,
    /// The body of a message.
    pub form: Content,
    /// The proxies.
    pub proxies: Proxies,
    /// The trusted CAs.
    pub roots: WebhookRoots,
}

/// A configured value, or the file that contains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueOrFile<T> {
    /// The value.
    Value(T),
    /// The file.
    File(PathBuf),
}

/// The body of a message.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// This form.
    Form(Form),
    /// This template, escaped for the content type in the headers.
    Template(String),
    /// The template in this file.
    TemplateFile(PathBuf),
}

/// The longest file that is read, in bytes.
const LONGEST: usize = 64 * 1024;

impl fmt::Display for ValueOrFile<WebhookUrl> {
    /// What may be printed of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(url) => url.fmt(f),
            Self::File(path) => write!(f, "in {}", path.display()),
        }
    }
}

impl ValueOrFile<WebhookUrl> {
    /// The URL, as it is now.
    pub(crate) fn read(&self) -> Result<WebhookUrl, String> {
        self.read_with(|text| WebhookUrl::parse(text).map_err(str::to_owned))
    }
}

impl ValueOrFile<Headers> {
    /// The headers, as they are now.
    pub(crate) fn read(&self) -> Result<Headers, String> {
        self.read_with(Headers::parse)
    }
}

impl<T: Clone> ValueOrFile<T> {
    fn read_with(&self, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T, String> {
        match self {
            Self::Value(value) => Ok(value.clone()),
            Self::File(path) => {
                let text = text_of(path)?;
                parse(text.trim()).map_err(|why| format!("{}: {why}", path.display()))
            }
        }
    }
}

impl fmt::Debug for Content {
    /// Without a template's text: a token may be in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(form) => f.debug_tuple("Form").field(form).finish(),
            Self::Template(_) => f.write_str("Template(…)"),
            Self::TemplateFile(path) => f.debug_tuple("TemplateFile").field(path).finish(),
        }
    }
}

impl Content {
    /// The form, as it is now; if it cannot be used, the default message.
    pub(crate) fn read_or_usual(&self, headers: &Headers) -> Form {
        let usual = || Form::Template(Template::usual(headers.language()));
        self.read(headers).unwrap_or_else(|_| usual())
    }

    /// The form, as it is now.
    pub(crate) fn read(&self, headers: &Headers) -> Result<Form, String> {
        let parse = |name: &str, text: &str| {
            let template = Template::parse(text, headers.language());
            template.map(Form::Template).map_err(|why| format!("{name}: {why}"))
        };
        match self {
            Self::Form(form) => Ok(form.clone()),
            Self::Template(text) => parse("WEBHOOK_TEMPLATE", text),
            Self::TemplateFile(path) => {
                parse(&path.display().to_string(), text_of(path)?.trim_end())
            }
        }
    }
}

impl Destination {
    /// What is missing or not valid in the files now, each with what is done meanwhile.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if let Err(why) = self.url.read() {
            faults.push(format!("no message can be sent: {why}"));
        }
        if let Err(why) = self.roots.check() {
            faults.push(format!("no message can be sent: {why}"));
        }
        match self.headers.read() {
            Err(why) => faults.push(format!("messages go without their headers: {why}")),
            Ok(headers) => {
                if let Err(why) = self.form.read(&headers) {
                    faults.push(format!("the default message is sent: {why}"));
                }
            }
        }
        faults
    }

    /// Whether the files are there without which no connection is opened.
    pub fn may_be_reached(&self) -> bool {
        self.url.read().is_ok() && self.roots.check().is_ok()
    }
}

fn text_of(path: &Path) -> Result<String, String> {
    let content = file::read(path, LONGEST)
        .map_err(|why| format!("{} cannot be read: {why}", path.display()))?;
    String::from_utf8(content).map_err(|_| format!("{} is not UTF-8", path.display()))
}

/// The CAs that are trusted for a webhook: the public ones or those of a file, never both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookRoots {
    /// Those that Mozilla's browsers trust, as of this program's release.
    Public,
    /// The certificates of this file, in PEM; read for each delivery.
    File(PathBuf),
}

impl WebhookRoots {
    /// The configuration of TLS. It takes memory, so it is made for a delivery and dropped after.
    pub fn tls(&self) -> Result<Tls, Cause> {
        let roots = match self {
            Self::Public => "a public CA; one's own CA must be given as a file".to_owned(),
            Self::File(file) => format!("a CA in {}", file.display()),
        };
        let config =
            tls::client_config(self.certificates().map_err(Cause::Credentials)?, None, &[H1])
                .map_err(|e| Cause::Tls(e.to_string()))?;
        Ok(Tls { config, roots })
    }

    /// Whether the file, if any, contains certificates now.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            Self::Public => Ok(()),
            Self::File(_) => self.certificates().map(drop),
        }
    }

    fn certificates(&self) -> Result<RootCertStore, String> {
        match self {
            Self::Public => Ok(RootCertStore { roots: TLS_SERVER_ROOTS.to_vec() }),
            Self::File(file) => tls::roots_in(file).map_err(|why| {
                format!("no CA for the webhook's server from {}: {why}", file.display())
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::stand_in::{Folder, Identity};
    use crate::webhook::template::{DEFAULT_TEMPLATE, Language};

    /// A webhook all of whose parts stand in files.
    fn in_files(folder: &Folder) -> Destination {
        Destination {
            url: ValueOrFile::File(folder.file("url")),
            headers: ValueOrFile::File(folder.file("headers")),
            form: Content::TemplateFile(folder.file("template")),
            proxies: Proxies::default(),
            roots: WebhookRoots::File(folder.file("ca.crt")),
        }
    }

    #[test]
    fn each_file_that_is_missing_or_bad_is_named_with_what_that_leads_to() {
        let folder = Folder::new();
        let webhook = in_files(&folder);
        let said = webhook.faults();
        assert_eq!(said.len(), 3, "{said:?}");
        for (fault, (file, words)) in said.iter().zip([
            ("url", "no message can be sent: "),
            ("ca.crt", "no message can be sent: "),
            ("headers", "messages go without their headers: "),
        ]) {
            assert!(fault.starts_with(words), "{fault}");
            assert!(fault.contains(folder.file(file).to_str().unwrap()), "{fault}");
        }
        folder.put("url", b"https://hooks.example/hush\n");
        folder.put("ca.crt", Identity::shared().authority.as_bytes());
        folder.put("headers", br#"{"Authorization":"hush"}"#);
        for (template, why) in [
            (None, "cannot be read"),
            (Some(&b"{\"text\":\"{{ range .Pods }}\"}"[..]), "range"),
            (Some(b"{\"text\":\"hush\nhush\"}"), "line 1"),
            (Some(b"\xff"), "is not UTF-8"),
        ] {
            if let Some(text) = template {
                folder.put("template", text);
            }
            let [fault] = &webhook.faults()[..] else { panic!("{:?}", webhook.faults()) };
            assert!(fault.starts_with("the default message is sent: "), "{fault}");
            assert!(fault.contains(why) && !fault.contains("hush"), "{fault}");
            let usual = Form::Template(Template::parse(DEFAULT_TEMPLATE, Language::Json).unwrap());
            assert_eq!(webhook.form.read_or_usual(&Headers::default()), usual);
        }
        folder.put("template", b"{}");
        assert_eq!(webhook.faults(), [""; 0]);
    }

    #[test]
    fn whoever_names_a_ca_file_believes_no_public_ca() {
        let folder = Folder::new();
        let file = folder.put("ca.crt", Identity::shared().authority.as_bytes());
        assert_eq!(WebhookRoots::File(file).certificates().unwrap().len(), 1);
        assert!(WebhookRoots::Public.certificates().unwrap().len() > 50);
    }
}
