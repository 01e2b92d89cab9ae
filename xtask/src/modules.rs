//! Kernel modules of an unpacked kernel package, with what they depend on.
use crate::{Result, initramfs::Initramfs, read};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Adds the modules `names` and their dependencies, the index by which modprobe finds them, and
/// `/etc/modules` with those of them in `at_start`.
pub fn add(archive: &mut Initramfs, root: &Path, names: &[&str], at_start: &[&str]) -> Result<()> {
    let all = root.join("lib/modules");
    let entries = all.read_dir().map_err(|e| format!("{}: {e}", all.display()))?;
    let version = entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).max();
    let version = version.ok_or_else(|| format!("{}: no kernel version", all.display()))?;
    let mut tree = Tree { files: BTreeMap::new(), lines: vec![] };
    tree.scan(&all.join(&version).join("kernel"));

    let base = all.join(&version);
    for name in names.iter().chain(at_start) {
        tree.need(archive, &base, &format!("lib/modules/{version}"), name)?;
    }
    let index = format!("lib/modules/{version}/modules.dep");
    archive.file(&index, tree.lines.concat().as_bytes(), 0o644)?;
    archive.file("etc/modules", (at_start.join("\n") + "\n").as_bytes(), 0o644)
}

struct Tree {
    /// Every module's file by its name, with `_` for `-`.
    files: BTreeMap<String, PathBuf>,
    /// Lines of `modules.dep`.
    lines: Vec<String>,
}

impl Tree {
    fn scan(&mut self, dir: &Path) {
        for path in dir.read_dir().into_iter().flatten().flatten().map(|e| e.path()) {
            if path.is_dir() {
                self.scan(&path);
            } else if path.extension().is_some_and(|e| e == "ko") {
                let name = path.file_stem().map(|n| canonical(&n.to_string_lossy()));
                self.files.extend(name.map(|n| (n, path)));
            }
        }
    }

    /// Adds a module after its dependencies; gives the paths that its line of the index names.
    fn need(&mut self, archive: &mut Initramfs, base: &Path, to: &str, name: &str) -> Result<Vec<String>> {
        let file =
            self.files.get(&canonical(name)).ok_or_else(|| format!("the kernel has no module {name}"))?;
        let path = file.strip_prefix(base).map_err(|e| e.to_string())?.to_string_lossy().into_owned();
        let code = read(file)?;
        let mut chain = vec![path.clone()];
        for dependency in dependencies(&code) {
            chain.extend(self.need(archive, base, to, &dependency)?);
        }
        let chain = last_of_each(&chain);
        archive.file(&format!("{to}/{path}"), &code, 0o644)?;
        let line = format!("{path}: {}\n", chain[1..].join(" "));
        if !self.lines.contains(&line) {
            self.lines.push(line);
        }
        Ok(chain)
    }
}

/// Leaves of what is there more than once the last: modprobe loads from the end, and what two modules
/// need has to be behind both.
fn last_of_each(chain: &[String]) -> Vec<String> {
    let is_last = |(i, path): &(usize, &String)| !chain[i + 1..].contains(path);
    chain.iter().enumerate().filter(is_last).map(|(_, path)| path.clone()).collect()
}

fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

/// Reads the `depends` entry of a module's `.modinfo`.
fn dependencies(code: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = code.windows(KEY.len()).position(|w| w == KEY) else { return vec![] };
    let value = code[at + KEY.len()..].split(|b| *b == 0).next().unwrap_or_default();
    let text = String::from_utf8_lossy(value);
    text.split(',').filter(|n| !n.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_two_modules_need_comes_behind_both() {
        let chain = ["bridge", "llc", "stp", "llc"].map(str::to_owned);
        assert_eq!(super::last_of_each(&chain), ["bridge", "stp", "llc"]);
    }

    #[test]
    fn dependencies_come_from_modinfo() {
        let code = b"\x7fELF..\0license=GPL\0depends=jbd2,mbcache\0name=ext4\0";
        assert_eq!(super::dependencies(code), ["jbd2", "mbcache"]);
        assert!(super::dependencies(b"\0depends=\0").is_empty());
    }
}
