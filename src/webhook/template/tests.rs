use super::*;

fn plain(text: &str) -> Template {
    Template::parse(text, Language::Plain).unwrap_or_else(|why| panic!("{text}: {why}"))
}

/// Why it is refused, in either language.
fn refused(action: &str) -> String {
    let plain = Template::parse(action, Language::Plain).unwrap_err();
    let quoted = Template::parse(&format!("\"{action}\""), Language::Json).unwrap_err();
    let moved = plain.replace("line 1, column 1:", "line 1, column 2:");
    assert_eq!(quoted, moved, "{action}");
    plain
}

#[test]
fn the_rest_of_gos_language_is_refused_with_what_to_write() {
    for (action, remedy) in [
        (
            "{{ range .Pods }}",
            "write {{ .Pods }}, which joins everything with \", \", or {{ .PodsJSON }}",
        ),
        ("{{- range $i, $pod := .Pods -}}", "write {{ .Pods }}"),
        ("{{ range $k, $v := .NodeLabels }}", "or {{ .NodeLabelsJSON }} for JSON"),
        ("{{ range . }}", "leave it out"),
        ("{{ if .State }}", "leave it out"),
        ("{{ if eq .Kind `SPOT_ITN` }}", "leave it out"),
        ("{{else}}", "leave it out"),
        ("{{ end }}", "leave it out"),
        ("{{ with .State }}", "leave it out"),
        ("{{ define \"a\" }}", "leave it out"),
        ("{{/* a note */}}", "is a comment"),
        ("{{- /* a note */ -}}", "is a comment"),
        ("{{ .Pods | toJson }}", "leave out everything from the |"),
        ("{{ .Kind|quote }}", "leave out everything from the |"),
        ("{{ $x := .Kind }}", "is a variable"),
        ("{{ $x }}", "is a variable"),
        ("{{ $ }}", "is a variable"),
        ("{{ `text` }}", "write the text without them"),
        ("{{- .Kind }}", "leave out the dash"),
        ("{{ .Kind -}}", "leave out the dash"),
        ("{{ . }}", "name a field"),
        ("{{ .StartTime.Unix }}", "name the field alone"),
        ("{{ .NodeLabels.zone }}", "name the field alone"),
        ("{{ .Kind .State }}", "give each its own braces"),
        ("{{ Kind }}", "write {{ .Kind }}"),
        ("{{ }}", "names no field"),
        ("{{}}", "names no field"),
        ("{{ - }}", "names no field"),
        ("{{ len .Pods }}", "is a function"),
        ("{{ printf `%s` .Kind }}", "is a function"),
        ("{{ (.Kind) }}", "is a function"),
        ("{{ 7 }}", "is a function"),
        ("{{{ .Kind }}", "is a function"),
        ("{{ é }}", "is a function"),
        ("{{ .kind }}", "did you mean {{ .Kind }}?"),
        ("{{ .InstanceId }}", "did you mean {{ .InstanceID }}?"),
        ("{{ .PodsJson }}", "did you mean {{ .PodsJSON }}?"),
        ("{{ .KindJSON }}", "there are .EventID .Kind"),
        ("{{ .AutoScalingGroupName }}", "there are .EventID .Kind .Monitor .Description"),
    ] {
        let why = refused(action);
        assert!(why.starts_with("line 1, column 1: {{ "), "{action}: {why}");
        assert!(why.contains(remedy), "{action}: {why}");
    }
}

#[test]
fn a_refusal_names_line_and_column_and_what_stands_there() {
    for (text, start) in [
        ("{{ .Kind }}\n {{ .Nope }}", "line 2, column 2: {{ .Nope }} is no field"),
        ("é{{ .Kind }}é{{.Nope}}", "line 1, column 14: {{ .Nope }} is no field"),
        ("a\nb\n{{ .Kind", "line 3, column 1: {{ is not followed by }}"),
        ("{{ .Kind }} {{\n.Kind }} {{", "line 2, column 10: {{ is not followed"),
    ] {
        let why = Template::parse(text, Language::Plain).unwrap_err();
        assert!(why.starts_with(start), "{why}");
    }
    let long = Template::parse(&format!("{{{{ {} }}}}", "a".repeat(90)), Language::Plain);
    assert!(
        long.unwrap_err()
            .starts_with(&format!("line 1, column 1: {{{{ {}… }}}} is", "a".repeat(40)))
    );
}

#[test]
fn text_outside_of_quotes_is_refused_in_json() {
    let why = |text: &str| Template::parse(text, Language::Json).unwrap_err();
    assert_eq!(
        why(r#"{"kind": {{ .Kind }}}"#),
        "line 1, column 10: {{ .Kind }} stands outside of quotation marks: write \"{{ .Kind }}\""
    );
    assert!(why(r#"{"pods": {{ .Pods }}}"#).ends_with("or {{ .PodsJSON }} for JSON"));
    assert!(why(r#"{"a": "\"", "b": {{ .Kind }}}"#).contains("column 18"));
    assert!(why(r#"{"a": "\{{ .Kind }}"}"#).contains("behind a backslash"));
    assert!(why("{\"a\": \"x\ny\"}").starts_with("line 1, column 9: a line break"));
    assert!(
        why(r#"{"a": "{{ .Kind }}}"#).contains("column 7: this quotation mark is never closed")
    );
    assert!(why("\"\\").contains("column 1: this quotation mark is never closed"));
}

#[test]
fn what_is_no_json_with_values_in_it_is_refused() {
    for text in [
        "",
        "{{ .PodsJSON }}{{ .PodsJSON }}",
        r#"{"a": "{{ .Kind }}",}"#,
        r#"{"a": "{{ .Kind }}"#.to_owned().replace('"', "").as_str(),
        r#"{"a": "\u00{{ .Kind }}"}"#,
        r#"{"a": "\ud83d{{ .Kind }}"}"#,
        r"{ {{ .PodsJSON }}: 1}",
        r#"{"a" "{{ .Kind }}"}"#,
        r"[1{{ .PodsJSON }}]",
        "payload={{ .PodsJSON }}",
    ] {
        assert!(Template::parse(text, Language::Json).is_err(), "{text}");
    }
    let why = Template::parse(r#"{"a": "{{ .Kind }}",}"#, Language::Json).unwrap_err();
    assert!(why.contains("a comma too many"), "{why}");
}

#[test]
fn an_operators_text_is_in_no_error_and_no_debug() {
    for text in [
        r#"{"routing_key": "geheim", "a": {{ .Kind }}}"#,
        r#"{"routing_key": "geheim", "a": "{{ printf "geheim" }}"}"#,
        r#"{"routing_key": "geheim""#,
        "{\"routing_key\": \"geheim\n\"}",
        "{\"routing_key\": \"geheim",
    ] {
        let why = Template::parse(text, Language::Json).unwrap_err();
        assert!(!why.contains("geheim"), "{why}");
    }
    assert!(!format!("{:?}", plain("geheim")).contains("geheim"));
}

#[test]
fn the_default_message_can_be_said_in_every_language() {
    for language in [Language::Json, Language::Plain] {
        assert_eq!(Template::usual(language), Template::parse(DEFAULT_TEMPLATE, language).unwrap());
    }
}
