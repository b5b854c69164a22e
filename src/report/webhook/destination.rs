//! Where messages go, and in which form, as the settings have it. What stands in a file is read when
//! it is used: a Secret or a `ConfigMap` that is mounted may change.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock::Clock;
use crate::file;
use crate::report::webhook::form::Form;
use crate::report::webhook::headers::Headers;
use crate::report::webhook::post::{self, Target};
use crate::report::webhook::proxies::Proxies;
use crate::report::webhook::roots::Roots;
use crate::report::webhook::template::Template;
use crate::report::webhook::url::WebhookUrl;

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Where it is.
    pub url: Held<WebhookUrl>,
    /// What goes with each message.
    pub headers: Held<Headers>,
    /// What a message becomes.
    pub form: Wanted,
    /// Through whom.
    pub proxies: Proxies,
    /// Whose certificates are believed.
    pub roots: Roots,
}

/// A value of the settings, or the file that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held<T> {
    /// This one.
    Here(T),
    /// The content of this file.
    InFile(PathBuf),
}

/// What a message becomes.
#[derive(Clone, PartialEq, Eq)]
pub enum Wanted {
    /// This.
    Form(Form),
    /// What this template says, which is written in what the headers say.
    Template(String),
    /// What the template in this file says.
    TemplateIn(PathBuf),
}

/// No file that is read here is longer.
const LONGEST: usize = 64 * 1024;

impl fmt::Display for Held<WebhookUrl> {
    /// What may be shown of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(url) => url.fmt(f),
            Self::InFile(path) => write!(f, "in {}", path.display()),
        }
    }
}

impl Held<WebhookUrl> {
    /// The URL, as it is now.
    pub(super) fn read(&self) -> Result<WebhookUrl, String> {
        self.read_with(|text| WebhookUrl::parse(text).map_err(str::to_owned))
    }
}

impl Held<Headers> {
    /// The headers, as they are now.
    pub(super) fn read(&self) -> Result<Headers, String> {
        self.read_with(Headers::parse)
    }
}

impl<T: Clone> Held<T> {
    fn read_with(&self, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T, String> {
        match self {
            Self::Here(value) => Ok(value.clone()),
            Self::InFile(path) => {
                let text = text_of(path)?;
                parse(text.trim()).map_err(|why| format!("{}: {why}", path.display()))
            }
        }
    }
}

impl fmt::Debug for Wanted {
    /// Without a template's text: a token may be in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(form) => f.debug_tuple("Form").field(form).finish(),
            Self::Template(_) => f.write_str("Template(…)"),
            Self::TemplateIn(path) => f.debug_tuple("TemplateIn").field(path).finish(),
        }
    }
}

impl Wanted {
    /// The form, as it is now; where that cannot be used, the default message.
    pub(super) fn read_or_usual(&self, headers: &Headers) -> Form {
        let usual = || Form::Template(Template::usual(headers.language()));
        self.read(headers).unwrap_or_else(|_| usual())
    }

    /// The form, as it is now.
    pub(super) fn read(&self, headers: &Headers) -> Result<Form, String> {
        let parse = |name: &str, text: &str| {
            let template = Template::parse(text, headers.language());
            template.map(Form::Template).map_err(|why| format!("{name}: {why}"))
        };
        match self {
            Self::Form(form) => Ok(form.clone()),
            Self::Template(text) => parse("WEBHOOK_TEMPLATE", text),
            Self::TemplateIn(path) => parse(&path.display().to_string(), text_of(path)?.trim_end()),
        }
    }
}

impl Destination {
    /// What is missing or bad now in the files that are named, each with what is done for that long.
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

    /// Whether the files are there without which nobody is asked anything.
    pub fn may_be_reached(&self) -> bool {
        self.url.read().is_ok() && self.roots.check().is_ok()
    }

    /// Opens a connection as for a message, within `patience`, and sends none. Says what was reached.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub fn reach(&self, patience: Duration, clock: Clock) -> Result<String, String> {
        let url = self.url.read()?;
        let target = Target {
            proxy: self.proxies.of(&url)?.cloned(),
            url,
            roots: self.roots.clone(),
            headers: Headers::default(),
        };
        let reached = post::reach(&target, patience, clock);
        reached.map(str::to_owned).map_err(|error| error.to_string())
    }
}

fn text_of(path: &Path) -> Result<String, String> {
    let content = file::read(path, LONGEST)
        .map_err(|why| format!("{} cannot be read: {why}", path.display()))?;
    String::from_utf8(content).map_err(|_| format!("{} is not UTF-8", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::stand_in::{Folder, Identity};
    use crate::report::webhook::template::{DEFAULT_TEMPLATE, Language};

    /// A webhook all of whose parts stand in files.
    fn in_files(folder: &Folder) -> Destination {
        Destination {
            url: Held::InFile(folder.file("url")),
            headers: Held::InFile(folder.file("headers")),
            form: Wanted::TemplateIn(folder.file("template")),
            proxies: Proxies::default(),
            roots: Roots::File(folder.file("ca.crt")),
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
}
