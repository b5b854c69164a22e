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

use crate::settings::list::BadItem;
use crate::settings::problem::{NOT_SHOWN, shown, shown_url};
use crate::settings::value::{path, proxy};
use crate::webhook::url::WebhookUrl;

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
    /// Other flags that mean the same: those of aws-node-termination-handler.
    pub(super) flag_aliases: &'static [&'static str],
    /// The environment variable.
    pub(super) variable: &'static str,
    /// Other environment variables that mean the same, in the order in which they are tried.
    pub(super) aliases: &'static [&'static str],
    /// Other programs have variables of that name, too: from the shell of whoever gives a command by
    /// hand they are not read.
    pub(super) is_everyday: bool,
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
    /// The query of a URL: it may be what opens the door there. A user, too.
    Query,
    /// The path of a webhook's URL, and its query.
    Path,
    /// All of a proxy's URL but host and port.
    User,
    /// What is no path: the content of the file may have been put in its place.
    NoPath,
    /// All of it.
    Whole,
}

impl Row {
    /// The flag, and then the others that mean the same.
    pub(super) fn flags(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.flag).chain(self.flag_aliases.iter().copied())
    }

    /// A value, good or bad, as it may be shown.
    pub(super) fn shown(&self, value: &OsStr) -> String {
        let text = value.to_string_lossy();
        let known = match self.secret {
            Secret::Nothing => Some(shown(value)),
            Secret::Query => Some(shown_url(value)),
            Secret::Path => WebhookUrl::parse(&text).ok().map(|url| url.to_string()),
            Secret::User => proxy(&text).ok().map(|proxy| proxy.to_string()),
            Secret::NoPath => path(&text).map(|_| shown(value)),
            // What everybody knows is no secret.
            Secret::Whole => match self.default {
                DefaultValue::Is(default) if default == text => Some(default.to_owned()),
                _ => None,
            },
        };
        known.unwrap_or_else(|| NOT_SHOWN.to_owned())
    }
}

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
    flag_aliases: &[],
    variable: "",
    aliases: &[],
    is_everyday: false,
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

const A_PATH: &str = "the path of a file, which begins with /, ./ or ../";

/// What files have in common; that a bad one ends the program, only those of the API server.
const A_FILE: Row = Row {
    placeholder: Some("FILE"),
    default: DefaultValue::Unset("none"),
    valid: A_PATH,
    secret: Secret::NoPath,
    ..DECIDES
};

const A_TRUTH: &str = "true or false (also 1, 0, t, f)";

const ONE_SECOND: Duration = Duration::from_secs(1);
const ONE_MINUTE: Duration = Duration::from_mins(1);
const ONE_HOUR: Duration = Duration::from_hours(1);
const ONE_WEEK: Duration = Duration::from_hours(7 * 24);
