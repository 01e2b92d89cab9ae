//! What rustc says of bare-metal crates, but for a warning that nobody can heed.
//!
//! The code generator's workaround for Cortex-A53 835769 has no stable name, nor has what lets it use unaligned
//! accesses, and rustc says so for each crate.
use crate::Result;
use std::{
    io::{BufRead, BufReader, IsTerminal, stderr},
    process::{Command, Stdio},
};

const EXPECTED: [&str; 2] = [
    "unknown and unstable feature specified for `-Ctarget-feature`: `fix-cortex-a53-835769`",
    "unknown and unstable feature specified for `-Ctarget-feature`: `strict-align`",
];
/// How rustc sums up what it has said.
const SUM: [&str; 2] = ["warning emitted", "warnings emitted"];

/// Tells a cargo command, before its arguments for rustc, to hand what rustc says to [`check`].
pub fn ask(cargo: &mut Command) {
    let colour = if stderr().is_terminal() { "json-diagnostic-rendered-ansi" } else { "json" };
    cargo.args(["--message-format", colour]).stdout(Stdio::piped());
}

/// Runs the command.
pub fn check(cargo: &mut Command) -> Result<()> {
    let program = cargo.get_program().to_string_lossy().into_owned();
    let failed = |e| format!("{program}: {e}");
    let mut child = cargo.spawn().map_err(failed)?;
    if let Some(messages) = child.stdout.take() {
        for message in BufReader::new(messages).lines() {
            if let Some(text) = to_show(&message.map_err(failed)?) {
                eprint!("{text}");
            }
        }
    }
    let status = child.wait().map_err(failed)?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{program} failed: {status}")),
    }
}

/// What a line of cargo's says to the user.
fn to_show(message: &str) -> Option<String> {
    let text = string(message, "\"rendered\":\"")?;
    let is_sum = SUM.iter().any(|sum| text.trim_end().trim_end_matches("\u{1b}[0m").ends_with(sum));
    let is_expected = EXPECTED.iter().any(|warning| text.contains(warning));
    (!is_sum && !is_expected).then_some(text)
}

/// The JSON string after `key`.
fn string(json: &str, key: &str) -> Option<String> {
    let mut chars = json.split_once(key)?.1.chars();
    let mut text = String::new();
    loop {
        match chars.next()? {
            '"' => return Some(text),
            '\\' => text.push(match chars.next()? {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                'u' => {
                    let digits: String = chars.by_ref().take(4).collect();
                    u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32)?
                }
                plain => plain,
            }),
            plain => text.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rustc_says_is_shown() {
        let message = r#"{"reason":"compiler-message","message":{"rendered":"\u001b[33mwarning\u001b[0m: a \"b\"\n  c\\d\n","spans":[]}}"#;
        assert_eq!(to_show(message).as_deref(), Some("\u{1b}[33mwarning\u{1b}[0m: a \"b\"\n  c\\d\n"));
        assert_eq!(to_show(r#"{"reason":"compiler-artifact","fresh":true}"#), None);
    }

    #[test]
    fn expected_warnings_and_sums_are_not() {
        for warning in EXPECTED {
            assert_eq!(to_show(&format!(r#"{{"rendered":"warning: {warning}\n  |\n"}}"#)), None);
        }
        assert_eq!(to_show(r#"{"rendered":"warning: 1 warning emitted\n\n"}"#), None);
    }
}
