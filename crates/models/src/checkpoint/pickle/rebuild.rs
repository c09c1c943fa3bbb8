//! The few things that a checkpoint's pickle calls and that mean something here, and what they make.

use super::super::archive::Sound;
use super::super::element::ElementType;
use super::value::{Callable, Global, Id, PickledTensor, Storage, Value};
use super::{Machine, Values};

/// Longest name of a function or class with its module, bytes.
const MOST_NAME: usize = 512;

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
            b'R' | 0x81 => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                let made = self.call(callable, arguments)?;
                self.stack.push(made);
            }
            // With named arguments, which only objects take.
            0x92 => {
                let (_, arguments, class) = (self.pop()?, self.pop()?, self.pop()?);
                let made = self.call(class, arguments)?;
                self.stack.push(made);
            }
            b'o' => {
                let items = self.pop_to_mark()?;
                let (class, arguments) = items.split_first().ok_or("its pickle is damaged: it makes an object of no class")?;
                let arguments = self.values.add(Value::Tuple(arguments.to_vec()))?;
                let made = self.call(*class, arguments)?;
                self.stack.push(made);
            }
            b'i' => {
                let (module, name) = (self.input.line()?, self.input.line()?);
                let class = self.values.add(global(module, name)?)?;
                let arguments = self.pop_to_mark()?;
                let arguments = self.values.add(Value::Tuple(arguments))?;
                let made = self.call(class, arguments)?;
                self.stack.push(made);
            }
            b'b' => self.set_attributes()?,
            b'Q' => {
                let id = self.pop()?;
                let storage = storage(&self.values, id)?;
                self.add_made(storage)?;
            }
            0x82..=0x84 => {
                return Err("its pickle asks for a registered extension; only tensors and containers are read".to_owned());
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Passes over attributes: those of a dictionary, such as the versions of modules that `state_dict` keeps, and those of a parameter say nothing about tensors.
    fn set_attributes(&mut self) -> Sound<()> {
        let (state, target) = (self.pop()?, self.top()?);
        match (self.values.get(target), self.values.get(state)) {
            (Value::Dict(_), Value::Dict(_)) | (Value::Object(_) | Value::Tensor(_), _) => Ok(()),
            _ => Err(self.misplaced("set attributes of", target)),
        }
    }

    /// Pushes something that may be an object.
    fn add_made(&mut self, value: Value<'p>) -> Sound<()> {
        if let Value::Object(maker) = value {
            self.makers.insert(maker);
        }
        self.push(value)
    }

    /// What comes of a call. Nothing is called: what is known is put together here, all else is an object.
    fn call(&mut self, callable: Id, arguments: Id) -> Sound<Id> {
        let callable = match *self.values.get(callable) {
            Value::Callable(callable) => callable,
            Value::Global(maker) => {
                self.makers.insert(maker);
                return self.values.add(Value::Object(maker));
            }
            // Something about an object, such as a method of it.
            Value::Object(_) => return Ok(callable),
            _ => return Err(self.misplaced("call", callable)),
        };
        let Value::Tuple(arguments) = self.values.get(arguments) else {
            return Err(self.misplaced("call something with", arguments));
        };
        let is = |id: &Id, kind: fn(&Value<'p>) -> bool| kind(self.values.get(*id));
        match (callable, &arguments[..]) {
            (Callable::OrderedDict | Callable::Counter, []) | (Callable::DefaultDict, [] | [_]) => {
                self.values.add(Value::Dict(Vec::new()))
            }
            // The dictionary itself will do, as nobody else fills it.
            (Callable::Counter, [dict]) | (Callable::DefaultDict, [_, dict])
                if is(dict, |value| matches!(value, Value::Dict(_))) =>
            {
                Ok(*dict)
            }
            (Callable::RebuildTensor, [storage, _, _, _, ..]) if is(storage, |value| matches!(value, Value::Object(_))) => {
                Ok(*storage)
            }
            (Callable::RebuildTensor, [storage, offset, shape, strides] | [storage, offset, shape, strides, _, _])
            | (Callable::RebuildTensor, [storage, offset, shape, strides, _, _, _]) => {
                let tensor = tensor(&self.values, [*storage, *offset, *shape, *strides])?;
                self.values.add(Value::Tensor(tensor))
            }
            (Callable::RebuildParameter, [tensor, _, _] | [tensor, _, _, _])
                if is(tensor, |value| matches!(value, Value::Tensor(_) | Value::Object(_))) =>
            {
                Ok(*tensor)
            }
            // One of those above, and never this again.
            (Callable::RebuildFromType, [function, _, arguments, _])
                if is(function, |value| !matches!(value, Value::Callable(Callable::RebuildFromType))) =>
            {
                let (function, arguments) = (*function, *arguments);
                self.call(function, arguments)
            }
            (Callable::Size, [sizes]) if is(sizes, |value| matches!(value, Value::Tuple(_))) => Ok(*sizes),
            (callable, arguments) => {
                let kinds: Vec<&str> = arguments.iter().take(8).map(|id| self.values.get(*id).kind()).collect();
                let (count, kinds) = (arguments.len(), kinds.join(", "));
                Err(format!("its pickle is damaged: it calls {callable:?} with {count} arguments it does not take ({kinds})"))
            }
        }
    }
}

/// What a pickle asks for by name.
fn global<'p>(module: &'p str, name: &'p str) -> Sound<Value<'p>> {
    let global = Global { module, name };
    if module.len().saturating_add(name.len()) > MOST_NAME {
        return Err(format!("its pickle asks for {:?}, a name longer than {MOST_NAME} bytes", global.to_string()));
    }
    Ok(match (module, name) {
        ("collections", "OrderedDict") => Value::Callable(Callable::OrderedDict),
        ("collections", "defaultdict") => Value::Callable(Callable::DefaultDict),
        ("collections", "Counter") => Value::Callable(Callable::Counter),
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Value::Callable(Callable::RebuildTensor),
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Value::Callable(Callable::RebuildParameter),
        ("torch._tensor", "_rebuild_from_type_v2") => Value::Callable(Callable::RebuildFromType),
        ("torch", "Size") => Value::Callable(Callable::Size),
        _ if is_attack(global) => {
            return Err(format!(
                "its pickle asks for {:?}, which no checkpoint needs: do not load it anywhere",
                global.to_string()
            ));
        }
        ("torch", class) => ElementType::of_storage(class).map_or(Value::Global(global), Value::StorageType),
        _ => Value::Global(global),
    })
}

/// Whether whoever unpickles this is attacked. It would do no harm here, but that should be known.
fn is_attack(Global { module, name }: Global<'_>) -> bool {
    const MODULES: [&str; 15] = [
        "os",
        "posix",
        "nt",
        "subprocess",
        "sys",
        "pty",
        "socket",
        "shutil",
        "runpy",
        "importlib",
        "ctypes",
        "webbrowser",
        "pdb",
        "bdb",
        "timeit",
    ];
    let root = module.split('.').next().unwrap_or_default();
    let is_builtin = matches!(module, "builtins" | "__builtin__" | "__builtins__");
    MODULES.contains(&root)
        || is_builtin && matches!(name, "eval" | "exec" | "execfile" | "compile" | "open" | "input" | "__import__" | "breakpoint")
        || matches!((module, name), ("torch" | "torch.serialization" | "torch.jit", "load") | ("numpy", "load"))
        || module == "torch.hub"
}

/// The storage that a persistent id `("storage", type, key, location, count)` stands for; an object if its type is none that can be read.
fn storage<'p>(values: &Values<'p>, id: Id) -> Sound<Value<'p>> {
    let parts = match values.get(id) {
        Value::Tuple(parts) => &parts[..],
        _ => &[],
    };
    if let [word, class, ..] = parts
        && let (Value::Text("storage"), Value::Global(class)) = (values.get(*word), values.get(*class))
    {
        return Ok(Value::Object(*class));
    }
    if let [word, element, key, _, count] = parts
        && let (Value::Text("storage"), Value::StorageType(element)) = (values.get(*word), values.get(*element))
        && let (Value::Text(key), Value::Int(count)) = (values.get(*key), values.get(*count))
        && let Ok(count) = usize::try_from(*count)
    {
        return Ok(Value::Storage(Storage { element: *element, key, count }));
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
