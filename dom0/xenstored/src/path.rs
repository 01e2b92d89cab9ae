//! The grammar of store paths.
//!
//! A [`Path`] is absolute, or one of the special `@` names, and has passed every check; it is cheap to clone. What a
//! client sent becomes a `Path` in [`Path::resolve`] only.

use alloc::format;
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::fmt;

use crate::Domid;
use crate::error::{Error, Result};
use crate::wire;

/// An absolute path without doubled or trailing slashes, or the name of a special watch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(Arc<str>);

/// Whether a request may name one of the special nodes, which begin with `@`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// Watches and permission requests may.
    Allowed,
    /// All others get [`Error::Einval`].
    Refused,
}

impl Path {
    /// The node that fires when a domain is introduced.
    pub const INTRODUCE_DOMAIN: &str = "@introduceDomain";
    /// The node that fires when a domain shuts down, dies or is released.
    pub const RELEASE_DOMAIN: &str = "@releaseDomain";

    /// Gives the root of the tree.
    pub fn root() -> Self {
        Self(Arc::from("/"))
    }

    /// Gives the directory that is a domain's own: `/local/domain/<domid>`.
    pub fn of_domain(domid: Domid) -> Self {
        Self(format!("/local/domain/{}", domid.0).into())
    }

    /// Checks what a client of domain `caller` sent, and resolves it against the caller's own directory when it is
    /// relative. `local_limit` bounds the length, where the prefix that leads into some domain's directory does not
    /// count; the absolute limit of the protocol holds always.
    pub fn resolve(raw: &[u8], caller: Domid, special: Special, local_limit: Option<usize>) -> Result<Self> {
        let text = core::str::from_utf8(raw).map_err(|_| Error::Einval)?;
        if text.len() > wire::ABS_PATH_MAX || !text.bytes().all(is_path_byte) {
            return Err(Error::Einval);
        }
        let path = match text.as_bytes().first() {
            None => return Err(Error::Einval),
            Some(b'/') => Self(text.into()),
            Some(b'@') if special == Special::Allowed => Self(text.into()),
            Some(b'@') => return Err(Error::Einval),
            Some(_) => Self(format!("{}/{text}", Self::of_domain(caller).0).into()),
        };
        path.check(local_limit)?;
        Ok(path)
    }

    fn check(&self, local_limit: Option<usize>) -> Result<()> {
        let text = self.as_str();
        let local = text.len() - domain_prefix(text);
        let well_formed = (text == "/" || !text.ends_with('/')) && !text.contains("//");
        if well_formed && text.len() <= wire::ABS_PATH_MAX && local_limit.is_none_or(|limit| local <= limit) {
            Ok(())
        } else {
            Err(Error::Einval)
        }
    }

    /// Gives a path that is written in this program.
    pub(crate) fn known(text: &str) -> Self {
        Self(text.into())
    }

    /// Gives the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Tells whether this is the root, which can neither be removed nor have a parent.
    pub fn is_root(&self) -> bool {
        self.as_str() == "/"
    }

    /// Tells whether this is one of the `@` names, which lie outside the tree.
    pub fn is_special(&self) -> bool {
        self.as_str().starts_with('@')
    }

    /// Gives the directory that this node lies in: the root for a special node, none for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        match self.as_str().rfind('/') {
            None | Some(0) => Some(Self::root()),
            Some(slash) => Some(Self(self.as_str().get(..slash)?.into())),
        }
    }

    /// Lists this path and every directory above it, this one first, the root last. A special name stands alone.
    pub fn ancestry(&self) -> impl Iterator<Item = &str> {
        let text = self.as_str();
        let above =
            text.bytes().enumerate().rev().filter(|&(_, byte)| byte == b'/').filter_map(move |(slash, _)| {
                match slash {
                    0 if text.len() == 1 => None,
                    0 => Some("/"),
                    _ => text.get(..slash),
                }
            });
        core::iter::once(text).chain(above)
    }
}

impl Borrow<str> for Path {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'/' | b'_' | b'@')
}

/// Gives the length of a leading `/local/domain/<number>/`, or 0.
fn domain_prefix(text: &str) -> usize {
    let Some(rest) = text.strip_prefix("/local/domain/") else { return 0 };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if (1..=5).contains(&digits) && rest.as_bytes().get(digits) == Some(&b'/') {
        text.len() - rest.len() + digits + 1
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec::Vec;

    use super::*;

    fn resolve(raw: &str) -> Result<String> {
        Path::resolve(raw.as_bytes(), Domid(7), Special::Refused, Some(wire::REL_PATH_MAX))
            .map(|path| String::from(path.as_str()))
    }

    #[test]
    fn relative_paths_start_in_the_callers_directory() {
        assert_eq!(resolve("device/vbd").as_deref(), Ok("/local/domain/7/device/vbd"));
        assert_eq!(resolve("/vm/x_y-Z0").as_deref(), Ok("/vm/x_y-Z0"));
        assert_eq!(resolve("/").as_deref(), Ok("/"));
    }

    #[test]
    fn malformed_paths_are_refused() {
        for raw in
            ["", "//", "/a/", "a/", "/a//b", "a//b", "/a b", "/a.b", "/a\u{e9}", "@releaseDomain", "/a\n"]
        {
            assert_eq!(resolve(raw), Err(Error::Einval), "{raw:?}");
        }
        assert_eq!(Path::resolve(b"/\xff", Domid(1), Special::Allowed, None), Err(Error::Einval));
    }

    #[test]
    fn special_names_pass_only_where_they_are_allowed() {
        let path = Path::resolve(b"@releaseDomain", Domid(1), Special::Allowed, None).unwrap();
        assert!(path.is_special());
        assert_eq!(path.parent(), Some(Path::root()));
        assert_eq!(path.ancestry().collect::<Vec<_>>(), ["@releaseDomain"]);
    }

    #[test]
    fn the_prefix_of_a_domain_does_not_count_against_the_relative_limit() {
        let longest = "a".repeat(2048);
        assert!(resolve(&longest).is_ok());
        assert_eq!(resolve(&"a".repeat(2049)), Err(Error::Einval));
        assert_eq!(resolve(&format!("/{longest}")), Err(Error::Einval));
        assert!(resolve(&format!("/local/domain/65535/{longest}")).is_ok());
        assert_eq!(resolve(&format!("/local/domain/655350/{longest}")), Err(Error::Einval));
    }

    #[test]
    fn the_absolute_limit_holds_for_privileged_callers_too() {
        let resolve = |raw: &str| Path::resolve(raw.as_bytes(), Domid(0), Special::Refused, None);
        assert!(resolve(&format!("/{}", "a".repeat(3071))).is_ok());
        assert_eq!(resolve(&format!("/{}", "a".repeat(3072))), Err(Error::Einval));
        assert_eq!(resolve(&"a".repeat(3070)), Err(Error::Einval));
    }

    #[test]
    fn ancestry_leads_to_the_root() {
        let path = Path::known("/a/b-c/d");
        assert_eq!(path.ancestry().collect::<Vec<_>>(), ["/a/b-c/d", "/a/b-c", "/a", "/"]);
        assert_eq!(Path::root().ancestry().collect::<Vec<_>>(), ["/"]);
        assert_eq!(path.parent(), Some(Path::known("/a/b-c")));
        assert_eq!(Path::known("/a").parent(), Some(Path::root()));
        assert_eq!(Path::root().parent(), None);
    }
}
