//! Debian's packages for another architecture, without touching the system's own apt.
//!
//! A private apt root has its own lists, cache and sources; packages are downloaded into it and
//! unpacked with `dpkg-deb -x`. The mirror is the system's, read from its sources. Only the main
//! suite and its updates are used, whichever release the system runs.
use crate::{Result, check, make_dir, output, step, write};
use machine::{Arch, paths};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The release whose packages are the peers: the one with Xen 4.17.
const RELEASE: &str = "bookworm";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A private apt root for one architecture.
pub struct Apt {
    arch: Arch,
    dir: PathBuf,
    config: PathBuf,
}

impl Apt {
    /// Opens the private root of `arch`, making it the first time.
    pub fn open(arch: Arch) -> Result<Self> {
        let dir = paths::debian(arch);
        let apt = dir.join("apt");
        for sub in ["state/lists/partial", "cache/archives/partial"] {
            make_dir(&apt.join(sub))?;
        }
        make_dir(&dir.join("debs"))?;
        let config = apt.join("apt.conf");
        let this = Self { arch, dir, config };
        write(&this.config, this.configuration(&apt).as_bytes())?;
        write(&apt.join("state/status"), b"")?;
        Ok(this)
    }

    fn configuration(&self, apt: &Path) -> String {
        let (apt, arch) = (apt.display(), self.arch.debian());
        format!(
            "Dir::State \"{apt}/state\";\nDir::State::status \"{apt}/state/status\";\n\
             Dir::Cache \"{apt}/cache\";\nDir::Etc::sourcelist \"{apt}/sources.list\";\n\
             Dir::Etc::sourceparts \"/dev/null\";\nDir::Etc::preferences \"/dev/null\";\n\
             Dir::Etc::preferencesparts \"/dev/null\";\n\
             APT::Architecture \"{arch}\";\n#clear APT::Architectures;\nAPT::Architectures {{ \"{arch}\"; }};\n\
             APT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\n\
             #clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n"
        )
    }

    fn command(&self, program: &str) -> Command {
        let mut c = Command::new(program);
        c.arg("-c").arg(&self.config).current_dir(self.dir.join("debs"));
        c
    }

    /// Unpacks `packages` into the architecture's root, downloading those that are not there.
    pub fn unpack(&self, packages: &[String]) -> Result<()> {
        let missing: Vec<&String> = packages.iter().filter(|p| !self.stamp(p).is_file()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let what = format!("fetching {} Debian packages for {}", missing.len(), self.arch.debian());
        step(&what, || {
            self.download(&missing)?;
            for package in missing {
                let file =
                    self.downloaded(package).ok_or_else(|| format!("apt-get downloaded no {package}"))?;
                check(Command::new("dpkg-deb").arg("-x").arg(file).arg(paths::debian_root(self.arch)))?;
                write(&self.stamp(package), b"")?;
            }
            Ok(())
        })
    }

    /// Resolves a metapackage to the package, with `start`, that it depends on. The answer is kept:
    /// a newer version is looked for only after the folder was removed.
    pub fn resolve(&self, metapackage: &str, start: &str) -> Result<String> {
        let kept = self.dir.join("apt").join(format!("{metapackage}.resolved"));
        if let Ok(name) = fs::read_to_string(&kept) {
            return Ok(name);
        }
        self.update_once()?;
        let mut c = self.command("apt-cache");
        let said = output(c.args(["depends", "--important", metapackage]))?;
        let depends = said.lines().filter_map(|l| l.trim().strip_prefix("Depends: "));
        let found = depends.map(|d| d.trim()).find(|d| d.starts_with(start));
        let name = found.ok_or_else(|| format!("{metapackage} depends on no {start}*"))?;
        write(&kept, name.as_bytes())?;
        Ok(name.to_owned())
    }

    fn stamp(&self, package: &str) -> PathBuf {
        self.dir.join("unpacked").join(package)
    }

    fn download(&self, packages: &[&String]) -> Result<()> {
        let wanted: Vec<&&String> = packages.iter().filter(|p| self.downloaded(p).is_none()).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        self.update_once()?;
        let get = || output(self.command("apt-get").args(["--quiet", "download"]).args(&wanted));
        if get().is_err() {
            // The lists can be older than what the mirror has.
            self.update()?;
            get()?;
        }
        Ok(())
    }

    fn downloaded(&self, package: &str) -> Option<PathBuf> {
        let start = format!("{package}_");
        let entries = self.dir.join("debs").read_dir().ok()?;
        let mut files = entries.flatten().map(|e| e.path());
        files.find(|f| {
            let name = f.file_name().map(|n| n.to_string_lossy().into_owned());
            name.is_some_and(|n| n.starts_with(&start) && n.ends_with(".deb"))
        })
    }

    fn update_once(&self) -> Result<()> {
        let lists = self.dir.join("apt/state/lists").read_dir();
        let have = lists.is_ok_and(|mut l| {
            l.any(|e| e.is_ok_and(|e| e.file_name().to_string_lossy().contains("_Packages")))
        });
        if have { Ok(()) } else { self.update() }
    }

    fn update(&self) -> Result<()> {
        write(&self.dir.join("apt/sources.list"), sources()?.as_bytes())?;
        let what = format!("fetching Debian's package lists for {}", self.arch.debian());
        step(&what, || output(self.command("apt-get").args(["--quiet", "update"])).map(drop))
    }
}

/// Writes the private root's sources: the system's mirror, or `DEBIAN_MIRROR`.
fn sources() -> Result<String> {
    let Entry { uri, keyring } = match env::var("DEBIAN_MIRROR") {
        Ok(uri) => Entry { uri, keyring: None },
        Err(_) => system_mirror()?,
    };
    let keyring = keyring.unwrap_or_else(|| KEYRING.into());
    let suites = [RELEASE.to_owned(), format!("{RELEASE}-updates")];
    Ok(suites.map(|suite| format!("deb [signed-by={keyring}] {uri} {suite} main\n")).concat())
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    uri: String,
    keyring: Option<String>,
}

fn system_mirror() -> Result<Entry> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(dir) = Path::new("/etc/apt/sources.list.d").read_dir() {
        files.extend(dir.flatten().map(|e| e.path()));
    }
    files.sort();
    let mut found = vec![];
    for file in files {
        let text = fs::read_to_string(&file).unwrap_or_default();
        match file.extension().and_then(|e| e.to_str()) {
            Some("list") => found.extend(text.lines().filter_map(one_line)),
            Some("sources") => found.extend(text.split("\n\n").filter_map(stanza)),
            _ => {}
        }
    }
    // Of several archives with such a suite, Debian's own ends in this word by convention.
    let own = found.iter().position(|e| e.uri.trim_end_matches('/').ends_with("/debian"));
    match found.is_empty() {
        true => Err("no Debian archive in /etc/apt: set DEBIAN_MIRROR to its address".into()),
        false => Ok(found.swap_remove(own.unwrap_or(0))),
    }
}

/// Says whether an archive holds a release of Debian proper, no matter which.
fn is_main_archive(suites: &[&str], components: &[&str]) -> bool {
    let releases = ["bookworm", "trixie", "forky", "stable", "testing", "sid", "unstable"];
    components.contains(&"main") && suites.iter().any(|s| releases.contains(s))
}

/// Reads a line of the one-line format.
fn one_line(line: &str) -> Option<Entry> {
    let rest = line.trim().strip_prefix("deb ")?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(r) => r.split_once(']')?,
        None => ("", rest),
    };
    let words: Vec<&str> = rest.split_whitespace().collect();
    let [uri, suite, components @ ..] = &words[..] else { return None };
    let keyring = options.split_whitespace().find_map(|o| o.strip_prefix("signed-by="));
    is_main_archive(&[suite], components)
        .then(|| Entry { uri: (*uri).to_owned(), keyring: keyring.map(str::to_owned) })
}

/// Reads a stanza of the deb822 format.
fn stanza(text: &str) -> Option<Entry> {
    let field = |name: &str| {
        text.lines().find_map(|l| {
            let (key, value) = l.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.split_whitespace().collect::<Vec<_>>())
        })
    };
    if !field("Types")?.contains(&"deb") || field("Enabled").is_some_and(|v| v == ["no"]) {
        return None;
    }
    let uri = field("URIs")?.first()?.to_string();
    let keyring =
        field("Signed-By").and_then(|v| v.first().filter(|k| k.starts_with('/')).map(|k| k.to_string()));
    is_main_archive(&field("Suites")?, &field("Components")?).then_some(Entry { uri, keyring })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirror_is_read_from_both_formats() {
        let line = "deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main contrib";
        let e = one_line(line).unwrap();
        assert_eq!((e.uri.as_str(), e.keyring.as_deref()), ("http://mirror.example/debian", Some("/k.gpg")));
        let text = "Types: deb\n# comment\nURIs: http://mirror.example/debian\n\
                    Suites: bookworm bookworm-updates\nComponents: main\nSigned-By: /k.gpg\n";
        assert_eq!(stanza(text).unwrap(), e);
    }

    #[test]
    fn security_and_foreign_archives_are_passed_over() {
        assert_eq!(one_line("deb http://mirror.example/debian-security bookworm-security main"), None);
        assert_eq!(one_line("deb http://other.example/linux bookworm stable"), None);
        assert_eq!(one_line("# deb http://mirror.example/debian bookworm main"), None);
        let off =
            "Types: deb\nURIs: http://mirror.example/debian\nSuites: sid\nComponents: main\nEnabled: no\n";
        assert_eq!(stanza(off), None);
    }
}
