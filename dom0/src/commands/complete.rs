//! What the Tab key adds to a line: names of commands, domains, files and nodes of the store.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::{Session, names, xl};
use crate::storage::Disk;

/// What a word may go on as.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// What all choices have in common beyond what is typed, and a blank where there is only one.
    pub more: String,
    /// The choices.
    pub choices: Vec<String>,
}

/// What kind of word is being typed.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Command,
    XlCommand,
    Domain,
    Path,
    StorePath,
    Unknown,
}

/// Blanks in names are typed with a backslash; none is at the end of a word.
fn split(before: &str) -> (Vec<&str>, &str) {
    let mut cut = 0;
    let mut previous = ' ';
    for (at, c) in before.char_indices() {
        if c == ' ' && previous != '\\' {
            cut = at + 1;
        }
        previous = c;
    }
    let words = before[..cut].split(' ').filter(|word| !word.is_empty()).collect();
    (words, &before[cut..])
}

/// Tells what the word after `words` is.
fn kind(words: &[&str], word: &str) -> Kind {
    match (words, word) {
        ([], _) => Kind::Command,
        (["xl"], _) => Kind::XlCommand,
        (["xenstore-ls" | "xenstore-read", ..], _) => Kind::StorePath,
        (["cat" | "ls" | "losetup", ..], _) => Kind::Path,
        (["xl", command, ..], _) => match xl::takes(command) {
            takes if takes.contains("FILE") => Kind::Path,
            takes if takes.contains("DOM") || takes.contains("NAME") => Kind::Domain,
            _ => Kind::Unknown,
        },
        _ => Kind::Unknown,
    }
}

/// Finds which of `names` begin with `word`, and what they have in common after that. What ends with a slash goes
/// on with another name.
fn choose(word: &str, names: impl IntoIterator<Item = String>) -> Completion {
    let mut choices: Vec<String> = names
        .into_iter()
        .map(|name| name.replace(' ', "\\ "))
        .filter(|name| name.starts_with(word))
        .collect();
    choices.sort();
    choices.dedup();
    let Some((first, others)) = choices.split_first() else { return Completion::default() };
    let common = others.iter().fold(first.as_str(), |common, other| {
        let same = common.char_indices().zip(other.chars()).find(|((_, a), b)| a != b);
        let end = same.map_or(common.len().min(other.len()), |((at, _), _)| at);
        &common[..end]
    });
    let mut more = common[word.len()..].to_string();
    if others.is_empty() && !first.ends_with('/') {
        more.push(' ');
    }
    Completion { more, choices }
}

impl<D: Disk + Clone + 'static> Session<D> {
    /// Completes the last word of `before`, which stands before the cursor.
    pub async fn complete(&self, before: &str) -> Completion {
        let (words, word) = split(before);
        let names: Vec<String> = match kind(&words, word) {
            Kind::Command => names().map(ToString::to_string).collect(),
            Kind::XlCommand => xl::names().map(ToString::to_string).collect(),
            Kind::Domain => self.domain_names().await,
            Kind::Path => self.paths(directory(word)).await,
            Kind::StorePath => self.store_paths(directory(word)).await,
            Kind::Unknown => Vec::new(),
        };
        choose(word, names)
    }

    async fn domain_names(&self) -> Vec<String> {
        let all = self.toolstack.list().await.unwrap_or_default();
        all.into_iter().map(|domain| domain.name).filter(|name| !name.is_empty()).collect()
    }

    async fn paths(&self, directory: &str) -> Vec<String> {
        if directory == "/dev/" {
            let loops = self.devices.list().into_iter().map(|device| device.name);
            return loops.chain(["/dev/vda".into()]).collect();
        }
        let plain = directory.replace("\\ ", " ");
        let entries = self.volume.read_dir(&plain).await.unwrap_or_default();
        let name = |name: &str, is_dir: bool| format!("{plain}{name}{}", if is_dir { "/" } else { "" });
        let mut names: Vec<String> = entries.iter().map(|entry| name(&entry.name, entry.is_dir)).collect();
        if directory == "/" {
            names.push("/dev/".into());
        }
        names
    }

    async fn store_paths(&self, directory: &str) -> Vec<String> {
        let directory = if directory.is_empty() { "/" } else { directory };
        let parent = if directory == "/" { directory } else { directory.trim_end_matches('/') };
        let children = self.store.directory(parent).await.unwrap_or_default();
        children.iter().map(|child| format!("{directory}{child}")).collect()
    }
}

/// The part of a path up to its last slash; nothing for a name in the directory that one is in.
fn directory(word: &str) -> &str {
    word.rfind('/').map_or("", |slash| &word[..=slash])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(word: &str, names: &[&str]) -> (String, usize) {
        let found = choose(word, names.iter().map(ToString::to_string));
        (found.more, found.choices.len())
    }

    #[test]
    fn a_word_goes_on_as_far_as_all_choices_agree() {
        let names = ["/root/win.cfg", "/root/hello", "/root/hello.cfg"];
        assert_eq!(choice("/root/w", &names), ("in.cfg ".into(), 1));
        assert_eq!(choice("/root/h", &names), ("ello".into(), 2));
        assert_eq!(choice("/root/hello.", &names), ("cfg ".into(), 1));
        assert_eq!(choice("/ro", &["/root/"]), ("ot/".into(), 1));
        assert_eq!(choice("x", &names), (String::new(), 0));
        assert_eq!(choice("", &["gr\u{fc}n", "gr\u{fb}n"]), ("gr".into(), 2));
        assert_eq!(choice("a\\ ", &["a b"]), ("b ".into(), 1));
    }

    #[test]
    fn words_are_completed_as_what_their_command_takes() {
        for (line, expected) in [
            ("xl", Kind::Command),
            ("xl cr", Kind::XlCommand),
            ("xl create -c /ro", Kind::Path),
            ("xl destroy w", Kind::Domain),
            ("xl info ", Kind::Unknown),
            ("cat /root/a\\ ", Kind::Path),
            ("xenstore-ls /l", Kind::StorePath),
            ("help ", Kind::Unknown),
        ] {
            let (words, word) = split(line);
            assert_eq!(kind(&words, word), expected, "{line}");
        }
        assert_eq!(split("cat a\\ b"), (alloc::vec!["cat"], "a\\ b"));
        assert_eq!((directory("/root/a"), directory("a")), ("/root/", ""));
    }
}
