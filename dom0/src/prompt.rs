//! The prompt: lines from the terminal, commands run one after the other.

use alloc::vec::Vec;
use core::fmt::Write;

use crate::{
    commands::{Failure, Session},
    shell::{
        line::{Event, LineEditor},
        words,
    },
    storage::Disk,
    terminal::Terminal,
};

/// What stands in front of a line.
const PROMPT: &str = "dom0# ";

/// Reads and runs commands for as long as dom0 runs.
pub async fn run<D: Disk + Clone + 'static>(session: Session<D>, terminal: &mut Terminal) -> ! {
    let mut editor = LineEditor::new(PROMPT);
    loop {
        let line = read_line(&mut editor, terminal).await;
        let outcome = match words::split(&line) {
            Ok(words) => session.run(&words, terminal).await,
            Err(words::UnclosedQuote) => Err(Failure("a quote is not closed".into())),
        };
        if let Err(Failure(why)) = outcome {
            // The terminal takes everything.
            let _ = writeln!(terminal, "{why}");
        }
    }
}

async fn read_line(editor: &mut LineEditor, terminal: &mut Terminal) -> alloc::string::String {
    let mut out = Vec::new();
    editor.draw(&mut out);
    loop {
        terminal.raw(&out);
        out.clear();
        match editor.feed(terminal.byte().await, &mut out) {
            Some(Event::Line(line)) => {
                terminal.raw(&out);
                return line;
            }
            Some(Event::Interrupt) => editor.draw(&mut out),
            Some(Event::Complete) | None => {}
        }
    }
}
