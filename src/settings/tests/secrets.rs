//! No secret in any output, however it was given: every secret setting of the table in every spelling.

use std::fmt::Write;

use super::*;
use crate::settings::predecessors::Former;
use crate::settings::table::{Row, Secret};
use crate::settings::value::subdomain;

/// Stands wherever a secret may stand.
const HUSH: &str = "hush";

/// What may be a secret as a whole.
const WHOLE: [&str; 13] = [
    "hushabyebaby",
    "hush7",
    "hush0123456789abcdef0123456789ab",
    "hush+hush/hush==",
    "hush hush",
    "hush\n",
    r#"{"Authorization":"Bearer hush"}"#,
    r#"{"Bearer hush":"X"}"#,
    r#"{"X":["hush"]}"#,
    "{\"text\":\"hush {{ .Nothing }}\"}",
    "https://hooks.example/services/hush",
    "hooks.example/services/hush",
    "u:hush@proxy.example:3128",
];

/// URLs of which only a part is one.
const IN_URLS: [&str; 7] = [
    "http://u:hush@host.example/",
    "http://u:hush@host.example:3128",
    "https://u:hush@host.example:3128",
    "socks5://u:hush@host.example:1080",
    "http://host.example/?hush",
    "host.example/a?key=hush@host",
    "http://host.example/#hush",
];

fn values(row: &Row) -> Vec<&'static str> {
    match row.secret {
        Secret::Nothing => Vec::new(),
        Secret::Query => IN_URLS.to_vec(),
        Secret::Path | Secret::NoPath | Secret::Whole => [&WHOLE[..], &IN_URLS].concat(),
        // `hush7` alone is a host.
        Secret::User => [&WHOLE[10..], &IN_URLS].concat(),
    }
}

/// Arguments and variables.
type Spelling = (Vec<String>, Vec<(&'static str, String)>);

/// Each way in which somebody may give a setting.
fn spellings(row: &Row, value: &str) -> Vec<Spelling> {
    let variables = row.aliases.iter().copied().chain([row.variable]);
    let mut all: Vec<Spelling> =
        variables.map(|name| (Vec::new(), vec![(name, value.to_owned())])).collect();
    let flags = row.flags().flat_map(|flag| flag_spellings(flag, value));
    all.extend(flags.map(|arguments| (arguments, Vec::new())));
    all
}

fn flag_spellings(flag: &str, value: &str) -> Vec<Vec<String>> {
    let spell = |dashes| {
        [vec![format!("{dashes}{flag}={value}")], vec![format!("{dashes}{flag}"), value.to_owned()]]
    };
    ["-", "--"].into_iter().flat_map(spell).collect()
}

/// Each way in which somebody may mean a flag, and miss it.
fn misspelt(flag: &str, value: &str) -> Vec<Vec<String>> {
    let names =
        [format!("{flag}x"), flag.replace('-', "_"), flag.to_uppercase(), format!("a-{flag}")];
    let mut all: Vec<_> = names.iter().flat_map(|name| flag_spellings(name, value)).collect();
    all.push(vec![format!("-{flag}{value}")]);
    all.push(vec![format!("--{flag}:{value}")]);
    all
}

/// Where no flag is before it, or one that takes none.
fn positional(value: &str) -> Vec<Vec<String>> {
    let mut all = vec![
        vec![value.to_owned()],
        vec!["--dry-run".to_owned(), value.to_owned()],
        vec!["--".to_owned(), value.to_owned()],
        vec!["drain".to_owned(), "n1".to_owned(), value.to_owned()],
        vec!["run".to_owned(), value.to_owned()],
        vec![format!("-p{value}")],
        vec![format!("-p={value}")],
        vec![format!("-{value}")],
        vec![format!("--nothing={value}")],
        vec!["--nothing".to_owned(), value.to_owned()],
        vec![format!("--print-settings={value}")],
    ];
    // What may be a node's name is one there.
    if subdomain(value.trim()).is_none() {
        all.push(vec!["drain".to_owned(), value.to_owned()]);
        all.push(vec!["check".to_owned(), value.to_owned()]);
    }
    all
}

/// Everything that is ever printed of it.
fn printed((arguments, variables): &Spelling) -> String {
    let lookup = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        let pod = || POD.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        found.map(|(_, value)| value.as_str()).or_else(pod).map(OsString::from)
    };
    let mut printed = String::new();
    for more in [None, Some("--print-settings")] {
        let more = more.map(str::to_owned);
        let arguments = more.iter().chain(arguments).map(OsString::from);
        let read = read(arguments.clone(), &lookup);
        writeln!(printed, "{:?}\n{read:?}", arguments::read(arguments)).unwrap();
        match read {
            Ok(Invocation::Print(overview)) => {
                printed += &overview.text;
                if let Some(bad) = overview.bad {
                    printed += &bad.to_string();
                }
            }
            Ok(Invocation::Do(_, settings)) => {
                for given in &settings.given {
                    printed += given;
                }
                for remark in &settings.remarks {
                    printed += remark;
                }
            }
            Ok(Invocation::CheckBad(bad, _)) | Err(bad) => printed += &bad.to_string(),
            Ok(Invocation::Help | Invocation::Version) => {}
        }
    }
    printed
}

#[test]
fn no_spelling_of_a_secret_setting_shows_it() {
    let mut secret_settings = 0;
    for row in rows().filter(|row| !values(row).is_empty()) {
        secret_settings += 1;
        for value in values(row) {
            for spelling in spellings(row, value) {
                assert_hushed(&spelling);
            }
        }
    }
    assert!(secret_settings >= 20, "{secret_settings}");
}

#[test]
fn no_flag_that_does_not_exist_shows_what_was_meant_as_its_value() {
    for row in rows() {
        let values = values(row);
        for value in [values.first(), values.get(values.len() / 2), values.last()] {
            let Some(value) = value else { continue };
            for arguments in row.flags().flat_map(|flag| misspelt(flag, value)) {
                assert_hushed(&(arguments, Vec::new()));
            }
        }
    }
}

#[test]
fn no_argument_without_a_flag_is_shown() {
    for value in WHOLE.into_iter().chain(IN_URLS) {
        for arguments in positional(value) {
            assert_hushed(&(arguments, Vec::new()));
        }
    }
}

fn assert_hushed(spelling: &Spelling) {
    let printed = printed(spelling);
    let line = printed.lines().find(|line| line.contains(HUSH));
    assert!(line.is_none(), "{spelling:?}: {line:?}");
}

/// Values of the predecessors' settings, too: some of them are passwords.
#[test]
fn no_value_of_a_former_name_is_shown() {
    for Former { variable, .. } in FORMER {
        let flag = variable.to_ascii_lowercase().replace('_', "-");
        let value = WHOLE[1];
        let flags = flag_spellings(&flag, value).into_iter().chain(misspelt(&flag, value));
        let mut all: Vec<Spelling> = flags.map(|given| (given, Vec::new())).collect();
        all.push((Vec::new(), vec![(variable, value.to_owned())]));
        all.iter().for_each(assert_hushed);
    }
}

/// Whoever adds a setting that takes a URL or a file says what of it is secret.
#[test]
fn urls_and_files_are_secret_in_part() {
    for row in rows()
        .filter(|row| matches!(row.placeholder, Some("URL" | "FILE" | "KEY" | "JSON" | "TEXT")))
    {
        // Whoever asks from outside the cluster has it from kubectl.
        let is_secret = !matches!(row.secret, Secret::Nothing);
        assert!(is_secret || row.flag == "kubeconfig", "{}", row.flag);
    }
}

/// A secret in place of something else, with what gives it away.
#[test]
fn what_looks_like_a_secret_is_shown_nowhere() {
    for row in rows() {
        for value in ["https://hooks.example/T0/hush", "u:hush@host", "eyJhush.hush.hush"] {
            // That it is a webhook's, or a list of hosts', the table cannot know.
            let printed = printed(&(Vec::new(), vec![(row.variable, value.to_owned())]));
            let about = printed.lines().filter(|line| !line.starts_with("Ok(Do("));
            let shown = about.filter(|line| line.contains(HUSH)).count();
            assert!(
                shown == 0 || row.placeholder.is_some_and(|it| it == "URL"),
                "{value} {printed}"
            );
        }
    }
}
