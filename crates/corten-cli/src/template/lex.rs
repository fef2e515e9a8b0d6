//! Text and actions, actions into words.

/// One word of an action, or the text between actions.
#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    Text(String),
    Open,
    Close,
    Space,
    Pipe,
    Declare,
    Assign,
    Comma,
    LeftParen,
    RightParen,
    Dot,
    /// `.Name`, without the dot.
    Field(String),
    /// `$` or `$name`, with the dollar.
    Variable(String),
    Identifier(String),
    Number(String),
    /// The text as written and its value.
    Quoted(String, String),
    Char(String),
}

/// A token and the byte it begins at.
#[derive(Debug, Clone)]
pub struct Lexeme {
    pub pos: usize,
    pub token: Token,
}

/// What cannot be read, and where.
#[derive(Debug)]
pub struct LexError {
    pub pos: usize,
    pub message: String,
}

const OPEN: &str = "{{";
const CLOSE: &str = "}}";

/// Splits `text` into tokens.
pub fn lex(text: &str) -> Result<Vec<Lexeme>, LexError> {
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new() };
    let mut trim_next = false;
    while lexer.at < text.len() {
        let rest = &text[lexer.at..];
        let (literal, open) = rest.find(OPEN).map_or((rest, None), |index| (&rest[..index], Some(lexer.at + index)));
        let literal_at = lexer.at;
        let trims_left = open.is_some_and(|at| begins_with_trim(&text[at + OPEN.len()..]));
        let mut shown = if trim_next { literal.trim_start_matches(is_go_space) } else { literal };
        if trims_left {
            shown = shown.trim_end_matches(is_go_space);
        }
        if !shown.is_empty() {
            lexer.tokens.push(Lexeme { pos: literal_at, token: Token::Text(shown.to_owned()) });
        }
        let Some(open) = open else { break };
        lexer.at = open + OPEN.len() + if trims_left { 2 } else { 0 };
        trim_next = lexer.action(open)?;
    }
    Ok(lexer.tokens)
}

const fn is_go_space(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\r' | '\n')
}

fn begins_with_trim(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next() == Some('-') && letters.next().is_some_and(is_go_space)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Lexeme>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn push(&mut self, pos: usize, token: Token) {
        self.tokens.push(Lexeme { pos, token });
    }

    /// Reads up to the closing braces; returns whether they trim the text behind them.
    fn action(&mut self, open: usize) -> Result<bool, LexError> {
        if self.rest().starts_with("/*") {
            return self.comment();
        }
        self.push(open, Token::Open);
        let mut depth = 0_usize;
        loop {
            let pos = self.at;
            let rest = self.rest();
            let Some(letter) = rest.chars().next() else {
                return Err(LexError { pos, message: "unclosed action".to_owned() });
            };
            if rest.starts_with(CLOSE) || self.at_trimming_close() {
                if depth > 0 {
                    return Err(LexError { pos, message: "unclosed left paren".to_owned() });
                }
                let trims = !rest.starts_with(CLOSE);
                self.at += rest.find(CLOSE).unwrap_or(0) + CLOSE.len();
                self.push(pos, Token::Close);
                return Ok(trims);
            }
            match letter {
                letter if is_go_space(letter) => self.space(),
                '|' => self.single(Token::Pipe),
                ',' => self.single(Token::Comma),
                '=' => self.single(Token::Assign),
                ':' if rest.starts_with(":=") => {
                    self.at += 2;
                    self.push(pos, Token::Declare);
                }
                ':' => return Err(LexError { pos, message: "expected :=".to_owned() }),
                '(' => {
                    depth += 1;
                    self.single(Token::LeftParen);
                }
                ')' if depth == 0 => return Err(LexError { pos, message: "unexpected right paren".to_owned() }),
                ')' => {
                    depth -= 1;
                    self.single(Token::RightParen);
                }
                '"' => self.quoted()?,
                '`' => self.raw_quoted()?,
                '\'' => self.char_constant()?,
                '.' if !rest[1..].starts_with(|next: char| next.is_ascii_digit()) => self.field(),
                '$' => self.variable(),
                '+' | '-' | '.' | '0'..='9' => self.number()?,
                letter if letter.is_alphabetic() || letter == '_' => {
                    let name = self.word();
                    self.push(pos, Token::Identifier(name));
                }
                other => {
                    let message =
                        format!("unrecognized character in action: U+{:04X} {}", other as u32, go_quote_char(other));
                    return Err(LexError { pos, message });
                }
            }
        }
    }

    fn at_trimming_close(&self) -> bool {
        let trimmed = self.rest().trim_start_matches(is_go_space);
        trimmed.len() < self.rest().len() && trimmed.starts_with("-}}")
    }

    fn comment(&mut self) -> Result<bool, LexError> {
        let pos = self.at;
        let Some(end) = self.rest().find("*/") else {
            return Err(LexError { pos, message: "unclosed comment".to_owned() });
        };
        self.at += end + 2;
        let trims = self.at_trimming_close();
        if !trims && !self.rest().starts_with(CLOSE) {
            return Err(LexError { pos, message: "comment ends before closing delimiter".to_owned() });
        }
        self.at += self.rest().find(CLOSE).unwrap_or(0) + CLOSE.len();
        Ok(trims)
    }

    fn single(&mut self, token: Token) {
        self.push(self.at, token);
        self.at += 1;
    }

    fn space(&mut self) {
        let pos = self.at;
        while self.rest().starts_with(is_go_space) && !self.at_trimming_close_after_one() {
            self.at += 1;
        }
        if self.at == pos {
            self.at += 1;
        }
        self.push(pos, Token::Space);
    }

    /// Whether the space at hand is the one that belongs to ` -}}`.
    fn at_trimming_close_after_one(&self) -> bool {
        self.rest()[1..].starts_with("-}}")
    }

    fn word(&mut self) -> String {
        let rest = self.rest();
        let length = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
        let word = rest[..length].to_owned();
        self.at += length;
        word
    }

    fn field(&mut self) {
        let pos = self.at;
        self.at += 1;
        let name = self.word();
        self.push(pos, if name.is_empty() { Token::Dot } else { Token::Field(name) });
    }

    fn variable(&mut self) {
        let pos = self.at;
        self.at += 1;
        let name = format!("${}", self.word());
        self.push(pos, Token::Variable(name));
    }

    fn number(&mut self) -> Result<(), LexError> {
        let pos = self.at;
        let rest = self.rest();
        let signed = usize::from(rest.starts_with(['+', '-']));
        let length = rest[signed..]
            .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '.' && letter != '_')
            .unwrap_or(rest.len() - signed);
        let text = rest[..signed + length].to_owned();
        if length == 0 {
            return Err(LexError { pos, message: format!("bad number syntax: {text:?}") });
        }
        self.at += signed + length;
        self.push(pos, Token::Number(text));
        Ok(())
    }

    fn quoted(&mut self) -> Result<(), LexError> {
        let pos = self.at;
        let bytes = self.text.as_bytes();
        let mut at = pos + 1;
        loop {
            match bytes.get(at) {
                None | Some(b'\n') => return Err(LexError { pos, message: "unterminated quoted string".to_owned() }),
                Some(b'\\') => at += 2,
                Some(b'"') => break,
                Some(_) => at += 1,
            }
        }
        let text = &self.text[pos..=at];
        let value =
            unquote(&text[1..text.len() - 1]).ok_or_else(|| LexError { pos, message: "invalid syntax".to_owned() })?;
        self.at = at + 1;
        self.push(pos, Token::Quoted(text.to_owned(), value));
        Ok(())
    }

    fn raw_quoted(&mut self) -> Result<(), LexError> {
        let pos = self.at;
        let Some(end) = self.rest()[1..].find('`') else {
            return Err(LexError { pos, message: "unterminated raw quoted string".to_owned() });
        };
        let text = self.rest()[..end + 2].to_owned();
        let value = text[1..text.len() - 1].to_owned();
        self.at += text.len();
        self.push(pos, Token::Quoted(text, value));
        Ok(())
    }

    fn char_constant(&mut self) -> Result<(), LexError> {
        let pos = self.at;
        let unterminated = || LexError { pos, message: "unterminated character constant".to_owned() };
        let inner = &self.rest()[1..];
        let skip = if inner.starts_with('\\') { 2 } else { inner.chars().next().map_or(0, char::len_utf8) };
        let end = inner.get(skip..).and_then(|after| after.find('\'')).ok_or_else(unterminated)? + skip;
        let text = self.rest()[..end + 2].to_owned();
        self.at += text.len();
        self.push(pos, Token::Char(text));
        Ok(())
    }
}

fn go_quote_char(letter: char) -> String {
    format!("'{letter}'")
}

/// Takes Go's escapes out of the inside of a quoted string.
pub fn unquote(text: &str) -> Option<String> {
    let mut value: Vec<u8> = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        if letter != '\\' {
            value.extend(letter.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let escape = rest.chars().next()?;
        rest = &rest[escape.len_utf8()..];
        let (digits, radix) = match escape {
            'n' => (0, u32::from(b'\n')),
            't' => (0, u32::from(b'\t')),
            'r' => (0, u32::from(b'\r')),
            'a' => (0, 7),
            'b' => (0, 8),
            'v' => (0, 11),
            'f' => (0, 12),
            '\\' | '\'' | '"' => (0, u32::from(escape)),
            'x' => (2, 16),
            'u' => (4, 16),
            'U' => (8, 16),
            '0'..='7' => (3, 8),
            _ => return None,
        };
        if digits == 0 {
            value.push(u8::try_from(radix).ok()?);
            continue;
        }
        if escape.is_ascii_digit() {
            rest = &text[text.len() - rest.len() - 1..];
        }
        let number = u32::from_str_radix(rest.get(..digits)?, radix).ok()?;
        rest = &rest[digits..];
        if matches!(escape, 'u' | 'U') {
            value.extend(char::from_u32(number)?.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            value.push(u8::try_from(number).ok()?);
        }
    }
    String::from_utf8(value).ok()
}
