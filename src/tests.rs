//! Each module uses only what stands before it in the table of its folder: in `lib.rs`, where that counts for
//! tests too, and in every `mod.rs` that claims it.

use std::fs;
use std::path::Path;

const CLAIM: &str = "ses only what stands before it";

#[test]
fn each_module_uses_only_what_stands_before_it() {
    let mut files = Vec::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut files);
    let mut wrong = Vec::new();
    for (page, text) in files.iter().filter(|(_, text)| text.contains(CLAIM)) {
        let Some(folder) = page.strip_suffix("lib.rs").or(page.strip_suffix("mod.rs")) else {
            continue;
        };
        let path = format!("crate::{}", folder.replace('/', "::"));
        let order = table(text);
        let place = |name: &str| order.iter().position(|known| *known == name);
        for (file, source) in files.iter().filter(|(file, _)| file.starts_with(folder)) {
            let module = file[folder.len()..].split(['/', '.']).next().unwrap();
            // The folder's own page has none.
            let Some(own) = place(module) else { continue };
            let source = if folder.is_empty() { source } else { without_tests(file, source) };
            for (line, number) in source.lines().zip(1..) {
                let code = line.split("//").next().unwrap();
                let braces = concat!("use crate::", "{");
                assert!(!code.contains(braces), "src/{file}:{number}: one module a line");
                let mut used = code.split(&path).skip(1).map(word);
                if used.any(|name| place(name).is_some_and(|other| other > own)) {
                    wrong.push(format!("src/{file}:{number}: {}", code.trim()));
                }
            }
        }
        let modules = text.lines().filter_map(|line| line.split_once("mod ")?.1.strip_suffix(';'));
        let missing = modules.filter(|name| place(name).is_none() && !is_for_tests(name));
        wrong.extend(missing.map(|name| format!("src/{page}: {name} is not in the table")));
    }
    assert!(wrong.is_empty(), "these use what stands later:\n{}", wrong.join("\n"));
}

/// The modules in the first column of a page's table, in its order.
fn table(page: &str) -> Vec<&str> {
    let cells = page.lines().filter_map(|line| line.strip_prefix("//! | ")?.split(" | ").next());
    let names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    names.map(|name| name.trim_start_matches("mod@")).collect()
}

/// What ships of a file.
fn without_tests<'a>(file: &str, source: &'a str) -> &'a str {
    let is_test = file.split(['/', '.']).any(is_for_tests);
    if is_test { "" } else { source.split("\n#[cfg(test)]\nmod tests").next().unwrap() }
}

fn is_for_tests(module: &str) -> bool {
    ["tests", "samples", "hostile", "stand_in"].into_iter().any(|end| module.ends_with(end))
}

fn word(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the test reads the sources")]
fn read(folder: &Path, name: &str, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = format!("{name}{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            read(&entry.path(), &format!("{name}/"), files);
        } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
            files.push((name, fs::read_to_string(entry.path()).unwrap()));
        }
    }
}
