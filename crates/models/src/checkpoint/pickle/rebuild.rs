//! The few things that a checkpoint's pickle may call, and what they make.

use super::super::archive::{Sound, short};
use super::super::element::ElementType;
use super::value::{Callable, Id, PickledTensor, Storage, Value};
use super::{Machine, Values};

impl<'p> Machine<'p> {
    /// Opcodes that name classes and functions, or call them.
    pub(super) fn object(&mut self, opcode: u8) -> Sound<bool> {
        match opcode {
            b'c' => {
                let (module, name) = (self.input.line()?, self.input.line()?);
                self.push(global(module, name)?)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Text(module), Value::Text(name)) = (self.values.get(module), self.values.get(name)) else {
                    return Err("its pickle is damaged: it asks for something whose name is no text".to_owned());
                };
                let value = global(module, name)?;
                self.push(value)?;
            }
            b'R' => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                let made = self.call(callable, arguments)?;
                self.stack.push(made);
            }
            b'b' => {
                let (state, target) = (self.pop()?, self.top()?);
                // Attributes of a dictionary, such as the versions of modules that `state_dict` keeps, say nothing about tensors.
                if !matches!((self.values.get(target), self.values.get(state)), (Value::Dict(_), Value::Dict(_))) {
                    return Err(self.misplaced("set attributes of", target));
                }
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = storage(&self.values, id)?;
                self.push(Value::Storage(storage))?;
            }
            b'i' => {
                let (module, name) = (self.input.line()?, self.input.line()?);
                return Err(refusal(module, name));
            }
            b'o' | 0x81 | 0x92 => {
                return Err("its pickle makes an object of a class; only tensors and containers are read".to_owned());
            }
            0x82..=0x84 => {
                return Err("its pickle asks for a registered extension; only tensors and containers are read".to_owned());
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn call(&mut self, callable: Id, arguments: Id) -> Sound<Id> {
        let Value::Callable(callable) = *self.values.get(callable) else { return Err(self.misplaced("call", callable)) };
        let Value::Tuple(arguments) = self.values.get(arguments) else {
            return Err(self.misplaced("call something with", arguments));
        };
        match (callable, &arguments[..]) {
            (Callable::OrderedDict, []) => self.values.add(Value::Dict(Vec::new())),
            (Callable::RebuildTensor, [storage, offset, shape, strides, _, _] | [storage, offset, shape, strides, _, _, _]) => {
                let tensor = tensor(&self.values, [*storage, *offset, *shape, *strides])?;
                self.values.add(Value::Tensor(tensor))
            }
            (Callable::RebuildParameter, [tensor, _, _]) if matches!(self.values.get(*tensor), Value::Tensor(_)) => Ok(*tensor),
            (Callable::Size, [sizes]) if matches!(self.values.get(*sizes), Value::Tuple(_)) => Ok(*sizes),
            (callable, arguments) => {
                let kinds: Vec<&str> = arguments.iter().take(8).map(|id| self.values.get(*id).kind()).collect();
                let (count, kinds) = (arguments.len(), kinds.join(", "));
                Err(format!("its pickle is damaged: it calls {callable:?} with {count} arguments it does not take ({kinds})"))
            }
        }
    }
}

/// What a pickle may ask for by name.
fn global<'p>(module: &str, name: &str) -> Sound<Value<'p>> {
    Ok(match (module, name) {
        ("collections", "OrderedDict") => Value::Callable(Callable::OrderedDict),
        ("torch._utils", "_rebuild_tensor_v2") => Value::Callable(Callable::RebuildTensor),
        ("torch._utils", "_rebuild_parameter") => Value::Callable(Callable::RebuildParameter),
        ("torch", "Size") => Value::Callable(Callable::Size),
        ("torch", class) => Value::StorageType(ElementType::of_storage(class).ok_or_else(|| refusal(module, name))?),
        _ => return Err(refusal(module, name)),
    })
}

fn refusal(module: &str, name: &str) -> String {
    let asked = format!("{}.{}", short(module), short(name));
    format!("its pickle asks for {asked:?}; only tensors and containers are read")
}

/// The storage that a persistent id `("storage", type, key, location, count)` stands for.
fn storage<'p>(values: &Values<'p>, id: Id) -> Sound<Storage<'p>> {
    let parts = match values.get(id) {
        Value::Tuple(parts) => &parts[..],
        _ => &[],
    };
    if let [word, element, key, _, count] = parts
        && let (Value::Text("storage"), Value::StorageType(element)) = (values.get(*word), values.get(*element))
        && let (Value::Text(key), Value::Int(count)) = (values.get(*key), values.get(*count))
        && let Ok(count) = usize::try_from(*count)
    {
        return Ok(Storage { element: *element, key, count });
    }
    let kinds: Vec<&str> = parts.iter().take(8).map(|id| values.get(*id).kind()).collect();
    Err(format!("its pickle refers to something that is no storage ({})", kinds.join(", ")))
}

fn tensor(values: &Values<'_>, [storage, offset, shape, strides]: [Id; 4]) -> Sound<PickledTensor> {
    if !matches!(values.get(storage), Value::Storage(_)) {
        return Err(format!("its pickle has a tensor of which the storage is {}", values.get(storage).kind()));
    }
    let (sizes, steps) = (values.sizes("shape", shape)?, values.sizes("strides", strides)?);
    if sizes.len() != steps.len() {
        return Err(format!("its pickle has a tensor of shape {sizes:?} with strides {steps:?}"));
    }
    Ok(PickledTensor { storage, offset: values.size("offset", offset)?, shape, strides })
}
