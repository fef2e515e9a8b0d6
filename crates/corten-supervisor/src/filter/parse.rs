//! Text of one filter → its selectors.

use std::{iter::Peekable, str::CharIndices};

use regex::Regex;

use super::{Selector, Test};

/// Parses one filter; the empty text holds no selector and accepts everything.
///
/// # Errors
/// A sentence that shows the place in the text.
pub(super) fn selectors(text: &str) -> Result<Vec<Selector>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut parser = Parser { text, rest: text.char_indices().peekable() };
    let mut selectors = vec![parser.selector()?];
    loop {
        parser.skip_space();
        match parser.peek() {
            None => return Ok(selectors),
            Some(',') => {
                parser.rest.next();
                selectors.push(parser.selector()?);
            }
            Some(other) => return Err(parser.wrong(&format!("unexpected input: {other}"))),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    rest: Peekable<CharIndices<'a>>,
}

impl Parser<'_> {
    fn selector(&mut self) -> Result<Selector, String> {
        let mut path = vec![self.field()?];
        while self.peek() == Some('.') {
            self.rest.next();
            path.push(self.field()?);
        }
        self.skip_space();
        if matches!(self.peek(), None | Some(',')) {
            return Ok(Selector { path, test: Test::Present });
        }
        let at = self.rest.clone();
        let operator = self.take_while(|symbol| matches!(symbol, '=' | '!' | '~'));
        let test = match operator.as_str() {
            "==" => Test::Equal(self.value(&['"'])?),
            "!=" => Test::NotEqual(self.value(&['"'])?),
            "~=" => Test::Matches(Regex::new(&self.value(&['"', '/', '|'])?).ok()),
            "" => return Err(self.wrong("expected an operator (\"==\"|\"!=\"|\"~=\")")),
            other => {
                self.rest = at;
                return Err(self.wrong(&format!("unsupported operator {other:?}")));
            }
        };
        Ok(Selector { path, test })
    }

    fn field(&mut self) -> Result<String, String> {
        self.skip_space();
        match self.peek() {
            Some('"') => self.quoted(),
            Some(first) if is_field(first) => Ok(self.take_while(is_field)),
            _ => Err(self.wrong("expected field or quoted")),
        }
    }

    fn value(&mut self, quotes: &[char]) -> Result<String, String> {
        self.skip_space();
        match self.peek() {
            Some(quote) if quotes.contains(&quote) => self.quoted(),
            Some('/' | '|' | '"') => Err(self.wrong("invalid quote encountered")),
            None | Some(',' | '.' | '=' | '!' | '~') => Err(self.wrong("expected value or quoted")),
            Some(_) => Ok(self.take_while(|symbol| symbol != ',' && !symbol.is_whitespace())),
        }
    }

    /// A Go string literal; `|` and `/` quote like `"`. Escapes below 256 are bytes, as in Go.
    fn quoted(&mut self) -> Result<String, String> {
        let quote = self.rest.next().map_or('"', |(_, quote)| quote);
        let mut bytes = Vec::new();
        loop {
            match self.rest.next() {
                None | Some((_, '\n')) => return Err(self.wrong("quoted literal not terminated")),
                Some((_, end)) if end == quote => break,
                Some((_, '\\')) => self.escape(quote, &mut bytes)?,
                Some((_, plain)) => bytes.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        String::from_utf8(bytes).map_err(|_| self.wrong("quoted literal is not UTF-8"))
    }

    fn escape(&mut self, quote: char, bytes: &mut Vec<u8>) -> Result<(), String> {
        let symbol = self.rest.next().map(|(_, symbol)| symbol);
        match symbol {
            Some('a') => bytes.push(7),
            Some('b') => bytes.push(8),
            Some('f') => bytes.push(12),
            Some('n') => bytes.push(b'\n'),
            Some('r') => bytes.push(b'\r'),
            Some('t') => bytes.push(b'\t'),
            Some('v') => bytes.push(11),
            Some('\\') => bytes.push(b'\\'),
            Some(same) if same == quote => bytes.extend_from_slice(same.encode_utf8(&mut [0; 4]).as_bytes()),
            Some('x') => bytes.push(self.number(16, 2, 0)? as u8),
            Some(wide @ ('u' | 'U')) => {
                let code = self.number(16, if wide == 'u' { 4 } else { 8 }, 0)?;
                let symbol = char::from_u32(code).ok_or_else(|| self.wrong("illegal escape sequence"))?;
                bytes.extend_from_slice(symbol.encode_utf8(&mut [0; 4]).as_bytes());
            }
            Some(digit @ '0'..='7') => {
                let code = self.number(8, 2, digit as u32 - '0' as u32)?;
                bytes.push(u8::try_from(code).map_err(|_| self.wrong("illegal escape sequence"))?);
            }
            _ => return Err(self.wrong("illegal escape sequence")),
        }
        Ok(())
    }

    fn number(&mut self, base: u32, digits: usize, start: u32) -> Result<u32, String> {
        let mut number = start;
        for _ in 0..digits {
            let digit = self.rest.next().and_then(|(_, digit)| digit.to_digit(base));
            let digit = digit.ok_or_else(|| self.wrong("illegal numeric escape sequence"))?;
            // Eight hexadecimal digits fill the word exactly, so nothing is shifted out.
            number = (number << if base == 16 { 4 } else { 3 }) | digit;
        }
        Ok(number)
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(symbol) = self.peek().filter(|&symbol| wanted(symbol)) {
            taken.push(symbol);
            self.rest.next();
        }
        taken
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.rest.next();
        }
    }

    fn peek(&mut self) -> Option<char> {
        self.rest.peek().map(|&(_, symbol)| symbol)
    }

    /// containerd's text: the input with the place of the error between `>|` and `|<`.
    fn wrong(&mut self, why: &str) -> String {
        match self.rest.peek() {
            Some(&(at, symbol)) => {
                let (before, after) = (&self.text[..at], &self.text[at + symbol.len_utf8()..]);
                format!("parse error: [{before} >|{symbol}|< {after}]: {why}")
            }
            None => format!("parse error: [{}]: {why}", self.text),
        }
    }
}

fn is_field(symbol: char) -> bool {
    symbol == '_' || symbol.is_ascii_alphanumeric()
}
