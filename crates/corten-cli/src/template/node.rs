//! The tree of a template. Each node knows where it stands, for error texts.

use std::fmt;

/// A node that writes, or a control structure.
#[derive(Debug, Clone)]
pub enum Node {
    Text(String),
    Action(Pipe),
    If { pipe: Pipe, then: Vec<Node>, otherwise: Vec<Node> },
    With { pipe: Pipe, then: Vec<Node>, otherwise: Vec<Node> },
    Range { pipe: Pipe, body: Vec<Node>, otherwise: Vec<Node> },
    Call { pos: usize, name: String, pipe: Option<Pipe> },
    Break,
    Continue,
}

/// `$a, $b := first | second`
#[derive(Debug, Clone)]
pub struct Pipe {
    pub pos: usize,
    pub variables: Vec<String>,
    pub assigns: bool,
    pub commands: Vec<Command>,
}

/// A function or field with its arguments.
#[derive(Debug, Clone)]
pub struct Command {
    pub arguments: Vec<Operand>,
}

/// One word of a command.
#[derive(Debug, Clone)]
pub enum Operand {
    Dot { pos: usize },
    Nil { pos: usize },
    Field { pos: usize, names: Vec<String> },
    Variable { pos: usize, name: String, names: Vec<String> },
    Function { pos: usize, name: String },
    Pipe { pos: usize, pipe: Box<Pipe> },
    Chain { pos: usize, of: Box<Operand>, names: Vec<String> },
    Bool { pos: usize, value: bool },
    Int { pos: usize, value: i64, text: String },
    Float { pos: usize, value: f64, text: String },
    Text { pos: usize, value: String, text: String },
}

impl Operand {
    pub const fn pos(&self) -> usize {
        match self {
            Self::Dot { pos }
            | Self::Nil { pos }
            | Self::Field { pos, .. }
            | Self::Variable { pos, .. }
            | Self::Function { pos, .. }
            | Self::Pipe { pos, .. }
            | Self::Chain { pos, .. }
            | Self::Bool { pos, .. }
            | Self::Int { pos, .. }
            | Self::Float { pos, .. }
            | Self::Text { pos, .. } => *pos,
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dot { .. } => f.write_str("."),
            Self::Nil { .. } => f.write_str("nil"),
            Self::Field { names, .. } => names.iter().try_for_each(|name| write!(f, ".{name}")),
            Self::Variable { name, names, .. } => {
                f.write_str(name)?;
                names.iter().try_for_each(|name| write!(f, ".{name}"))
            }
            Self::Function { name, .. } => f.write_str(name),
            Self::Pipe { pipe, .. } => write!(f, "({pipe})"),
            Self::Chain { of, names, .. } => {
                write!(f, "{of}")?;
                names.iter().try_for_each(|name| write!(f, ".{name}"))
            }
            Self::Bool { value, .. } => write!(f, "{value}"),
            Self::Int { text, .. } | Self::Float { text, .. } | Self::Text { text, .. } => f.write_str(text),
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, argument) in self.arguments.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{argument}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.variables.is_empty() {
            write!(f, "{} {} ", self.variables.join(", "), if self.assigns { "=" } else { ":=" })?;
        }
        for (index, command) in self.commands.iter().enumerate() {
            if index > 0 {
                f.write_str(" | ")?;
            }
            write!(f, "{command}")?;
        }
        Ok(())
    }
}
