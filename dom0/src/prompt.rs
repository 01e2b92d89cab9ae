//! The prompt: lines from the terminal, commands run one after the other.

use alloc::{string::String, vec::Vec};
use core::fmt::Write;

use crate::{
    boxed::boxed,
    commands::{Completion, Failure, Session},
    shell::{
        line::{Event, LineEditor},
        words,
    },
    storage::Disk,
    terminal::Terminal,
};

/// What stands in front of a line.
const PROMPT: &str = "dom0# ";

const BELL: u8 = 0x07;

/// Reads and runs commands for as long as dom0 runs.
pub async fn run<D: Disk + Clone + 'static>(session: Session<D>, terminal: &mut Terminal) -> ! {
    let mut editor = LineEditor::new(PROMPT);
    loop {
        let line = read_line(&session, &mut editor, terminal).await;
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

async fn read_line<D: Disk + Clone + 'static>(
    session: &Session<D>,
    editor: &mut LineEditor,
    terminal: &mut Terminal,
) -> String {
    let mut out = Vec::new();
    editor.draw(&mut out);
    loop {
        terminal.raw(&out);
        out.clear();
        editor.draw(&mut out);
        terminal.set_footer(&out);
        out.clear();
        match editor.feed(terminal.byte().await, &mut out) {
            Some(Event::Line(line)) => {
                terminal.set_footer(&[]);
                terminal.raw(&out);
                return line;
            }
            Some(Event::Interrupt) => editor.draw(&mut out),
            Some(Event::Complete) => {
                let before = editor.before_cursor();
                complete(boxed(|| session.complete(&before)).await, editor, &mut out);
            }
            None => {}
        }
    }
}

/// Types what is certain; where nothing is, shows the choices, or rings when there are none.
fn complete(found: Completion, editor: &mut LineEditor, out: &mut Vec<u8>) {
    if !found.more.is_empty() {
        editor.insert(&found.more, out);
    } else if found.choices.is_empty() {
        out.push(BELL);
    } else {
        out.extend_from_slice(b"\r\n");
        for choice in &found.choices {
            out.extend_from_slice(choice.as_bytes());
            out.extend_from_slice(b"  ");
        }
        out.extend_from_slice(b"\r\n");
        editor.draw(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(more: &str, choices: &[&str]) -> (Vec<u8>, String) {
        let mut editor = LineEditor::new("# ");
        let mut out = Vec::new();
        editor.insert("x", &mut Vec::new());
        let choices = choices.iter().map(|choice| String::from(*choice)).collect();
        complete(Completion { more: more.into(), choices }, &mut editor, &mut out);
        (out, editor.before_cursor())
    }

    #[test]
    fn what_is_certain_is_typed_and_what_is_not_is_shown() {
        assert_eq!(completed("l ", &["xl"]), (b"l ".to_vec(), "xl ".into()));
        assert_eq!(completed("", &[]), (b"\x07".to_vec(), "x".into()));
        let (shown, line) = completed("", &["xa", "xb"]);
        assert_eq!((shown, line), (b"\r\nxa  xb  \r\n\r# x\x1b[K".to_vec(), "x".into()));
    }
}
