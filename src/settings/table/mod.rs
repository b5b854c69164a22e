//! The one table of settings. Help text, parsing and documentation come from it.

mod by_hand;
mod cloud;
mod drain;
mod effect;
mod events;
mod log;
mod marks;
mod pages;
mod server;
mod webhooks;
mod who;

use std::ffi::OsStr;
use std::time::Duration;

use crate::report::webhook::url::WebhookUrl;
use crate::settings::list::BadItem;
use crate::settings::problem::shown;

pub(super) use self::by_hand::*;
pub(super) use self::cloud::*;
pub(super) use self::drain::*;
pub(super) use self::effect::*;
pub(super) use self::events::*;
pub(super) use self::log::*;
pub(super) use self::marks::*;
pub(super) use self::pages::*;
pub(super) use self::server::*;
pub(super) use self::webhooks::*;
pub(super) use self::who::*;

/// Settings with one theme.
#[derive(Debug)]
pub(super) struct Group {
    /// Its heading.
    pub(super) title: &'static str,
    /// Its settings, in the order in which they are shown.
    pub(super) rows: &'static [&'static Row],
}

/// What a setting is called, what it is for, and what it is when nobody says.
#[derive(Debug)]
pub(super) struct Row {
    /// The flag, without its dashes.
    pub(super) flag: &'static str,
    /// The environment variable.
    pub(super) variable: &'static str,
    /// Other environment variables that mean the same, in the order in which they are tried.
    pub(super) aliases: &'static [&'static str],
    /// What stands for the value in the help text. `None` for a switch: `--dry-run` alone means
    /// true.
    pub(super) placeholder: Option<&'static str>,
    /// The value when none is given.
    pub(super) default: DefaultValue,
    /// What would be a good value.
    pub(super) valid: &'static str,
    /// What it is for: one line.
    pub(super) help: &'static str,
    /// What of a value is not to be shown.
    pub(super) secret: Secret,
    /// What depends on it, and so what a value that is not valid leads to.
    pub(super) stakes: Stakes,
}

/// What depends on a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stakes {
    /// Pods: which node, who goes, when, with what grace, the marks, how the metadata service and the
    /// API server are reached. A value that is not valid ends the program before it does anything.
    Pods,
    /// A command that an operator gives: that ends. `run` does not use it, and goes on.
    ByHand,
    /// Reports only. The handler runs without it, and says so; what holds in its place, as a clause.
    /// Empty: its default.
    Reports(&'static str),
}

/// What of a value is not to be shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Secret {
    /// Nothing, as far as the table knows.
    Nothing,
    /// The query of a URL: it may be what opens the door there.
    Query,
    /// The path of a webhook's URL, and its query.
    Path,
    /// All of it.
    Whole,
}

impl Row {
    /// A value, good or bad, as it may be shown.
    pub(super) fn shown(&self, value: &OsStr) -> String {
        let text = value.to_string_lossy();
        match (self.secret, text.split_once('?')) {
            (Secret::Query, Some((before, _))) => shown(OsStr::new(before)) + "?…",
            // The address of a webhook may have been put anywhere.
            (Secret::Nothing, _) if text.contains("://") && self.placeholder != Some("URL") => {
                NOT_SHOWN.to_owned()
            }
            (Secret::Query | Secret::Nothing, _) => shown(value),
            (Secret::Path, _) => WebhookUrl::parse(&text)
                .map_or_else(|_| NOT_SHOWN.to_owned(), |url| url.to_string()),
            // What everybody knows is no secret.
            (Secret::Whole, _) if matches!(self.default, DefaultValue::Is(it) if it == text) => {
                text.into_owned()
            }
            (Secret::Whole, _) => NOT_SHOWN.to_owned(),
        }
    }
}

const NOT_SHOWN: &str = "(not shown)";

/// The value of a setting that nobody gave.
#[derive(Clone, Copy, Debug)]
pub(super) enum DefaultValue {
    /// As if this had been given.
    Is(&'static str),
    /// There is none; what happens then, in words.
    Unset(&'static str),
}

/// A row, and how its value is read.
pub(super) struct Setting<T> {
    pub(super) row: Row,
    pub(super) parse: Parse<T>,
}

/// How a value is read.
pub(super) enum Parse<T> {
    /// As a whole. `None` if it is not valid.
    One(fn(&str) -> Option<T>),
    /// Item by item; all that are not valid.
    Items(fn(&str) -> Result<T, Vec<BadItem>>),
    /// As a whole; what is wrong with it, without showing any of it.
    Explained(fn(&str) -> Result<T, String>),
}

/// Every setting, in the order in which they are shown.
pub(super) const GROUPS: [&Group; 11] = [
    &who::GROUP,
    &cloud::GROUP,
    &effect::GROUP,
    &marks::GROUP,
    &drain::GROUP,
    &server::GROUP,
    &log::GROUP,
    &events::GROUP,
    &webhooks::GROUP,
    &pages::GROUP,
    &by_hand::GROUP,
];

/// Every setting, without the headings.
pub(super) fn rows() -> impl Iterator<Item = &'static Row> {
    GROUPS.into_iter().flat_map(|group| group.rows).copied()
}

// What most settings have in common; a test holds that each has its own of the rest. A row begins with
// one of these three, so whoever adds one chooses what a bad value of it costs.

/// Of a setting that decides about pods.
const DECIDES: Row = Row {
    flag: "",
    variable: "",
    aliases: &[],
    placeholder: None,
    default: DefaultValue::Is("false"),
    valid: A_TRUTH,
    help: "",
    secret: Secret::Nothing,
    stakes: Stakes::Pods,
};

/// Of a setting that only commands of an operator use.
const BY_HAND: Row = Row { stakes: Stakes::ByHand, ..DECIDES };

/// Of a setting that decides about reports.
const REPORTS: Row = Row { stakes: Stakes::Reports(""), ..DECIDES };

const A_PATH: &str = "the path of a file, with at least one /";

const A_TRUTH: &str = "true or false (also 1, 0, t, f)";

const ONE_SECOND: Duration = Duration::from_secs(1);
const ONE_MINUTE: Duration = Duration::from_mins(1);
const ONE_HOUR: Duration = Duration::from_hours(1);
const ONE_WEEK: Duration = Duration::from_hours(7 * 24);
