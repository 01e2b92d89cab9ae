//! The prompt's text side: editing a line and splitting it into words.

pub mod line;
pub mod words;
