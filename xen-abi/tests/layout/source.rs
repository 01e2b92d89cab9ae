//! Reads this crate's own source for the names it publishes, so that none can be left out of the tables.

use std::path::{Path, PathBuf};

/// What a source file declares.
#[derive(Default)]
pub struct Names {
    /// `module::CONST`, also associated ones.
    pub constants: Vec<String>,
    /// `module::Structure` and its fields, without those called `pad`.
    pub structures: Vec<(String, Vec<String>)>,
}

/// Collects the names of all files but those without numbers of the ABI.
pub fn names() -> Names {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut names = Names::default();
    for file in files(&root) {
        let relative = file.strip_prefix(&root).unwrap().with_extension("");
        let mut module: Vec<_> = relative.iter().map(|part| part.to_str().unwrap()).collect();
        if module.last() == Some(&"mod") {
            module.pop();
        }
        if matches!(module[..], ["lib"] | ["macros"] | ["errno"]) {
            continue;
        }
        scan(&module.join("::"), &std::fs::read_to_string(&file).unwrap(), &mut names);
    }
    names
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// Goes through one file by lines, which rustfmt keeps one declaration each, and braces.
fn scan(module: &str, text: &str, names: &mut Names) {
    let mut depth = 0;
    let mut open: Vec<(usize, String)> = vec![];
    let mut in_structure: Option<usize> = None;
    for line in text.lines() {
        let code = line.split("//").next().unwrap().trim();
        let words: Vec<_> =
            code.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect();
        match words[..] {
            ["pub", "mod", name] | ["impl", name] if code.ends_with('{') => open.push((depth, name.into())),
            ["impl", generic, name, ..] if code.ends_with('{') && generic.len() == 1 => {
                open.push((depth, name.into()));
            }
            ["pub", "const", name, ..] if name != "fn" => {
                let mut path = vec![module];
                path.extend(open.iter().map(|(_, name)| name.as_str()));
                path.push(name);
                names.constants.push(path.join("::"));
            }
            ["pub", "struct", name] if code.ends_with('{') => {
                names.structures.push((format!("{module}::{name}"), vec![]));
                in_structure = Some(depth);
            }
            ["pub", field, ..] if in_structure.is_some() && !field.starts_with("pad") => {
                names.structures.last_mut().unwrap().1.push(field.into());
            }
            _ => {}
        }
        depth = depth + code.matches('{').count() - code.matches('}').count();
        if in_structure.is_some_and(|outer| depth <= outer) {
            in_structure = None;
        }
        open.retain(|(outer, _)| depth > *outer);
    }
}
