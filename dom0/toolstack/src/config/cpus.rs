//! Lists of host CPUs: `all`, `0-3,5,^1`, `node:0`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A set of host CPUs, in bits from the lowest: bit n of byte n / 8 is CPU n.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuMap(pub Vec<u8>);

impl CpuMap {
    /// Makes the set of the first `count` CPUs.
    pub fn all(count: u32) -> Self {
        let mut map = Self::none(count);
        (0..count).for_each(|cpu| map.set(cpu, true));
        map
    }

    /// Makes an empty set with room for `count` CPUs.
    pub fn none(count: u32) -> Self {
        Self(alloc::vec![0; count.div_ceil(8) as usize])
    }

    /// Puts a CPU in or takes it out; one for which there is no room is not looked at.
    pub fn set(&mut self, cpu: u32, present: bool) {
        if let Some(byte) = self.0.get_mut(cpu as usize / 8) {
            let bit = 1 << (cpu % 8);
            *byte = if present { *byte | bit } else { *byte & !bit };
        }
    }

    /// Tells whether a CPU is in the set.
    pub fn contains(&self, cpu: u32) -> bool {
        self.0.get(cpu as usize / 8).is_some_and(|byte| byte & (1 << (cpu % 8)) != 0)
    }

    /// Tells whether no CPU is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|&byte| byte == 0)
    }

    /// Writes the set as xl shows an affinity: `all`, or ranges of numbers.
    pub fn describe(&self, count: u32) -> String {
        if (0..count).all(|cpu| self.contains(cpu)) {
            return "all".to_string();
        }
        let mut ranges = Vec::new();
        let mut next = 0;
        while let Some(first) = (next..count).find(|&cpu| self.contains(cpu)) {
            let end = (first..count).find(|&cpu| !self.contains(cpu)).unwrap_or(count);
            ranges.push(if end == first + 1 { format!("{first}") } else { format!("{first}-{}", end - 1) });
            next = end;
        }
        if ranges.is_empty() { "none".to_string() } else { ranges.join(",") }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Term {
    All,
    Cpus { first: u32, last: u32, present: bool },
    Nodes { first: u32, last: u32, present: bool },
}

/// A list as it was written, which means a set only on a given machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuList(Vec<Term>);

impl CpuList {
    /// Reads a list.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.split(',').filter(|term| !term.is_empty()).map(term).collect::<Result<_, _>>().map(Self)
    }

    /// Gives the set on a machine with `count` CPUs, all of which are node 0. CPUs that the machine does not have
    /// are left out; nothing being left is an error.
    pub fn resolve(&self, count: u32) -> Result<CpuMap, String> {
        let mut map = CpuMap::none(count);
        for term in &self.0 {
            let (first, last, present) = match *term {
                Term::All => (0, count, true),
                Term::Cpus { first, last, present } => (first, last, present),
                Term::Nodes { first: 0, present, .. } => (0, count, present),
                Term::Nodes { first, .. } => return Err(format!("there is no node {first}")),
            };
            (first..=last.min(count)).for_each(|cpu| map.set(cpu, present));
        }
        (count..count.next_multiple_of(8)).for_each(|cpu| map.set(cpu, false));
        if map.is_empty() { Err(format!("none of the CPUs is one of the host's {count}")) } else { Ok(map) }
    }
}

fn term(text: &str) -> Result<Term, String> {
    let text = text.trim();
    let (present, rest) = text.strip_prefix('^').map_or((true, text), |rest| (false, rest));
    let node = rest.strip_prefix("nodes:").or_else(|| rest.strip_prefix("node:"));
    let range = node.unwrap_or(rest);
    if range == "all" {
        return if present { Ok(Term::All) } else { Err("Can't combine \"^\" and \"all\".".to_string()) };
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let invalid = || format!("Invalid pcpu range: {range}.");
    let first: u32 = number(first).ok_or_else(invalid)?;
    let last = number(last).filter(|&last| last >= first).ok_or_else(invalid)?;
    Ok(match node {
        Some(_) => Term::Nodes { first, last, present },
        None => Term::Cpus { first, last, present },
    })
}

fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str, count: u32) -> Result<Vec<u32>, String> {
        let map = CpuList::parse(text)?.resolve(count)?;
        Ok((0..64).filter(|&cpu| map.contains(cpu)).collect())
    }

    #[test]
    fn lists_mean_what_the_manual_says() {
        assert_eq!(set("all", 3), Ok([0, 1, 2].into()));
        assert_eq!(set("0-3,5,^1", 8), Ok([0, 2, 3, 5].into()));
        assert_eq!(set("all,^7", 8), Ok([0, 1, 2, 3, 4, 5, 6].into()));
        assert_eq!(set("node:0,^1", 3), Ok([0, 2].into()));
        assert_eq!(set("nodes:0-0", 2), Ok([0, 1].into()));
        assert_eq!(set("1", 2), Ok([1].into()));
        assert_eq!(set("1-4000000000", 3), Ok([1, 2].into()));
    }

    #[test]
    fn lists_without_sense_are_refused() {
        for text in ["x", "1-", "-1", "3-1", "^all", "^nodes:all", "1-2-3", "99999999999", "node:x", "+1"] {
            assert!(set(text, 4).is_err(), "{text}");
        }
        assert_eq!(set("5", 2), Err("none of the CPUs is one of the host's 2".into()));
        assert_eq!(set("", 2), Err("none of the CPUs is one of the host's 2".into()));
        assert_eq!(set("node:1", 2), Err("there is no node 1".into()));
    }

    #[test]
    fn sets_are_shown_as_ranges() {
        let shown = |text: &str| CpuList::parse(text).unwrap().resolve(9).unwrap().describe(9);
        assert_eq!(shown("all"), "all");
        assert_eq!(shown("0-2,4,6-7"), "0-2,4,6-7");
        assert_eq!(shown("8"), "8");
        assert_eq!(CpuMap::none(9).describe(9), "none");
    }
}
