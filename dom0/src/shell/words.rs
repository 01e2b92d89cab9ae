//! Splitting a command line into words, with the quotes of a shell.

use alloc::{string::String, vec::Vec};

/// A quote was opened and not closed.
#[derive(Debug, PartialEq, Eq)]
pub struct UnclosedQuote;

/// The words of `line`: separated by blanks, joined by quotes and backslashes; `#` starts a comment.
pub fn split(line: &str) -> Result<Vec<String>, UnclosedQuote> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' => words.extend(word.take()),
            '#' if word.is_none() => break,
            '\'' | '"' => quoted(c, &mut chars, word.get_or_insert_default())?,
            '\\' => word.get_or_insert_default().extend(chars.next()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn quoted(
    quote: char,
    chars: &mut impl Iterator<Item = char>,
    word: &mut String,
) -> Result<(), UnclosedQuote> {
    loop {
        match chars.next().ok_or(UnclosedQuote)? {
            c if c == quote => return Ok(()),
            '\\' if quote == '"' => word.push(chars.next().ok_or(UnclosedQuote)?),
            c => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_separate_and_quotes_join() {
        assert_eq!(
            split("  xl   create -c\t/root/win.cfg ").unwrap(),
            ["xl", "create", "-c", "/root/win.cfg"]
        );
        assert_eq!(split("a 'b  c'd \"e \\\" f\" g\\ h ''").unwrap(), ["a", "b  cd", "e \" f", "g h", ""]);
        assert_eq!(split("ls # all").unwrap(), ["ls"]);
        assert_eq!(split("a#b").unwrap(), ["a#b"]);
        assert!(split("").unwrap().is_empty());
    }

    #[test]
    fn an_open_quote_is_reported() {
        assert_eq!(split("'a"), Err(UnclosedQuote));
        assert_eq!(split("\"a\\"), Err(UnclosedQuote));
    }
}
