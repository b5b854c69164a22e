//! The settings: a line that begins with a name in capitals and `=` is of the environment, each other one is an
//! argument. What is printed is plain, shows no secret, and where it is valid it is read again as it was.
#![no_main]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use k8s_spot_handler::settings::{self, BadSettings, Invocation, Settings};
use libfuzzer_sys::fuzz_target;

type Environment = BTreeMap<Vec<u8>, OsString>;

fuzz_target!(|input: &[u8]| {
    let (arguments, environment) = split(input);
    let variable = |name: &str| environment.get(name.as_bytes()).cloned();
    let _ = settings::logs_json(arguments.clone(), &variable);
    let read =
        fuzz::within(input, 100, 512 * 1024, || settings::read(arguments.clone(), &variable));
    // What must not be shown.
    let secret = secret(&arguments, &environment);
    let is_plain = |text: &str| {
        text.lines().for_each(fuzz::is_one_line);
        assert!(secret.is_none() || !text.contains("geheim"), "{text}");
    };
    let is_bad = |bad: &BadSettings| {
        is_plain(&bad.to_string());
        bad.0.iter().for_each(|problem| fuzz::is_one_line(problem));
    };
    match read {
        Ok(Invocation::Help | Invocation::Version) => {}
        Ok(Invocation::Print(overview)) => {
            is_plain(&overview.text);
            overview.bad.iter().for_each(is_bad);
        }
        Ok(Invocation::Do(_, settings)) => {
            settings.given.iter().for_each(|given| is_plain(given));
            settings.remarks.iter().for_each(|remark| is_plain(remark));
            settings.unusable.iter().for_each(|unusable| is_plain(&unusable.to_string()));
            assert!(
                secret.is_none() || !format!("{settings:?}").contains("geheim"),
                "{settings:?}"
            );
            hold(&settings);
        }
        Ok(Invocation::CheckBad(bad, _)) | Err(bad) => is_bad(&bad),
    }
});

/// What the rest of the program relies on.
fn hold(settings: &Settings) {
    assert!(settings.safety_margin < settings.source.window);
    let second = std::time::Duration::from_secs(1);
    assert!(settings.source.window >= second && settings.source.lifecycle_window >= second);
    assert!(settings.source.interval >= second && settings.shutdown_grace >= second);
    assert!(settings.by_hand.deadline >= second);
}

fn split(input: &[u8]) -> (Vec<OsString>, Environment) {
    let mut arguments = Vec::new();
    let mut environment = Environment::new();
    for line in input.split(|byte| *byte == b'\n') {
        let name = line.iter().position(|byte| *byte == b'=').map_or(&[][..], |at| &line[..at]);
        let is_name =
            |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
        if !name.is_empty() && name.iter().all(is_name) {
            let value = OsString::from_vec(line[name.len() + 1..].to_vec());
            environment.insert(name.to_vec(), value);
        } else if !line.is_empty() {
            arguments.push(OsString::from_vec(line.to_vec()));
        }
    }
    (arguments, environment)
}

/// Some setting that is a secret as a whole has this word in its value, and no other.
fn secret(arguments: &[OsString], environment: &Environment) -> Option<()> {
    const SECRETS: [&[u8]; 3] = [b"WEBHOOK_ROUTING_KEY", b"WECHAT_KEY", b"WEBHOOK_HEADERS"];
    let has_word = |text: &OsString| text.to_string_lossy().contains("geheim");
    let is_value = |value: &OsString| !value.to_string_lossy().contains("\"geheim");
    let mut with_word = environment.iter().filter(|(_, value)| has_word(value)).peekable();
    with_word.peek()?;
    let all = with_word.all(|(name, value)| {
        SECRETS.contains(&name.as_slice()) && (name != b"WEBHOOK_HEADERS" || is_value(value))
    });
    (all && !arguments.iter().any(has_word)).then_some(())
}
