//! Each module uses only what stands before it in the table of its folder's page: in `lib.rs`, where that
//! counts for tests too, and in every `mod.rs` that claims it.
#![expect(clippy::disallowed_methods, reason = "it reads the sources")]

use std::fs;
use std::path::{Path, PathBuf};

const CLAIM: &str = "ses only what stands before it";
const FOR_TESTS: [&str; 5] = ["tests", "samples", "hostile", "stand_in", "h2_stand_in"];

#[test]
fn each_module_uses_only_what_stands_before_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = files(&src);
    let claiming = files.iter().filter(|file| is_page(file) && read(file).contains(CLAIM));
    let wrong: Vec<String> = claiming.flat_map(|page| wrong_uses(&src, page, &files)).collect();
    assert!(wrong.is_empty(), "they use what stands later:\n{}", wrong.join("\n"));
}

/// Each line under `page` that names a module that stands later in its table than the line's own.
fn wrong_uses(src: &Path, page: &Path, files: &[PathBuf]) -> Vec<String> {
    let (text, folder) = (read(page), page.parent().unwrap());
    let order = table(&text);
    let place = |name: &str| order.iter().position(|known| *known == name);
    let parts = folder.strip_prefix(src).unwrap().iter().map(|part| part.to_str().unwrap());
    let path = parts.fold("crate::".to_owned(), |path, part| path + part + "::");
    let mut wrong = Vec::new();
    for file in files.iter().filter(|file| file.starts_with(folder)) {
        let module = file.strip_prefix(folder).unwrap().iter().next().unwrap().to_str().unwrap();
        // The page itself is of none.
        let Some(own) = place(module.trim_end_matches(".rs")) else { continue };
        let is_test = |name: &std::ffi::OsStr| FOR_TESTS.contains(&name.to_str().unwrap());
        if folder != src && file.with_extension("").iter().any(is_test) {
            continue;
        }
        let all = read(file);
        let end = if folder == src { None } else { all.find("\n#[cfg(test)]\nmod tests") };
        for (line, number) in all[..end.unwrap_or(all.len())].lines().zip(1..) {
            let code = line.split("//").next().unwrap();
            let mut used = code.split(&path).skip(1).map(|rest| rest.split(is_end).next().unwrap());
            if used.any(|name| place(name).is_some_and(|other| other > own)) {
                wrong.push(format!("{}:{number}: {}", file.display(), code.trim()));
            }
        }
    }
    let modules = text.lines().filter_map(|line| line.split_once("mod ")?.1.strip_suffix(';'));
    let unlisted = modules.filter(|name| place(name).is_none() && !FOR_TESTS.contains(name));
    wrong.extend(unlisted.map(|name| format!("{}: {name} is not in the table", page.display())));
    wrong
}

/// The modules that the first column of a page's table names, in its order.
fn table(page: &str) -> Vec<&str> {
    let cells = page.lines().filter_map(|line| line.strip_prefix("//! | ")?.split(" | ").next());
    let names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    names.map(|name| name.trim_start_matches("mod@")).collect()
}

fn is_page(file: &Path) -> bool {
    file.ends_with("lib.rs") || file.ends_with("mod.rs")
}

fn is_end(c: char) -> bool {
    !c.is_alphanumeric() && c != '_'
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
