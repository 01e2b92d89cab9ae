//! What the benchmark guest prints: `BENCH name times ticks`, after anything that the hypervisor puts before a line.
use crate::Result;
use std::collections::BTreeMap;

const NS_PER_S: f64 = 1e9;

/// What was measured on one hypervisor.
#[derive(Debug)]
pub struct Measured {
    /// Times, and ticks or what was counted, by name.
    samples: BTreeMap<String, (u64, u64)>,
}

/// What a sample is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Ticks of the counter, to be told as instructions.
    Ticks,
    /// What it counts.
    Count,
}

impl Measured {
    /// Nothing yet, of a hypervisor whose image has a size.
    pub fn new(image: u64) -> Self {
        Self { samples: BTreeMap::from([("image".to_owned(), (1, image))]) }
    }

    /// Adds what a guest said.
    ///
    /// # Errors
    ///
    /// The guest's error, or that it did not come to its end.
    pub fn read(&mut self, said: &str) -> Result<()> {
        for words in said.lines().filter_map(words) {
            match words[..] {
                ["end"] => return Ok(()),
                [name, times, ticks] if let (Ok(times), Ok(ticks)) = (times.parse(), ticks.parse()) => {
                    self.samples.insert(name.to_owned(), (times, ticks));
                }
                _ => return Err(format!("the benchmark says: {}", words.join(" "))),
            }
        }
        let tail: Vec<&str> = said.lines().rev().take(5).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        Err(format!("the benchmark did not end; the last it said is\n{}", tail.join("\n")))
    }

    /// Instructions of one operation, which take a nanosecond each; or what was counted for one.
    ///
    /// # Errors
    ///
    /// That it was not measured.
    pub fn value(&self, name: &str, unit: Unit) -> Result<u64> {
        let (times, sum) = self.sample(name)?;
        let scale = match unit {
            Unit::Ticks => NS_PER_S / self.sample("hz")?.1 as f64,
            Unit::Count => 1.0,
        };
        if times == 0 || !scale.is_finite() {
            return Err(format!("the benchmark did {name} not even once"));
        }
        Ok((sum as f64 * scale / times as f64).round() as u64)
    }

    fn sample(&self, name: &str) -> Result<(u64, u64)> {
        self.samples.get(name).copied().ok_or_else(|| format!("the benchmark did not measure {name}"))
    }
}

fn words(line: &str) -> Option<Vec<&str>> {
    let (_, rest) = line.split_once("BENCH ")?;
    Some(rest.split_whitespace().collect())
}

/// Whether nothing more is to be expected.
pub fn is_last(line: &str) -> bool {
    words(line).is_some_and(|words| matches!(words[..], ["end"] | ["failed:", ..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "(XEN) booting\n[ 0.01] BENCH hz 1 62500000\n[ 0.02] BENCH yield 1000 14688\nBENCH end\n";

    #[test]
    fn ticks_become_instructions_of_one_operation() {
        let mut m = Measured::new(7);
        m.read(GOOD).unwrap();
        assert_eq!(m.value("yield", Unit::Ticks), Ok(235));
        assert_eq!(m.value("image", Unit::Count), Ok(7));
    }

    #[test]
    fn what_was_not_measured_is_an_error() {
        let mut m = Measured::new(7);
        m.read(GOOD).unwrap();
        assert!(m.value("switch", Unit::Ticks).unwrap_err().contains("switch"));
        m.read("BENCH sgi 0 0\nBENCH end").unwrap();
        assert!(m.value("sgi", Unit::Ticks).unwrap_err().contains("not even once"));
    }

    #[test]
    fn a_guest_that_fails_or_stops_is_an_error() {
        let mut m = Measured::new(7);
        assert!(m.read("BENCH failed: a grant\n").unwrap_err().contains("a grant"));
        assert!(m.read("BENCH hz 1 62500000\npanic at x\n").unwrap_err().contains("panic at x"));
        assert!(m.read("BENCH yield many 3\nBENCH end\n").is_err());
        assert!(is_last("error: BENCH failed: a grant") && is_last("BENCH end") && !is_last("BENCH sgi 1 2"));
    }
}
