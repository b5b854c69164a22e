use super::*;

/// What is printed for these, without what a pod has.
fn printed(arguments: &[&str], variables: &[(&str, &str)]) -> Overview {
    let lookup = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| OsString::from(value))
    };
    let arguments = arguments.iter().chain(&["--print-settings"]).map(OsString::from);
    match read(arguments, &lookup) {
        Ok(Invocation::Print(overview)) => overview,
        other => panic!("{other:?}"),
    }
}

/// Value and origin of a setting, with one space between words.
fn line(overview: &Overview, name: &str) -> String {
    let lines: Vec<_> = overview
        .text
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .map(|rest| rest.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(lines.len(), 1, "{name} in {}", overview.text);
    lines[0].clone()
}

#[test]
fn every_setting_has_its_line_in_the_order_of_the_table() {
    let overview = printed(&[], &POD);
    assert_eq!(overview.bad, None);
    let names = overview.text.lines().map(|line| line.split(' ').next().unwrap());
    assert!(names.eq(rows().map(|row| row.variable)), "{}", overview.text);
}

#[test]
fn a_value_is_told_with_where_it_came_from() {
    let overview = printed(
        &["--safety-margin=8s", "--poll-interval="],
        &[POD[0], POD[1], ("SAFETY_MARGIN", "9s"), ("POLL_INTERVAL", "5"), ("GRACE_PERIOD", "30")],
    );
    assert_eq!(overview.bad, None);
    for (name, expected) in [
        ("NODE_NAME", "node-1 environment NODE_NAME"),
        ("POLL_INTERVAL", "5 environment POLL_INTERVAL"),
        ("POD_TERMINATION_GRACE_PERIOD", "30 environment GRACE_PERIOD"),
        ("SAFETY_MARGIN", "8s flag --safety-margin"),
        ("SHUTDOWN_GRACE_PERIOD", "150s default"),
        ("NOTICE_URL", "(unset) default: not polled"),
    ] {
        assert_eq!(line(&overview, name), expected);
    }
}

#[test]
fn a_proxy_is_told_with_where_it_came_from_and_without_its_user() {
    let proxies =
        [("https_proxy", "http://me:hunter2@proxy.example:3128"), ("NO_PROXY", ".svc,10.0.0.0/8")];
    let overview = printed(&[], &[&POD[..], &proxies].concat());
    assert_eq!(overview.bad, None);
    assert_eq!(line(&overview, "HTTPS_PROXY"), "http://proxy.example:3128 environment https_proxy");
    assert_eq!(line(&overview, "NO_PROXY"), ".svc,10.0.0.0/8 environment NO_PROXY");
    assert!(line(&overview, "WEBHOOK_PROXY").starts_with("(unset) default: HTTPS_PROXY"));
}

#[test]
fn columns_are_aligned_whatever_is_too_wide_for_them() {
    let overview = printed(&["--maintenance-lead-times=instance-stop=2h"], &POD);
    let origins: BTreeSet<_> =
        overview.text.lines().filter_map(|line| line.find("  default")).collect();
    assert_eq!(origins.len(), 1, "{}", overview.text);
    assert!(*origins.first().unwrap() < 90, "{}", overview.text);
    let values = overview.text.lines().map(|line| line.find("  ").unwrap());
    assert!(values.max().unwrap() < *origins.first().unwrap());
}

#[test]
fn lead_times_are_told_as_they_come_out() {
    let list = "--maintenance-lead-times=instance-stop=2h";
    let rest = "system-reboot=10m,system-maintenance=10m,instance-retirement=1h";
    let told = |arguments: &[&str], more: &[(&str, &str)]| {
        line(&printed(arguments, &[&POD, more].concat()), "MAINTENANCE_LEAD_TIMES")
    };
    assert_eq!(told(&[], &[]), format!("instance-reboot=10m,{rest},instance-stop=1h default"));
    assert_eq!(
        told(&[list], &[]),
        format!("instance-reboot=10m,{rest},instance-stop=2h flag --maintenance-lead-times")
    );
    let grace = [("NODE_TERMINATION_GRACE_PERIOD", "90")];
    let follows = "instance-stop=1m30s follows NODE_TERMINATION_GRACE_PERIOD";
    assert!(told(&[], &grace).ends_with(follows), "{}", told(&[], &grace));
    let both = told(&[list], &grace);
    assert!(both.contains("system-reboot=1m30s,"), "{both}");
    assert!(both.ends_with("instance-stop=2h flag --maintenance-lead-times"), "{both}");
}

#[test]
fn what_is_wrong_is_told_beside_what_is_right() {
    let overview =
        printed(&["--shutdown-grace-period=0", "--nonsense"], &[("POLL_INTERVAL", "soon")]);
    let line_of_grace = line(&overview, "SHUTDOWN_GRACE_PERIOD");
    assert_eq!(line_of_grace, "0 flag --shutdown-grace-period, NOT VALID");
    assert_eq!(line(&overview, "POLL_INTERVAL"), "soon environment POLL_INTERVAL, NOT VALID");
    assert!(line(&overview, "NODE_NAME").starts_with("(missing) "));
    assert!(line(&overview, "KUBERNETES_SERVICE_HOST").starts_with("(missing) "));
    assert_eq!(line(&overview, "SAFETY_MARGIN"), "2s default");
    let problems = overview.bad.unwrap().0;
    assert_eq!(problems.len(), 5, "{problems:?}");
}

#[test]
fn what_is_done_without_stands_at_the_end_and_is_no_less_wrong() {
    let overview = printed(&["--webhook-form=telegram"], &POD);
    assert_eq!(line(&overview, "WEBHOOK_FORM"), "telegram flag --webhook-form, NOT VALID");
    let (_, below) = overview.text.split_once("\n\nNot valid, and done without:\n  ").unwrap();
    assert!(below.starts_with("--webhook-form is \"telegram\"; valid is "), "{below}");
    assert!(below.ends_with("; its default, template, is in force\n"), "{below}");
    assert_eq!(overview.bad.unwrap().0.len(), 1);
}

#[test]
fn names_without_effect_and_remarks_stand_below() {
    let variables = [POD[0], POD[1], ("KUBE_API_QPS", "9"), ("METADATA_TRIES", "3")];
    let overview = printed(&["--poll-interval=1m", "--use-apiserver-cache"], &variables);
    let (_, below) = overview.text.split_once("\n\n").unwrap();
    assert!(
        below.starts_with(
            "Set, but without effect here:\n  KUBE_API_QPS\n  USE_APISERVER_CACHE\n  \
             METADATA_TRIES\n\nRemarks:\n  "
        ),
        "{below}"
    );
    assert!(below.contains("\n  With 1m between polls"), "{below}");
    assert!(!printed(&[], &POD).text.contains("\n\n"));
}

#[test]
fn no_secret_is_printed() {
    let overview = printed(
        &["--token-file=eyJhunter2"],
        &[
            ("NOTICE_URL", "http://host/notice?hunter2"),
            ("SLACK_URL", "https://hooks.example/hunter2"),
            ("GMAIL_PASS", "hunter2"),
            ("INSTANCE_METADATA_URL", "http://me:hunter2@host"),
            ("NODE_NAME", "eyJhunter2"),
        ],
    );
    let bad = overview.bad.as_ref().unwrap().to_string();
    assert!(!overview.text.contains("hunter2"), "{}", overview.text);
    assert!(!bad.contains("hunter2"), "{bad}");
    assert_eq!(line(&overview, "NOTICE_URL"), "http://host/notice?… environment NOTICE_URL");
}
