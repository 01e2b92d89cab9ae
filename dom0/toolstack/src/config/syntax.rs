//! The grammar of xl's configuration files: assignments of strings, numbers and lists to names.
//!
//! What a name means is not known here. Assignments keep their places, so that whoever finds a value wrong can say
//! where it stands.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::iter::Peekable;
use core::str::Chars;

use super::Problem;

/// A place in a file: line and column, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

/// What stands right of the equals sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A quoted string or a bare number: xl tells them apart only by what the key wants.
    Atom(String, Place),
    /// A list in brackets.
    List(Vec<Value>, Place),
}

impl Value {
    /// Tells where the value begins.
    pub fn place(&self) -> Place {
        match self {
            Self::Atom(_, place) | Self::List(_, place) => *place,
        }
    }
}

/// One key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key.
    pub name: String,
    /// Where it was last assigned.
    pub place: Place,
    /// The value, with whatever `+=` added to it.
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Name(String),
    Atom(String),
    Comma,
    Open,
    Close,
    Assign,
    Add,
    Semicolon,
    Newline,
    End,
}

impl Token {
    fn describe(&self) -> String {
        match self {
            Self::Name(name) => format!("`{name}'"),
            Self::Atom(atom) => format!("`{atom}'"),
            Self::Comma => "`,'".to_string(),
            Self::Open => "`['".to_string(),
            Self::Close => "`]'".to_string(),
            Self::Assign => "`='".to_string(),
            Self::Add => "`+='".to_string(),
            Self::Semicolon => "`;'".to_string(),
            Self::Newline => "the end of the line".to_string(),
            Self::End => "the end of the file".to_string(),
        }
    }
}

struct Lexer<'a> {
    chars: Peekable<Chars<'a>>,
    place: Place,
}

type Result<T> = core::result::Result<T, Problem>;

impl<'a> Lexer<'a> {
    fn new(text: &'a str) -> Self {
        Self { chars: text.chars().peekable(), place: Place { line: 1, column: 1 } }
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.chars.next()?;
        if next == '\n' {
            self.place = Place { line: self.place.line.saturating_add(1), column: 1 };
        } else {
            self.place.column = self.place.column.saturating_add(1);
        }
        Some(next)
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(&next) = self.chars.peek().filter(|&&next| wanted(next)) {
            taken.push(next);
            self.bump();
        }
        taken
    }

    fn next(&mut self) -> Result<(Token, Place)> {
        self.take_while(|next| matches!(next, ' ' | '\t' | '\r'));
        if self.chars.peek() == Some(&'#') {
            self.take_while(|next| next != '\n');
        }
        let place = self.place;
        let Some(&first) = self.chars.peek() else { return Ok((Token::End, place)) };
        let token = match first {
            'a'..='z' => Token::Name(self.take_while(is_name)),
            '0'..='9' => Token::Atom(self.take_while(|next| matches!(next, '0'..='9' | 'a'..='f' | 'x'))),
            '\'' | '"' => Token::Atom(self.string(place)?),
            _ => self.sign(first, place)?,
        };
        Ok((token, place))
    }

    fn sign(&mut self, first: char, place: Place) -> Result<Token> {
        self.bump();
        Ok(match first {
            ',' => Token::Comma,
            '[' => Token::Open,
            ']' => Token::Close,
            '=' => Token::Assign,
            ';' => Token::Semicolon,
            '\n' => Token::Newline,
            '+' if self.chars.peek() == Some(&'=') => {
                self.bump();
                Token::Add
            }
            other => return Err(Problem::error(place, format!("unexpected character `{other}'"))),
        })
    }

    fn string(&mut self, start: Place) -> Result<String> {
        let quote = self.bump();
        let mut text = String::new();
        loop {
            let place = self.place;
            if matches!(self.chars.peek(), None | Some('\n')) {
                return Err(Problem::error(start, "the string has no closing quote"));
            }
            match self.bump() {
                Some('\\') => text.push(self.escape(place)?),
                next if next == quote => return Ok(text),
                next => text.extend(next),
            }
        }
    }

    fn escape(&mut self, place: Place) -> Result<char> {
        let invalid = || Problem::error(place, "invalid character after a backslash in a string");
        Ok(match self.bump().ok_or_else(invalid)? {
            quoted @ ('"' | '\'' | '\\') => quoted,
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'x' => self.number(16, 2, 2, 0).ok_or_else(invalid)?,
            first @ '0'..='7' => self.number(8, 0, 2, first as u32 - '0' as u32).ok_or_else(invalid)?,
            _ => return Err(invalid()),
        })
    }

    /// Reads the digits of a character's number, of which `first` was read before.
    fn number(&mut self, base: u32, least: usize, most: usize, first: u32) -> Option<char> {
        let mut number = first;
        for count in 0..most {
            match self.chars.peek().and_then(|next| next.to_digit(base)) {
                Some(digit) => number = number * base + digit,
                None if count >= least => break,
                None => return None,
            }
            self.bump();
        }
        char::from_u32(number)
    }
}

fn is_name(next: char) -> bool {
    matches!(next, '.' | '_' | '0'..='9' | 'a'..='z')
}

/// How deep lists may lie in one another; xl needs two levels.
const DEPTH: usize = 8;

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token,
    place: Place,
}

impl Parser<'_> {
    fn advance(&mut self) -> Result<Token> {
        // After a mistake stands what ends nothing but a statement, so that going on finds the line's end.
        let before = core::mem::replace(&mut self.token, Token::Semicolon);
        let (token, place) = self.lexer.next()?;
        self.place = place;
        self.token = token;
        Ok(before)
    }

    fn unexpected(&self, wanted: &str) -> Problem {
        Problem::error(self.place, format!("{wanted} expected, not {}", self.token.describe()))
    }

    fn newlines(&mut self) -> Result<()> {
        while self.token == Token::Newline {
            self.advance()?;
        }
        Ok(())
    }

    /// Reads an assignment and what ends it; nothing for an empty one.
    fn statement(&mut self) -> Result<Option<(String, Place, bool, Value)>> {
        if matches!(self.token, Token::Newline | Token::Semicolon) {
            self.advance()?;
            return Ok(None);
        }
        let place = self.place;
        let Token::Name(_) = self.token else { return Err(self.unexpected("a name")) };
        let Token::Name(name) = self.advance()? else { return Ok(None) };
        let adds = match self.token {
            Token::Assign => false,
            Token::Add => true,
            _ => return Err(self.unexpected("`='")),
        };
        self.advance()?;
        let value = self.value(0)?;
        match self.token {
            Token::End => {}
            Token::Newline | Token::Semicolon => {
                self.advance()?;
            }
            _ => return Err(self.unexpected("the end of the line")),
        }
        Ok(Some((name, place, adds, value)))
    }

    fn value(&mut self, depth: usize) -> Result<Value> {
        let place = self.place;
        match self.token {
            Token::Atom(_) => match self.advance()? {
                Token::Atom(atom) => Ok(Value::Atom(atom, place)),
                _ => Err(self.unexpected("a value")),
            },
            Token::Open if depth == DEPTH => Err(Problem::error(place, "lists lie too deep in one another")),
            Token::Open => {
                self.advance()?;
                Ok(Value::List(self.list(depth + 1)?, place))
            }
            _ => Err(self.unexpected("a string, a number or a list")),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Value>> {
        let mut values = Vec::new();
        self.newlines()?;
        while self.token != Token::Close {
            values.push(self.value(depth)?);
            self.newlines()?;
            match self.token {
                Token::Comma => {
                    self.advance()?;
                    self.newlines()?;
                }
                Token::Close => {}
                _ => return Err(self.unexpected("`,' or `]'")),
            }
        }
        self.advance()?;
        Ok(values)
    }

    /// Goes on behind the line that has the mistake.
    fn recover(&mut self, line: u32) {
        loop {
            if self.token == Token::End || (self.token == Token::Newline && self.place.line >= line) {
                return;
            }
            // One mistake in a line is enough.
            let _ = self.advance();
        }
    }
}

/// Reads a file. Every line with a mistake is reported once.
pub fn parse(text: &str) -> core::result::Result<Vec<Setting>, Vec<Problem>> {
    let start = Place { line: 1, column: 1 };
    let mut parser = Parser { lexer: Lexer::new(text), token: Token::Newline, place: start };
    let mut settings = Vec::new();
    let mut problems = Vec::new();
    while parser.token != Token::End {
        let outcome = parser.statement().and_then(|statement| match statement {
            Some((name, place, adds, value)) => store(&mut settings, name, place, adds, value),
            None => Ok(()),
        });
        if let Err(problem) = outcome {
            parser.recover(problem.place.line);
            problems.push(problem);
        }
    }
    if problems.is_empty() { Ok(settings) } else { Err(problems) }
}

fn store(settings: &mut Vec<Setting>, name: String, place: Place, adds: bool, value: Value) -> Result<()> {
    let Some(old) = settings.iter_mut().find(|setting| setting.name == name) else {
        settings.push(Setting { name, place, value });
        return Ok(());
    };
    old.place = place;
    if !adds {
        old.value = value;
        return Ok(());
    }
    match (&mut old.value, value) {
        (Value::Atom(old, _), Value::Atom(new, _)) => old.push_str(&new),
        (Value::List(old, _), Value::List(new, _)) => old.extend(new),
        (_, value) => {
            let message = "a list cannot be added to a string, nor a string to a list";
            return Err(Problem::error(value.place(), message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn atom(text: &str) -> Option<String> {
        let settings = parse(text).ok()?;
        match &settings.last()?.value {
            Value::Atom(atom, _) => Some(atom.clone()),
            Value::List(..) => None,
        }
    }

    /// Writes lists with brackets and atoms as they are.
    fn shape(value: &Value) -> String {
        match value {
            Value::Atom(atom, _) => atom.clone(),
            Value::List(values, _) => format!("[{}]", values.iter().map(shape).collect::<Vec<_>>().join(",")),
        }
    }

    fn list(text: &str) -> String {
        shape(&parse(text).unwrap()[0].value)
    }

    fn problem(text: &str) -> (u32, u32, String) {
        let problems = parse(text).unwrap_err();
        let first = &problems[0];
        (first.place.line, first.place.column, first.message.clone())
    }

    #[test]
    fn strings_numbers_and_names() {
        assert_eq!(atom("name=\"h0\"").as_deref(), Some("h0"));
        assert_eq!(atom("  name\t= 'h\"0'  # comment").as_deref(), Some("h\"0"));
        assert_eq!(atom("memory = 0x80\n").as_deref(), Some("0x80"));
        assert_eq!(atom("a.b_1=1;").as_deref(), Some("1"));
        assert_eq!(atom("a=''").as_deref(), Some(""));
        assert_eq!(atom("a='\u{e9}'").as_deref(), Some("\u{e9}"));
    }

    #[test]
    fn escapes_in_strings() {
        assert_eq!(atom(r#"a="\"\'\\\n\t\a\b\f\r\v""#).as_deref(), Some("\"'\\\n\t\u{7}\u{8}\u{c}\r\u{b}"));
        assert_eq!(atom(r#"a='\x41\101\7z'"#).as_deref(), Some("AA\u{7}z"));
        for bad in [r"a='\q'", r"a='\x4'", r"a='\xg1'", r"a='\8'"] {
            assert_eq!(problem(bad).2, "invalid character after a backslash in a string", "{bad}");
        }
        assert_eq!(problem("a='\\\n'").2, "invalid character after a backslash in a string");
    }

    #[test]
    fn long_strings_are_kept_whole() {
        let long = "x".repeat(100_000);
        assert_eq!(atom(&format!("a = '{long}'")), Some(long));
    }

    #[test]
    fn lists_nest_and_span_lines() {
        assert_eq!(list("a=[]"), "[]");
        assert_eq!(list("a=['x']"), "[x]");
        assert_eq!(list("a = [ 'x', 1 , ]"), "[x,1]");
        assert_eq!(list("a = [\n  # first\n 'x' # second\n\n,\n'y',\n]\n"), "[x,y]");
        assert_eq!(list("a=[['p=1','q'],[],['r']]"), "[[p=1,q],[],[r]]");
    }

    #[test]
    fn statements_end_at_lines_and_semicolons() {
        let names = |text| parse(text).unwrap().into_iter().map(|setting| setting.name).collect::<Vec<_>>();
        assert_eq!(names("a=1; b=2\n\n;;c=3"), ["a", "b", "c"]);
        assert_eq!(names(""), [""; 0]);
        assert_eq!(names("# only a comment"), [""; 0]);
        assert_eq!(names("a=1\r\nb=2\r\n"), ["a", "b"]);
    }

    #[test]
    fn the_last_assignment_counts_and_additions_add() {
        assert_eq!(atom("a='1'\na='2'").as_deref(), Some("2"));
        assert_eq!(atom("a='1'\na+='2'").as_deref(), Some("12"));
        assert_eq!(atom("a+='2'").as_deref(), Some("2"));
        assert_eq!(list("a=['1']\na+=['2','3']"), "[1,2,3]");
        assert_eq!(parse("a=1\n\na=2").unwrap()[0].place, Place { line: 3, column: 1 });
        assert!(problem("a=['1']\na+='2'").2.contains("cannot be added"));
    }

    #[test]
    fn mistakes_name_line_and_column() {
        for (text, line, column, message) in [
            ("memory 128", 1, 8, "`=' expected, not `128'"),
            ("a=1\nb=", 2, 3, "a string, a number or a list expected, not the end of the file"),
            ("a=1\nb=\n'x'", 2, 3, "a string, a number or a list expected, not the end of the line"),
            ("a=1 b=2", 1, 5, "the end of the line expected, not `b'"),
            ("disk = [ 'x' 'y' ]", 1, 14, "`,' or `]' expected, not `y'"),
            ("disk = [ , ]", 1, 10, "a string, a number or a list expected, not `,'"),
            ("disk = [ 'x';", 1, 13, "`,' or `]' expected, not `;'"),
            ("disk = [ 'x',\n", 2, 1, "a string, a number or a list expected, not the end of the file"),
            ("name = \"x", 1, 8, "the string has no closing quote"),
            ("name = 'x\ny'", 1, 8, "the string has no closing quote"),
            ("Name = 'x'", 1, 1, "unexpected character `N'"),
            ("a = -1", 1, 5, "unexpected character `-'"),
            ("a + 1", 1, 3, "unexpected character `+'"),
            ("a = b", 1, 5, "a string, a number or a list expected, not `b'"),
            ("= 1", 1, 1, "a name expected, not `='"),
            ("\t'x' = 1", 1, 2, "a name expected, not `x'"),
        ] {
            assert_eq!(problem(text), (line, column, message.to_string()), "{text:?}");
        }
    }

    #[test]
    fn every_line_with_a_mistake_is_reported() {
        let problems = parse("a=\nb=1\nc d e !\nd=2\ne=@\n").unwrap_err();
        let lines: Vec<_> = problems.iter().map(|problem| problem.place.line).collect();
        assert_eq!(lines, [1, 3, 5]);
    }

    #[test]
    fn brackets_without_end_do_no_harm() {
        assert_eq!(problem(&format!("a={}", "[".repeat(100_000))).2, "lists lie too deep in one another");
    }

    #[test]
    fn no_text_makes_the_parser_fail_otherwise() {
        let alphabet = [
            "a", "=", "+=", "[", "]", ",", "'", "\"", "\\", "\n", ";", "#", "1", " ", "x", "\u{0}",
            "\u{20ac}",
        ];
        let mut state = 7_u64;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..20 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text.push_str(alphabet[(state >> 33) as usize % alphabet.len()]);
            }
            if let Err(problems) = parse(&text) {
                assert!(
                    problems.iter().all(|problem| problem.place.line as usize <= text.lines().count() + 1)
                );
            }
        }
    }
}
