//! Where messages go, and in which form, as the settings have it. What stands in a file is read when
//! it is used: a Secret or a `ConfigMap` that is mounted may change.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::file;
use crate::report::webhook::form::Form;
use crate::report::webhook::headers::Headers;
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
    /// Whether a template that stands in a file is one. Headers that cannot be read now may be later.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        let headers = self.headers.read().unwrap_or_default();
        self.form.read(&headers).map(drop)
    }
}

fn text_of(path: &Path) -> Result<String, String> {
    let content = file::read(path, LONGEST)
        .map_err(|why| format!("{} cannot be read: {why}", path.display()))?;
    String::from_utf8(content).map_err(|_| format!("{} is not UTF-8", path.display()))
}
