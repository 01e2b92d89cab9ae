//! `xenstore-ls` and `xenstore-read`.

use alloc::{
    format,
    string::{String, ToString},
    vec,
};
use core::fmt::Write;

use guest_sdk::xenstore::Xenstore;

use super::{Failure, Outcome, Session, fail, options};
use crate::{storage::Disk, terminal::Terminal};

impl<D: Disk + Clone + 'static> Session<D> {
    pub(super) async fn xenstore_ls(&self, args: &[String], out: &mut Terminal) -> Outcome {
        let (flags, rest) = options(args, "f")?;
        let top = match rest {
            [] => "/",
            [path] => path.as_str(),
            _ => fail!("usage: xenstore-ls [-f] [PATH]"),
        };
        let store = &self.store;
        // The nodes still to be printed, the next one last: no recursion on a tree that guests deepen.
        let mut left = vec![(0, top.to_string())];
        while let Some((depth, path)) = left.pop() {
            let Ok(names) = store.directory(&path).await else {
                if path == top {
                    fail!("xenstore-ls: could not access {path}");
                }
                continue;
            };
            if depth > 0 {
                let value = store.read(&path).await.unwrap_or_default();
                print_node(depth, &path, &value, flags.contains('f'), out)?;
            }
            let prefix = path.trim_end_matches('/');
            left.extend(names.iter().rev().map(|name| (depth + 1, format!("{prefix}/{name}"))));
        }
        Ok(())
    }

    pub(super) async fn xenstore_read(&self, args: &[String], out: &mut Terminal) -> Outcome {
        if args.is_empty() {
            fail!("usage: xenstore-read PATH...");
        }
        for path in args {
            let value = read(&self.store, path).await?;
            writeln!(out, "{}", printable(&value))?;
        }
        Ok(())
    }
}

async fn read(store: &Xenstore, path: &str) -> Result<alloc::vec::Vec<u8>, Failure> {
    store.read(path).await.map_err(|_| Failure(format!("xenstore-read: couldn't read path {path}")))
}

fn print_node(depth: usize, path: &str, value: &[u8], full: bool, out: &mut impl Write) -> Outcome {
    let name = path.rsplit('/').next().unwrap_or(path);
    match full {
        true => writeln!(out, "{path} = \"{}\"", printable(value))?,
        false => writeln!(out, "{:indent$}{name} = \"{}\"", "", printable(value), indent = depth - 1)?,
    }
    Ok(())
}

/// Bytes as xenstore's own tools show them: what is not printable is escaped.
fn printable(value: &[u8]) -> String {
    let mut text = String::new();
    for &byte in value {
        match byte {
            b'\\' => text.push_str("\\\\"),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\{byte:03o}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_without_what_a_terminal_would_obey() {
        assert_eq!(printable(b"a\x1b[2J\n\\\xff"), "a\\033[2J\\n\\\\\\377");
    }

    #[test]
    fn nodes_are_indented_by_their_depth() {
        let mut out = String::new();
        print_node(1, "/local", b"", false, &mut out).unwrap();
        print_node(2, "/local/domain", b"x", false, &mut out).unwrap();
        print_node(2, "/local/domain", b"x", true, &mut out).unwrap();
        assert_eq!(out, "local = \"\"\n domain = \"x\"\n/local/domain = \"x\"\n");
    }
}
