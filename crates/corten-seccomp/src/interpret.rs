//! Runs a program as the kernel would, so that two filters can be compared call by call.

use crate::action::Action;
use crate::program::{
    AND, Instruction, JUMP, JUMP_ANY_BIT, JUMP_EQUAL, JUMP_GREATER, JUMP_GREATER_OR_EQUAL, LOAD, RETURN,
};
use crate::rules::Data;

/// The verdict, and how many instructions it took; `None` for a program that runs out, or has instructions no filter
/// compiler writes.
#[must_use]
pub fn run(program: &[Instruction], call: &Data) -> Option<(Action, usize)> {
    let (mut accumulator, mut at, mut steps) = (0u32, 0usize, 0);
    loop {
        let instruction = program.get(at)?;
        let operand = instruction.operand;
        (at, steps) = (at + 1, steps + 1);
        let holds = match instruction.code {
            LOAD => {
                accumulator = word(call, operand)?;
                continue;
            }
            AND => {
                accumulator &= operand;
                continue;
            }
            JUMP => {
                at += operand as usize;
                continue;
            }
            RETURN => return Some((Action(operand), steps)),
            JUMP_EQUAL => accumulator == operand,
            JUMP_GREATER => accumulator > operand,
            JUMP_GREATER_OR_EQUAL => accumulator >= operand,
            JUMP_ANY_BIT => accumulator & operand != 0,
            _ => return None,
        };
        at += usize::from(if holds { instruction.jump_true } else { instruction.jump_false });
    }
}

/// A word of struct seccomp_data: number, architecture, instruction pointer, arguments with the low half first.
fn word(call: &Data, offset: u32) -> Option<u32> {
    match offset {
        0 => Some(call.number),
        4 => Some(call.audit),
        8 | 12 => Some(0),
        _ => {
            let argument = call.arguments.get(offset.checked_sub(16)? as usize / 8)?;
            match offset % 8 {
                0 => Some(*argument as u32),
                4 => Some((argument >> 32) as u32),
                _ => None,
            }
        }
    }
}
