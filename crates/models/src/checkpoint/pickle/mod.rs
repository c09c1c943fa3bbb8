//! A reader of pickles that makes tensors and containers, and nothing else: nothing is ever called. What other functions and classes would have
//! made is an object of which the name alone is known; those that only an attack asks for are refused.
//!
//! Protocol 2 as `torch.save` writes it, and what protocols 3 to 5 add for such values. All work and memory is linear in the pickle's length, up to
//! [`value::Values::MOST`] values.

mod input;
mod rebuild;
pub(crate) mod value;

use std::collections::{BTreeSet, HashMap};

use value::{Global, Id, Value, Values};

use super::archive::Sound;
use input::Input;

/// Most marks that are open at a time: how deep tuples, lists and dictionaries may be nested while they are made.
const MOST_MARKS: usize = 1_000;

/// What a pickle holds.
pub(super) struct Pickled<'p> {
    pub values: Values<'p>,
    /// The outermost value.
    pub top: Id,
    /// What objects were made by.
    pub makers: BTreeSet<Global<'p>>,
}

/// Reads a pickle.
pub(super) fn read(pickle: &[u8]) -> Sound<Pickled<'_>> {
    let mut machine = Machine {
        input: Input::new(pickle),
        values: Values::default(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        makers: BTreeSet::new(),
    };
    loop {
        let at = machine.input.position();
        let opcode = machine.input.byte()?;
        if opcode == b'.' {
            let top = machine.pop()?;
            return Ok(Pickled { values: machine.values, top, makers: machine.makers });
        }
        let known =
            machine.atom(opcode)? || machine.container(opcode)? || machine.bookkeeping(opcode)? || machine.object(opcode)?;
        if !known {
            return Err(format!("its pickle has the opcode {opcode:#04x} at byte {at}, which is not one of a checkpoint"));
        }
    }
}

/// The stack machine that a pickle is a program for. Its functions for opcodes return whether the opcode was one of theirs.
struct Machine<'p> {
    input: Input<'p>,
    values: Values<'p>,
    stack: Vec<Id>,
    /// How long the stack was at each open mark.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    /// What objects were made by.
    makers: BTreeSet<Global<'p>>,
}

impl<'p> Machine<'p> {
    /// Opcodes that push a value without parts.
    fn atom(&mut self, opcode: u8) -> Sound<bool> {
        let input = &mut self.input;
        let value = match opcode {
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'K' => Value::Int(input.byte()?.into()),
            b'M' => Value::Int(input.u16()?.into()),
            b'J' => Value::Int(input.i32()?.into()),
            0x8a => {
                let length = input.byte()?;
                integer(input.take(length.into())?)
            }
            0x8b => {
                let length = input.u32()?;
                integer(input.claimed(length.into())?)
            }
            b'G' => Value::Float(input.f64()?),
            b'X' => {
                let length = input.u32()?;
                Value::Text(input.text(length.into())?)
            }
            0x8c => {
                let length = input.byte()?;
                Value::Text(input.text(length.into())?)
            }
            0x8d => {
                let length = input.u64()?;
                Value::Text(input.text(length)?)
            }
            // Strings of Python 2, and bytes.
            b'U' | b'C' => {
                let length = input.byte()?;
                text_or_bytes(opcode, input.claimed(length.into())?)
            }
            b'T' | b'B' => {
                let length = input.u32()?;
                text_or_bytes(opcode, input.claimed(length.into())?)
            }
            0x8e | 0x96 => {
                let length = input.u64()?;
                text_or_bytes(opcode, input.claimed(length)?)
            }
            _ => return Ok(false),
        };
        self.push(value)?;
        Ok(true)
    }

    /// Opcodes that make containers or fill them.
    fn container(&mut self, opcode: u8) -> Sound<bool> {
        match opcode {
            b')' => self.push(Value::Tuple(Vec::new()))?,
            // A set is as good as a list here.
            b']' | 0x8f => self.push(Value::List(Vec::new()))?,
            b'}' => self.push(Value::Dict(Vec::new()))?,
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Tuple(items))?;
            }
            b'l' | 0x91 => {
                let items = self.pop_to_mark()?;
                self.push(Value::List(items))?;
            }
            b'd' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Dict(pairs(&items)?))?;
            }
            0x85..=0x87 => {
                let mut items = Vec::new();
                for _ in 0x85..=opcode {
                    items.insert(0, self.pop()?);
                }
                self.push(Value::Tuple(items))?;
            }
            b'a' => {
                let item = self.pop()?;
                self.extend_list(&[item])?;
            }
            b'e' | 0x90 => {
                let items = self.pop_to_mark()?;
                self.extend_list(&items)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.extend_dict(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.extend_dict(&items)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Opcodes of stack and memo.
    fn bookkeeping(&mut self, opcode: u8) -> Sound<bool> {
        match opcode {
            0x80 => {
                let protocol = self.input.byte()?;
                if protocol > 5 {
                    return Err(format!("its pickle has the protocol {protocol}; protocols up to 5 are read"));
                }
            }
            // How long a frame is matters to streams only.
            0x95 => drop(self.input.u64()?),
            b'(' if self.marks.len() >= MOST_MARKS => return Err(format!("its pickle is nested more than {MOST_MARKS} deep")),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?),
            b'2' => self.stack.push(self.top()?),
            b'q' => {
                let place = self.input.byte()?;
                self.memo.insert(place.into(), self.top()?);
            }
            b'r' => {
                let place = self.input.u32()?;
                self.memo.insert(place, self.top()?);
            }
            0x94 => {
                let place = u32::try_from(self.memo.len()).map_err(|error| error.to_string())?;
                self.memo.insert(place, self.top()?);
            }
            b'h' => {
                let place = self.input.byte()?;
                self.recall(place.into())?;
            }
            b'j' => {
                let place = self.input.u32()?;
                self.recall(place)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn recall(&mut self, place: u32) -> Sound<()> {
        let missing = || format!("its pickle refers to the memo's place {place}, which it never filled");
        self.stack.push(*self.memo.get(&place).ok_or_else(missing)?);
        Ok(())
    }

    fn push(&mut self, value: Value<'p>) -> Sound<()> {
        self.stack.push(self.values.add(value)?);
        Ok(())
    }

    /// Takes the topmost value, which lies above the last mark.
    fn pop(&mut self) -> Sound<Id> {
        let id = self.top()?;
        self.stack.pop();
        Ok(id)
    }

    fn top(&self) -> Sound<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack.get(floor..).and_then(<[Id]>::last).copied().ok_or_else(|| {
            format!("its pickle is damaged: at byte {} it takes a value from the stack that is not there", self.input.position())
        })
    }

    fn pop_to_mark(&mut self) -> Sound<Vec<Id>> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len());
        let mark = mark.ok_or_else(|| format!("its pickle is damaged: no mark before byte {}", self.input.position()))?;
        Ok(self.stack.split_off(mark))
    }

    fn extend_list(&mut self, items: &[Id]) -> Sound<()> {
        let list = self.top()?;
        match self.values.get_mut(list) {
            Some(Value::List(list)) => list.extend_from_slice(items),
            Some(Value::Object(_)) => {}
            _ => return Err(self.misplaced("append to", list)),
        }
        Ok(())
    }

    fn extend_dict(&mut self, items: &[Id]) -> Sound<()> {
        let dict = self.top()?;
        let pairs = pairs(items)?;
        match self.values.get_mut(dict) {
            Some(Value::Dict(dict)) => dict.extend(pairs),
            Some(Value::Object(_)) => {}
            _ => return Err(self.misplaced("set an item of", dict)),
        }
        Ok(())
    }

    /// The complaint about something that a value cannot do.
    fn misplaced(&self, deed: &str, value: Id) -> String {
        format!("its pickle is damaged: at byte {} it would {deed} {}", self.input.position(), self.values.get(value).kind())
    }
}

fn pairs(items: &[Id]) -> Sound<Vec<(Id, Id)>> {
    let (pairs, rest) = items.as_chunks::<2>();
    if !rest.is_empty() {
        return Err("its pickle is damaged: a dictionary with a key that has no value".to_owned());
    }
    Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
}

/// A little-endian integer in two's complement.
fn integer<'p>(bytes: &[u8]) -> Value<'p> {
    let negative = bytes.last().is_some_and(|byte| *byte >= 0x80);
    let mut word = if negative { [0xff; 8] } else { [0; 8] };
    match word.get_mut(..bytes.len()) {
        Some(part) => part.copy_from_slice(bytes),
        None => return Value::Opaque,
    }
    Value::Int(i64::from_le_bytes(word))
}

fn text_or_bytes(opcode: u8, bytes: &[u8]) -> Value<'_> {
    match str::from_utf8(bytes) {
        Ok(text) if matches!(opcode, b'U' | b'T') => Value::Text(text),
        _ => Value::Opaque,
    }
}
