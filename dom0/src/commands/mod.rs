//! The commands of the prompt: a file for each family.

mod complete;
mod files;
mod loops;
mod store;
mod xl;

use alloc::{rc::Rc, string::String};
use core::fmt;

use guest_sdk::xenstore::Xenstore;
use toolstack::Toolstack;

pub use complete::Completion;

use crate::{
    boxed::boxed,
    consoles::Consoles,
    devices::Devices,
    host::Dom0,
    storage::{Disk, Volume},
    terminal::Terminal,
};

/// Why a command failed: what to tell the user.
#[derive(Debug)]
pub struct Failure(pub String);

impl<E: fmt::Display> From<E> for Failure {
    fn from(e: E) -> Self {
        Self(alloc::format!("{e}"))
    }
}

/// Makes a failure of a text.
macro_rules! fail {
    ($($text:tt)*) => { return Err($crate::commands::Failure(alloc::format!($($text)*))) };
}
pub(crate) use fail;

/// What a command comes to.
pub type Outcome = Result<(), Failure>;

/// What commands work on.
pub struct Session<D: Disk + Clone> {
    /// Guests.
    pub toolstack: Rc<Toolstack<Dom0<D>>>,
    /// The store.
    pub store: Xenstore,
    /// Files.
    pub volume: Rc<Volume<D>>,
    /// Guests' consoles.
    pub consoles: Consoles,
    /// Loop devices.
    pub devices: Devices<D>,
}

/// A command: its name, what it takes and what it does, for `help`.
struct Entry {
    name: &'static str,
    takes: &'static str,
    does: &'static str,
}

const ENTRIES: &[Entry] = &[
    Entry { name: "cat", takes: "FILE...", does: "print files" },
    Entry { name: "help", takes: "", does: "this list" },
    Entry {
        name: "losetup",
        takes: "[-a | -f | -d DEVICE | [-r] DEVICE FILE]",
        does: "block devices made of files",
    },
    Entry { name: "ls", takes: "[-l] [PATH...]", does: "list directories" },
    Entry { name: "xenstore-ls", takes: "[-f] [PATH]", does: "print a part of the store" },
    Entry { name: "xenstore-read", takes: "PATH...", does: "print values of the store" },
    Entry { name: "xl", takes: "COMMAND ...", does: "make and manage guests; see xl help" },
];

impl<D: Disk + Clone + 'static> Session<D> {
    /// Runs the command that `words` name.
    ///
    /// # Errors
    ///
    /// What to tell the user.
    pub async fn run(&self, words: &[String], terminal: &mut Terminal) -> Outcome {
        let Some((name, args)) = words.split_first() else { return Ok(()) };
        match name.as_str() {
            "cat" => boxed(|| self.cat(args, terminal)).await,
            "help" | "?" => help(terminal),
            "losetup" => boxed(|| self.losetup(args, terminal)).await,
            "ls" => boxed(|| self.ls(args, terminal)).await,
            "xenstore-ls" => boxed(|| self.xenstore_ls(args, terminal)).await,
            "xenstore-read" => boxed(|| self.xenstore_read(args, terminal)).await,
            "xl" => boxed(|| self.xl(args, terminal)).await,
            _ => fail!("{name}: command not found; help lists what there is"),
        }
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    ENTRIES.iter().map(|entry| entry.name)
}

fn help(out: &mut impl fmt::Write) -> Outcome {
    for entry in ENTRIES {
        let usage = alloc::format!("{} {}", entry.name, entry.takes);
        writeln!(out, "  {usage:<54} {}", entry.does)?;
    }
    Ok(())
}

/// Splits `args` into single-letter options, all of which must be in `known`, and the rest.
fn options<'a>(args: &'a [String], known: &str) -> Result<(String, &'a [String]), Failure> {
    let mut found = String::new();
    for (index, arg) in args.iter().enumerate() {
        match arg.strip_prefix('-') {
            Some("-") => return Ok((found, &args[index + 1..])),
            Some(letters) if !letters.is_empty() => {
                if letters.starts_with('-') {
                    fail!("option {arg} is not supported: only single letters are");
                }
                if let Some(bad) = letters.chars().find(|&c| !known.contains(c)) {
                    fail!("option -{bad} is not supported");
                }
                found.push_str(letters);
            }
            _ => return Ok((found, &args[index..])),
        }
    }
    Ok((found, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{string::ToString, vec::Vec};

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(ToString::to_string).collect()
    }

    #[test]
    fn options_end_at_the_first_word_or_two_dashes() {
        let args = words("-al -d /dev/loop0 -x");
        let (found, rest) = options(&args, "ald").unwrap();
        assert_eq!((found.as_str(), rest), ("ald", &args[2..]));
        let args = words("-a -- -b");
        assert_eq!(options(&args, "a").unwrap().1, &args[2..]);
        let refused = |line| options(&words(line), "a").unwrap_err().0;
        assert_eq!(refused("-q"), "option -q is not supported");
        assert_eq!(refused("--all"), "option --all is not supported: only single letters are");
    }
}
