//! The assignments of a file on their way to a configuration: read one by one, with what was found wrong so far.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::syntax::{Place, Setting, Value};
use super::{DomainConfig, Parsed, Problem, keys, vdev};

pub(super) struct Settings {
    settings: Vec<Setting>,
    read: BTreeSet<String>,
    problems: Vec<Problem>,
}

impl Settings {
    pub fn new(settings: Vec<Setting>) -> Self {
        Self { settings, read: BTreeSet::new(), problems: Vec::new() }
    }

    fn find(&mut self, key: &str) -> Option<Setting> {
        let setting = self.settings.iter().find(|setting| setting.name == key)?;
        self.read.insert(key.to_string());
        Some(setting.clone())
    }

    /// Tells where a key is assigned, if it is.
    pub fn place(&self, key: &str) -> Option<Place> {
        self.settings.iter().find(|setting| setting.name == key).map(|setting| setting.place)
    }

    /// Tells whether a key has a list.
    pub fn is_list(&self, key: &str) -> bool {
        self.settings.iter().any(|setting| setting.name == key && matches!(setting.value, Value::List(..)))
    }

    /// Reports a mistake.
    pub fn problem(&mut self, place: Place, message: impl Into<String>) {
        self.problems.push(Problem::error(place, message));
    }

    /// Reports that something is missing, behind all that is there.
    pub fn problem_at_end(&mut self, message: impl Into<String>) {
        let line = self.settings.iter().map(|setting| setting.place.line).max().unwrap_or(0);
        self.problem(Place { line: line.saturating_add(1), column: 1 }, message);
    }

    /// Reports something that is no mistake.
    pub fn warn(&mut self, place: Option<Place>, message: impl Into<String>) {
        let place = place.unwrap_or(Place { line: 1, column: 1 });
        self.problems.push(Problem::warning(place, message));
    }

    fn atom(&mut self, key: &str) -> Option<(String, Place)> {
        match self.find(key)?.value {
            Value::Atom(atom, place) => Some((atom, place)),
            Value::List(_, place) => {
                self.problem(place, format!("parameter `{key}' is a list but should be a single value"));
                None
            }
        }
    }

    /// Reads a string.
    pub fn string(&mut self, key: &str) -> Option<String> {
        self.atom(key).map(|(atom, _)| atom)
    }

    /// Reads a string that means something.
    pub fn parsed<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let (atom, place) = self.atom(key)?;
        parse(&atom).map_err(|message| self.problem(place, message)).ok()
    }

    /// Reads a number.
    pub fn number(&mut self, key: &str, least: u64, most: u64) -> Option<u64> {
        self.parsed(key, |text| {
            let digits = text.trim();
            let Some(number) = vdev::parse_long(digits) else {
                return Err(format!("parameter `{key}' is not a valid number: `{text}'"));
            };
            match number {
                _ if number < least => {
                    Err(format!("value `{number}' is smaller than minimum bound '{least}'"))
                }
                _ if number > most => Err(format!("value `{number}' is greater than maximum bound '{most}'")),
                _ => Ok(number),
            }
        })
    }

    /// Reads a list of strings each of which means something.
    pub fn parsed_list<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<(T, Place)> {
        let Some(setting) = self.find(key) else { return Vec::new() };
        let Value::List(values, _) = setting.value else {
            let message = format!("parameter `{key}' is a single value but should be a list");
            self.problem(setting.value.place(), message);
            return Vec::new();
        };
        let mut parsed = Vec::new();
        for value in values {
            match value {
                Value::List(_, place) => self.problem(place, "value is not a string"),
                Value::Atom(atom, place) => match parse(&atom) {
                    Ok(value) => parsed.push((value, place)),
                    Err(message) => self.problem(place, format!("{key}: {message}")),
                },
            }
        }
        parsed
    }

    /// Gives the configuration, unless something was wrong, with a warning for every key that was not read.
    pub fn finish(mut self, config: DomainConfig) -> Result<Parsed, Vec<Problem>> {
        for setting in &self.settings {
            if !self.read.contains(&setting.name) {
                let (known, name) = (keys::is_known(&setting.name), &setting.name);
                let what =
                    if known { "is not supported here and is ignored" } else { "is unknown and is ignored" };
                self.problems.push(Problem::warning(setting.place, format!("parameter `{name}' {what}")));
            }
        }
        self.problems.sort_by_key(|problem| problem.place);
        let (warnings, errors): (Vec<_>, Vec<_>) =
            self.problems.into_iter().partition(|problem| problem.is_warning);
        if errors.is_empty() { Ok(Parsed { config, warnings }) } else { Err(errors) }
    }
}
