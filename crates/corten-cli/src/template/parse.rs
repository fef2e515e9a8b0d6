//! Tokens to the tree.

use super::TemplateError;
use super::functions::is_function;
use super::lex::{Lexeme, Token, lex, unquote};
use super::node::{Command, Node, Operand, Pipe};
use std::collections::BTreeMap;

type Defined = BTreeMap<String, Vec<Node>>;

pub fn parse(name: &str, text: &str) -> Result<(Vec<Node>, Defined), TemplateError> {
    let error = |pos: usize, message: &str| {
        let line = 1 + text[..pos.min(text.len())].matches('\n').count();
        TemplateError(format!("template: {name}:{line}: {message}"))
    };
    let tokens = lex(text).map_err(|failure| error(failure.pos, &failure.message))?;
    let mut parser =
        Parser { tokens, at: 0, end: text.len(), variables: vec!["$".to_owned()], loops: 0, defined: Defined::new() };
    let parsed = parser.list(&[]).map_err(|failure| error(failure.pos, &failure.message))?;
    Ok((parsed.nodes, parser.defined))
}

struct Failure {
    pos: usize,
    message: String,
}

type Parsed<T> = Result<T, Failure>;

struct Parser {
    tokens: Vec<Lexeme>,
    at: usize,
    end: usize,
    variables: Vec<String>,
    loops: usize,
    defined: Defined,
}

struct List {
    nodes: Vec<Node>,
    /// The keyword that ended it, empty at the end of the text.
    ended_by: String,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|lexeme| &lexeme.token)
    }

    fn pos(&self) -> usize {
        self.tokens.get(self.at).map_or(self.end, |lexeme| lexeme.pos)
    }

    fn next(&mut self) -> Option<Lexeme> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn skip_space(&mut self) {
        while self.peek() == Some(&Token::Space) {
            self.at += 1;
        }
    }

    fn fail<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(Failure { pos: self.pos(), message: message.into() })
    }

    /// Reads nodes until one of `enders` or the end of the text.
    fn list(&mut self, enders: &[&str]) -> Parsed<List> {
        let mut nodes = Vec::new();
        loop {
            let Some(lexeme) = self.next() else {
                if enders.is_empty() {
                    return Ok(List { nodes, ended_by: String::new() });
                }
                return self.fail("unexpected EOF");
            };
            let Token::Open = lexeme.token else {
                if let Token::Text(text) = lexeme.token {
                    nodes.push(Node::Text(text));
                }
                continue;
            };
            self.skip_space();
            if let Some(Token::Identifier(word)) = self.peek() {
                let word = word.clone();
                if matches!(word.as_str(), "end" | "else") {
                    if !enders.contains(&word.as_str()) {
                        self.at += 1;
                        return self.fail(format!("unexpected {{{{{word}}}}}"));
                    }
                    self.at += 1;
                    return Ok(List { nodes, ended_by: word });
                }
                if let Some(node) = self.keyword(&word)? {
                    nodes.extend(node);
                    continue;
                }
            }
            let pipe = self.pipe("command", true)?;
            nodes.push(Node::Action(pipe));
        }
    }

    /// A control structure, when `word` begins one.
    fn keyword(&mut self, word: &str) -> Parsed<Option<Option<Node>>> {
        let pos = self.pos();
        self.at += 1;
        let node = match word {
            "if" => {
                let (pipe, then, otherwise) = self.branches("if")?;
                Node::If { pipe, then, otherwise }
            }
            "with" => {
                let (pipe, then, otherwise) = self.branches("with")?;
                Node::With { pipe, then, otherwise }
            }
            "range" => {
                self.loops += 1;
                let (pipe, body, otherwise) = self.branches("range")?;
                self.loops -= 1;
                Node::Range { pipe, body, otherwise }
            }
            "break" | "continue" => {
                if self.loops == 0 {
                    return Err(Failure { pos, message: format!("{{{{{word}}}}} outside {{{{range}}}}") });
                }
                self.close(word)?;
                if word == "break" { Node::Break } else { Node::Continue }
            }
            "template" | "block" => {
                self.skip_space();
                let Some(Lexeme { token: Token::Quoted(_, name), .. }) = self.next() else {
                    self.at -= 1;
                    return self.fail(format!("unexpected token in {word} clause"));
                };
                self.skip_space();
                let pipe = if self.peek() == Some(&Token::Close) {
                    self.at += 1;
                    None
                } else {
                    Some(self.pipe(word, true)?)
                };
                if word == "block" {
                    let list = self.list(&["end"])?;
                    self.close("end")?;
                    self.defined.insert(name.clone(), list.nodes);
                }
                Node::Call { pos, name, pipe }
            }
            "define" => {
                self.skip_space();
                let Some(Lexeme { token: Token::Quoted(_, name), .. }) = self.next() else {
                    self.at -= 1;
                    return self.fail("unexpected token in define clause");
                };
                self.close("define clause")?;
                let list = self.list(&["end"])?;
                self.close("end")?;
                self.defined.insert(name, list.nodes);
                return Ok(Some(None));
            }
            _ => {
                self.at -= 1;
                return Ok(None);
            }
        };
        Ok(Some(Some(node)))
    }

    fn close(&mut self, context: &str) -> Parsed<()> {
        self.skip_space();
        match self.peek() {
            Some(Token::Close) => {
                self.at += 1;
                Ok(())
            }
            _ => self.fail(format!("unexpected {} in {context}", self.describe())),
        }
    }

    fn branches(&mut self, word: &str) -> Parsed<(Pipe, Vec<Node>, Vec<Node>)> {
        let scope = self.variables.len();
        let pipe = self.pipe(word, true)?;
        let list = self.list(&["end", "else"])?;
        let mut otherwise = Vec::new();
        if list.ended_by == "else" {
            self.skip_space();
            let chained = match self.peek() {
                Some(Token::Identifier(next)) if next == "if" && word == "if" => true,
                Some(Token::Identifier(next)) if next == "with" && word == "with" => true,
                _ => false,
            };
            if chained {
                self.at += 1;
                // `else if` shares the one `end` of the whole chain.
                let (inner, then, last) = self.branches(word)?;
                otherwise.push(match word {
                    "if" => Node::If { pipe: inner, then, otherwise: last },
                    _ => Node::With { pipe: inner, then, otherwise: last },
                });
                self.variables.truncate(scope);
                return Ok((pipe, list.nodes, otherwise));
            }
            self.close("else")?;
            otherwise = self.list(&["end"])?.nodes;
        }
        self.close("end")?;
        self.variables.truncate(scope);
        Ok((pipe, list.nodes, otherwise))
    }

    /// Reads a pipeline up to the closing braces, or to the right parenthesis.
    fn pipe(&mut self, context: &str, closes_action: bool) -> Parsed<Pipe> {
        self.skip_space();
        let pos = self.pos();
        let (variables, assigns) = self.declaration(context)?;
        let mut commands = Vec::new();
        loop {
            self.skip_space();
            match self.peek() {
                Some(Token::Close) if closes_action => {
                    self.check_not_empty(&commands, context)?;
                    self.at += 1;
                    break;
                }
                Some(Token::RightParen) if !closes_action => {
                    self.check_not_empty(&commands, context)?;
                    self.at += 1;
                    break;
                }
                Some(Token::Pipe) => return self.fail(format!("missing value for {context}")),
                None => return self.fail("unexpected EOF"),
                _ => commands.push(self.command(context)?),
            }
        }
        for (index, command) in commands.iter().enumerate().skip(1) {
            if let Some(
                literal @ (Operand::Bool { .. }
                | Operand::Dot { .. }
                | Operand::Nil { .. }
                | Operand::Int { .. }
                | Operand::Float { .. }
                | Operand::Text { .. }),
            ) = command.arguments.first()
            {
                let message = format!("non executable command in pipeline stage {}", index + 1);
                return Err(Failure { pos: literal.pos(), message });
            }
        }
        Ok(Pipe { pos, variables, assigns, commands })
    }

    fn check_not_empty(&self, commands: &[Command], context: &str) -> Parsed<()> {
        if commands.is_empty() {
            return self.fail(format!("missing value for {context}"));
        }
        Ok(())
    }

    /// `$x :=`, `$x =` or, in a range, `$key, $value :=`.
    fn declaration(&mut self, context: &str) -> Parsed<(Vec<String>, bool)> {
        let start = self.at;
        let mut names = Vec::new();
        while let Some(Token::Variable(name)) = self.peek() {
            names.push(name.clone());
            self.at += 1;
            self.skip_space();
            match self.peek() {
                Some(token @ (Token::Declare | Token::Assign)) => {
                    let assigns = *token == Token::Assign;
                    self.at += 1;
                    if !assigns {
                        self.variables.extend(names.iter().cloned());
                    }
                    return Ok((names, assigns));
                }
                Some(Token::Comma) if context == "range" && names.len() < 2 => {
                    self.at += 1;
                    self.skip_space();
                }
                _ => break,
            }
        }
        self.at = start;
        Ok((Vec::new(), false))
    }

    fn command(&mut self, context: &str) -> Parsed<Command> {
        let mut arguments = Vec::new();
        loop {
            self.skip_space();
            if let Some(operand) = self.operand()? {
                arguments.push(operand);
            }
            match self.peek() {
                Some(Token::Space) => {}
                Some(Token::Pipe) => {
                    self.at += 1;
                    self.skip_space();
                    if matches!(self.peek(), Some(Token::Close | Token::RightParen)) {
                        return self.fail(format!("missing value for {context}"));
                    }
                    break;
                }
                Some(Token::Close | Token::RightParen) => break,
                None => return self.fail("unexpected EOF"),
                _ => return self.fail(format!("unexpected {} in operand", self.describe())),
            }
        }
        if arguments.is_empty() {
            return self.fail("empty command");
        }
        Ok(Command { arguments })
    }

    /// A term and the fields that follow it.
    fn operand(&mut self) -> Parsed<Option<Operand>> {
        let Some(term) = self.term()? else { return Ok(None) };
        let Some(Token::Field(_)) = self.peek() else { return Ok(Some(term)) };
        let pos = self.pos();
        let mut more = Vec::new();
        while let Some(Token::Field(name)) = self.peek() {
            more.push(name.clone());
            self.at += 1;
        }
        // Go keeps the position of the last field token but one; what it prints is this.
        Ok(Some(match term {
            Operand::Field { mut names, .. } => {
                names.extend(more);
                Operand::Field { pos, names }
            }
            Operand::Variable { name, mut names, .. } => {
                names.extend(more);
                Operand::Variable { pos, name, names }
            }
            Operand::Bool { .. }
            | Operand::Int { .. }
            | Operand::Float { .. }
            | Operand::Text { .. }
            | Operand::Nil { .. }
            | Operand::Dot { .. } => {
                return Err(Failure { pos, message: format!("unexpected . after term \"{term}\"") });
            }
            of => Operand::Chain { pos, of: Box::new(of), names: more },
        }))
    }

    fn term(&mut self) -> Parsed<Option<Operand>> {
        let pos = self.pos();
        let Some(token) = self.peek().cloned() else { return Ok(None) };
        let operand = match token {
            Token::Identifier(word) => match word.as_str() {
                "true" | "false" => Operand::Bool { pos, value: word == "true" },
                "nil" => Operand::Nil { pos },
                _ if is_function(&word) => Operand::Function { pos, name: word },
                _ => return self.fail(format!("function \"{word}\" not defined")),
            },
            Token::Dot => Operand::Dot { pos },
            Token::Field(name) => Operand::Field { pos, names: vec![name] },
            Token::Variable(name) => {
                if !self.variables.contains(&name) {
                    return self.fail(format!("undefined variable \"{name}\""));
                }
                Operand::Variable { pos, name, names: Vec::new() }
            }
            Token::Number(text) => self.number(pos, text)?,
            Token::Char(text) => {
                let inner = unquote(&text[1..text.len() - 1]).unwrap_or_default();
                let mut letters = inner.chars();
                match (letters.next(), letters.next()) {
                    (Some(letter), None) => Operand::Int { pos, value: i64::from(u32::from(letter)), text },
                    _ => return self.fail(format!("malformed character constant: {text}")),
                }
            }
            Token::Quoted(text, value) => Operand::Text { pos, value, text },
            Token::LeftParen => {
                self.at += 1;
                let pipe = self.pipe("parenthesized pipeline", false)?;
                return Ok(Some(Operand::Pipe { pos, pipe: Box::new(pipe) }));
            }
            _ => return Ok(None),
        };
        self.at += 1;
        Ok(Some(operand))
    }

    fn number(&self, pos: usize, text: String) -> Parsed<Operand> {
        let clean = text.replace('_', "");
        let (sign, digits) = clean.strip_prefix('-').map_or((1, clean.trim_start_matches('+')), |digits| (-1, digits));
        let radix = |prefix: &str| digits.to_ascii_lowercase().strip_prefix(prefix).map(str::to_owned);
        let integer = if let Some(hex) = radix("0x") {
            i64::from_str_radix(&hex, 16).ok()
        } else if let Some(octal) = radix("0o") {
            i64::from_str_radix(&octal, 8).ok()
        } else if let Some(binary) = radix("0b") {
            i64::from_str_radix(&binary, 2).ok()
        } else if digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            i64::from_str_radix(digits, 8).ok()
        } else {
            digits.parse().ok()
        };
        if let Some(value) = integer {
            return Ok(Operand::Int { pos, value: sign * value, text });
        }
        match clean.parse::<f64>() {
            Ok(value) if digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') => {
                Ok(Operand::Float { pos, value, text })
            }
            _ => Err(Failure { pos, message: format!("bad number syntax: \"{text}\"") }),
        }
    }

    /// The token at hand, as Go names it in an error.
    fn describe(&self) -> String {
        match self.peek() {
            None => "EOF".to_owned(),
            Some(Token::Text(text)) => format!("\"{text}\""),
            Some(Token::Open) => "\"{{\"".to_owned(),
            Some(Token::Close) => "\"}}\"".to_owned(),
            Some(Token::Space) => "\" \"".to_owned(),
            Some(Token::Pipe) => "\"|\"".to_owned(),
            Some(Token::Declare) => "\":=\"".to_owned(),
            Some(Token::Assign) => "\"=\"".to_owned(),
            Some(Token::Comma) => "\",\"".to_owned(),
            Some(Token::LeftParen) => "\"(\"".to_owned(),
            Some(Token::RightParen) => "\")\"".to_owned(),
            Some(Token::Dot) => "<.>".to_owned(),
            Some(Token::Field(name)) => format!("<.{name}>"),
            Some(Token::Variable(name)) => format!("\"{name}\""),
            Some(Token::Identifier(name))
                if matches!(
                    name.as_str(),
                    "if" | "else"
                        | "end"
                        | "range"
                        | "with"
                        | "define"
                        | "template"
                        | "block"
                        | "break"
                        | "continue"
                        | "nil"
                ) =>
            {
                format!("<{name}>")
            }
            Some(Token::Identifier(name)) => format!("\"{name}\""),
            Some(Token::Number(text) | Token::Char(text) | Token::Quoted(text, _)) => format!("{text:?}"),
        }
    }
}
