//! A pickle, walked and never executed: a stack machine over plain values that calls nothing.
//!
//! Values live in a list and refer to each other by number, so that a pickle that nests or repeats itself without end costs no more memory
//! than its own length allows, and is dropped without recursion. The only calls that are understood are those that make tensors and
//! dictionaries; a pickle that names anything else is refused at that name.
//!
//! Source: CPython, `Lib/pickletools.py`; PyTorch, `torch/_utils.py`.

use std::collections::HashMap;

use crate::error::ModelError;
use crate::files::source::Source;

/// Number of a value.
pub type Id = usize;

/// A value of the few kinds that describe tensors.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing, truth values, floating-point numbers, bytes: whatever no tensor needs.
    Other,
    /// A whole number.
    Integer(i64),
    /// A text.
    Text(String),
    /// A tuple, list or set.
    Sequence(Vec<Id>),
    /// A dictionary.
    Dictionary(Vec<(Id, Id)>),
    /// Something callable that is allowed, by name.
    Global(String),
    /// A storage: type, key, number of elements.
    Storage(String, String, u64),
    /// A tensor: storage, offset, sides, strides, all still as the pickle says.
    Tensor {
        /// The storage.
        storage: Id,
        /// First element.
        offset: Id,
        /// Sides.
        sides: Id,
        /// Strides.
        strides: Id,
    },
}

/// What a pickle holds.
#[derive(Clone, Debug)]
pub struct Walked {
    values: Vec<Value>,
    /// The value at its end.
    pub root: Id,
}

impl Walked {
    /// A value by its number.
    #[must_use]
    pub fn value(&self, id: Id) -> &Value {
        &self.values[id]
    }

    /// Every value, in the order in which the pickle makes them.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.values.iter()
    }
}

/// Why a pickle is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// It names what makes no tensor.
    Code(String),
    /// It is no pickle, or one that nothing written by PyTorch resembles.
    Damaged(String),
}

impl Fault {
    /// As an error about a file.
    #[must_use]
    pub fn of(self, source: &Source) -> ModelError {
        match self {
            Fault::Code(name) => ModelError::Code { path: source.path.clone(), name },
            Fault::Damaged(what) => source.damaged(what),
        }
    }
}

/// Names that a pickle of tensors may mention. None of them is ever called: each is a case of [`Machine::reduce`], or the type of a storage.
const ALLOWED: &[&str] = &[
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_parameter",
    "collections.OrderedDict",
    "torch.Size",
    "builtins.set",
    "__builtin__.set",
];

/// Types of storages with their elements, as PyTorch names them.
pub const STORAGES: &[&str] = &[
    "FloatStorage",
    "DoubleStorage",
    "HalfStorage",
    "BFloat16Storage",
    "LongStorage",
    "IntStorage",
    "ShortStorage",
    "CharStorage",
    "ByteStorage",
    "BoolStorage",
    "Float8_e4m3fnStorage",
    "Float8_e5m2Storage",
    "UntypedStorage",
];

const LONGEST_KEY: usize = 100;

/// Walks one pickle.
///
/// * returns: its values, and the number of bytes up to its end
///
/// # Errors
/// [`Fault`].
pub fn walk(bytes: &[u8]) -> Result<(Walked, usize), Fault> {
    let mut machine = Machine {
        bytes,
        at: 0,
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    loop {
        let opcode = machine.byte()?;
        if opcode == b'.' {
            let root = machine.pop()?;
            return Ok((Walked { values: machine.values, root }, machine.at));
        }
        machine.step(opcode)?;
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

fn damaged<T>(what: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Damaged(what.into()))
}

impl<'a> Machine<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let end = self.at.checked_add(length).filter(|&end| end <= self.bytes.len());
        let Some(end) = end else { return damaged("the pickle ends early") };
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        self.take(1).map(|taken| taken[0])
    }

    fn number(&mut self, length: usize) -> Result<u64, Fault> {
        Ok(self.take(length)?.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
    }

    fn text(&mut self, length: usize) -> Result<String, Fault> {
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    fn line(&mut self) -> Result<String, Fault> {
        let rest = &self.bytes[self.at..];
        let Some(length) = rest.iter().position(|&byte| byte == b'\n') else {
            return damaged("the pickle ends early");
        };
        let text = self.text(length)?;
        self.at += 1;
        Ok(text)
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn pop(&mut self) -> Result<Id, Fault> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return damaged("the pickle takes more from its stack than it put there");
        }
        Ok(self.stack.pop().expect("the stack is higher than its floor"))
    }

    fn top(&self) -> Result<Id, Fault> {
        self.stack.last().copied().ok_or_else(|| Fault::Damaged("the pickle looks at an empty stack".into()))
    }

    fn since_mark(&mut self) -> Result<Vec<Id>, Fault> {
        let Some(mark) = self.marks.pop() else {
            return damaged("the pickle goes back to a mark that it did not set");
        };
        Ok(self.stack.split_off(mark))
    }

    fn memoize(&mut self, key: u32) -> Result<(), Fault> {
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<(), Fault> {
        let Some(&id) = self.memo.get(&key) else {
            return damaged("the pickle recalls what it did not keep");
        };
        self.stack.push(id);
        Ok(())
    }

    fn step(&mut self, opcode: u8) -> Result<(), Fault> {
        match opcode {
            // PROTO and FRAME say what is seen anyway.
            0x80 => drop(self.byte()?),
            0x95 => drop(self.number(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'N' | 0x88 | 0x89 => self.push(Value::Other),
            b'G' => {
                self.number(8)?;
                self.push(Value::Other);
            }
            b'J' => {
                let number = self.number(4)? as u32 as i32;
                self.push(Value::Integer(number.into()));
            }
            b'K' => self.integer(1)?,
            b'M' => self.integer(2)?,
            0x8a => {
                let length = self.byte()?;
                self.long(length.into())?;
            }
            b'X' | b'T' | b'B' => self.string(4, opcode == b'B')?,
            0x8c | b'U' | b'C' => self.string(1, opcode == b'C')?,
            0x8d | 0x8e => self.string(8, opcode == 0x8e)?,
            b'}' => self.push(Value::Dictionary(Vec::new())),
            b']' | b')' | 0x8f => self.push(Value::Sequence(Vec::new())),
            b't' | b'l' => {
                let items = self.since_mark()?;
                self.push(Value::Sequence(items));
            }
            b'd' => {
                let items = self.since_mark()?;
                self.push(Value::Dictionary(pairs(&items)?));
            }
            0x85..=0x87 => {
                let mut items = (0x85..=opcode).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
                items.reverse();
                self.push(Value::Sequence(items));
            }
            b'q' => {
                let key = self.byte()?;
                self.memoize(key.into())?;
            }
            b'r' => {
                let key = self.number(4)? as u32;
                self.memoize(key)?;
            }
            0x94 => self.memoize(self.memo.len() as u32)?,
            b'h' => {
                let key = self.byte()?;
                self.recall(key.into())?;
            }
            b'j' => {
                let key = self.number(4)? as u32;
                self.recall(key)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.extend(&[key, value])?;
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(&[item])?;
            }
            b'u' | b'e' | 0x90 => {
                let items = self.since_mark()?;
                self.extend(&items)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(&format!("{module}.{name}"))?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Text(module), Value::Text(name)) = (&self.values[module], &self.values[name])
                else {
                    return damaged("the pickle names something by what is no text");
                };
                let full = format!("{module}.{name}");
                self.global(&full)?;
            }
            b'Q' => self.storage()?,
            b'R' => self.reduce()?,
            // The state of a dictionary is bookkeeping of PyTorch; of a tensor, its attributes.
            b'b' => drop(self.pop()?),
            // Classes are instantiated by these.
            b'i' => {
                let (module, name) = (self.line()?, self.line()?);
                return Err(Fault::Code(format!("{module}.{name}")));
            }
            0x81 | 0x92 | b'o' => return Err(Fault::Code("a class".into())),
            other => {
                return damaged(format!("the pickle has the opcode {other:#04x}, which no tensor needs"));
            }
        }
        Ok(())
    }

    fn integer(&mut self, length: usize) -> Result<(), Fault> {
        let number = self.number(length)?;
        self.push(Value::Integer(number as i64));
        Ok(())
    }

    fn long(&mut self, length: usize) -> Result<(), Fault> {
        let bytes = self.take(length)?;
        if length > 8 {
            // The magic number of old checkpoints has ten bytes; nothing that counts has.
            self.push(Value::Other);
            return Ok(());
        }
        let sign = if bytes.last().is_some_and(|last| last & 0x80 != 0) { 0xff } else { 0 };
        let mut full = [sign; 8];
        full[..length].copy_from_slice(bytes);
        self.push(Value::Integer(i64::from_le_bytes(full)));
        Ok(())
    }

    fn string(&mut self, digits: usize, is_bytes: bool) -> Result<(), Fault> {
        let length = usize::try_from(self.number(digits)?).unwrap_or(usize::MAX);
        let value = if is_bytes {
            self.take(length)?;
            Value::Other
        } else {
            Value::Text(self.text(length)?)
        };
        self.push(value);
        Ok(())
    }

    /// Adds to the list or dictionary on top of the stack.
    fn extend(&mut self, items: &[Id]) -> Result<(), Fault> {
        let top = self.top()?;
        match &mut self.values[top] {
            Value::Sequence(sequence) => sequence.extend_from_slice(items),
            Value::Dictionary(dictionary) => dictionary.extend(pairs(items)?),
            _ => return damaged("the pickle adds to what is neither list nor dictionary"),
        }
        Ok(())
    }

    fn global(&mut self, name: &str) -> Result<(), Fault> {
        let storage = name.strip_prefix("torch.").or_else(|| name.strip_prefix("torch.storage."));
        let is_storage =
            storage.is_some_and(|storage| STORAGES.contains(&storage.trim_start_matches("storage.")));
        if !is_storage && !ALLOWED.contains(&name) {
            return Err(Fault::Code(name.chars().take(100).collect()));
        }
        self.push(Value::Global(name.into()));
        Ok(())
    }

    /// `('storage', type, key, place, count)`, by which tensors point at their numbers.
    fn storage(&mut self) -> Result<(), Fault> {
        let id = self.pop()?;
        let Value::Sequence(parts) = &self.values[id] else {
            return damaged("a storage is described by no tuple");
        };
        let wrong = || Fault::Damaged("a storage is not described by its type, key, place and length".into());
        let part = |at: usize| parts.get(at).map(|&id| &self.values[id]).ok_or_else(wrong);
        let (Value::Global(kind), Value::Text(key), Value::Integer(count)) = (part(1)?, part(2)?, part(4)?)
        else {
            return Err(wrong());
        };
        // PyTorch numbers them. A long key that is recalled a million times would be copied as often.
        if key.len() > LONGEST_KEY {
            return damaged("the key of a storage is longer than 100 letters");
        }
        let kind = kind.rsplit('.').next().unwrap_or_default().to_string();
        let count = u64::try_from(*count).map_err(|_| wrong())?;
        let storage = Value::Storage(kind, key.clone(), count);
        self.push(storage);
        Ok(())
    }

    /// What a call would make, for the few that make a tensor or an empty dictionary.
    fn reduce(&mut self) -> Result<(), Fault> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let Value::Global(name) = &self.values[function] else {
            return damaged("the pickle calls what is no name");
        };
        let Value::Sequence(arguments) = &self.values[arguments] else {
            return damaged("the pickle calls with no tuple");
        };
        let argument = |at: usize| {
            arguments.get(at).copied().ok_or_else(|| Fault::Damaged(format!("{name} lacks an argument")))
        };
        let made = match name.rsplit('.').next().unwrap_or_default() {
            "_rebuild_tensor_v2" | "_rebuild_tensor" => Value::Tensor {
                storage: argument(0)?,
                offset: argument(1)?,
                sides: argument(2)?,
                strides: argument(3)?,
            },
            // The same value again, not a copy: copies of copies would outgrow any memory.
            "_rebuild_parameter" | "Size" => {
                let same = argument(0)?;
                self.stack.push(same);
                return Ok(());
            }
            "OrderedDict" => Value::Dictionary(Vec::new()),
            "set" => Value::Other,
            _ => return Err(Fault::Code(name.clone())),
        };
        self.push(made);
        Ok(())
    }
}

fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>, Fault> {
    if items.len() % 2 == 1 {
        return damaged("a dictionary of the pickle has a key without a value");
    }
    Ok(items.chunks(2).map(|pair| (pair[0], pair[1])).collect())
}
