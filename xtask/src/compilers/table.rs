//! What compilers say of shaders: rows, the record of them, and what may not get worse.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::{Outcome, root};

const HEADER: &str = "target,driver,shader,element,constants,registers,spills,occupancy,workgroup bytes,instructions,cycles,multiply-add share,chosen for";
/// Growth of registers and instructions that is no fault.
const SLACK: f64 = 1.05;

/// One shader on one target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    pub target: String,
    pub driver: String,
    pub shader: String,
    pub element: String,
    pub constants: String,
    /// Registers of a thread (of AMD: vector registers; of Adreno: full registers of four elements).
    pub registers: Option<f64>,
    /// Registers that are spilled; of Adreno, stores to private memory.
    pub spills: Option<f64>,
    /// Subgroups per SIMD (AMD), warps per multiprocessor (NVIDIA), threads (Apple), waves (Adreno).
    pub occupancy: Option<f64>,
    pub workgroup_bytes: Option<f64>,
    pub instructions: Option<f64>,
    /// The compiler's estimate, where it makes one.
    pub cycles: Option<f64>,
    /// Of the hottest loop's instructions.
    pub share: Option<f64>,
    /// Plans for which the engine chooses it.
    pub chosen: String,
    /// Why it does not compile.
    pub error: Option<String>,
}

impl Row {
    /// Reads a line of the program that compiles.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of(target: &str, driver: &str, line: &Value) -> Result<Self, String> {
        let text = |key: &str| line[key].as_str().map(str::to_owned).ok_or_else(|| format!("no {key} in {line}"));
        let names = line["chosen"].as_array().map_or(&[][..], Vec::as_slice);
        let said = &line["said"];
        let statistic = |names: &[&str]| names.iter().find_map(|name| said["statistics"][*name].as_f64());
        Ok(Self {
            target: target.to_owned(),
            driver: driver.to_owned(),
            shader: text("shader")?,
            element: text("element")?,
            constants: text("constants")?,
            registers: statistic(&REGISTERS),
            spills: statistic(&SPILLS),
            occupancy: statistic(&OCCUPANCY),
            workgroup_bytes: statistic(&WORKGROUP_BYTES),
            instructions: statistic(&INSTRUCTIONS),
            cycles: statistic(&CYCLES),
            share: said["share"].as_f64().map(|share| (share * 100.0).round() / 100.0),
            chosen: names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("; "),
            error: said["error"].as_str().map(str::to_owned),
        })
    }

    /// The shader with all that is baked into it.
    pub fn name(&self) -> String {
        let constants = if self.constants.is_empty() { String::new() } else { format!(" [{}]", self.constants) };
        format!("{} on {}, {}{constants}", self.shader, self.target, self.element)
    }

    fn is_chosen(&self) -> bool {
        !self.chosen.is_empty()
    }

    fn is_of(&self, other: &Self) -> bool {
        let key = |row: &Self| [&row.target, &row.shader, &row.element, &row.constants].map(Clone::clone);
        key(self) == key(other)
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        json!({
            "target": self.target, "driver": self.driver, "shader": self.shader, "element": self.element,
            "constants": self.constants, "registers": self.registers, "spills": self.spills, "occupancy": self.occupancy,
            "workgroup_bytes": self.workgroup_bytes, "instructions": self.instructions, "cycles": self.cycles,
            "multiply_add_share": self.share, "chosen_for": self.chosen, "error": self.error,
        })
    }

    fn numbers(&self) -> [Option<f64>; 7] {
        [self.registers, self.spills, self.occupancy, self.workgroup_bytes, self.instructions, self.cycles, self.share]
    }

    /// The columns from registers on, for people and the record.
    pub fn shown(&self) -> [String; 7] {
        self.numbers().map(|number| number.map_or_else(String::new, |number| number.to_string()))
    }

    fn line(&self) -> String {
        let first = [&self.target, &self.driver, &self.shader, &self.element, &self.constants].map(String::as_str);
        let numbers = self.shown();
        let all: Vec<&str> = first.into_iter().chain(numbers.iter().map(String::as_str)).chain([self.chosen.as_str()]).collect();
        all.join(",")
    }

    fn read(line: &str) -> Result<Self, String> {
        let parts: Vec<&str> = line.split(',').collect();
        let &[target, driver, shader, element, constants, .., chosen] = parts.as_slice() else {
            return Err(format!("too few columns in {line:?}"));
        };
        let numbers: Vec<Option<f64>> = parts[5..parts.len() - 1].iter().map(|part| part.parse().ok()).collect();
        let &[registers, spills, occupancy, workgroup_bytes, instructions, cycles, share] = numbers.as_slice() else {
            return Err(format!("{} numbers in {line:?}", numbers.len()));
        };
        let [target, driver, shader, element, constants, chosen] =
            [target, driver, shader, element, constants, chosen].map(str::to_owned);
        Ok(Self {
            target,
            driver,
            shader,
            element,
            constants,
            registers,
            spills,
            occupancy,
            workgroup_bytes,
            instructions,
            cycles,
            share,
            chosen,
            error: None,
        })
    }
}

// The drivers' names of statistics: AMD's, NVIDIA's, Apple's and Adreno's, as far as they differ.
const REGISTERS: [&str; 4] = ["VGPRs", "Number of GPRs", "GPRs", "Registers used"];
/// Adreno's compiler counts stores to private memory.
const SPILLS: [&str; 4] = ["Spilled VGPRs", "Spills to memory", "Spills", "STP Count"];
const OCCUPANCY: [&str; 4] = ["Subgroups per SIMD", "Max warps/SM", "Threads", "Max Waves Per Core"];
const WORKGROUP_BYTES: [&str; 1] = ["LDS size"];
const INSTRUCTIONS: [&str; 3] = ["Instructions", "Instruction count", "Instruction Count"];
const CYCLES: [&str; 2] = ["Latency", "Static cycle count"];

/// The record of the repository.
fn path() -> PathBuf {
    root().join("benches/record/compilers.csv")
}

/// The recorded rows; none if there is no record.
///
/// # Errors
/// A line that is no row.
pub fn recorded() -> Result<Vec<Row>, String> {
    let text = std::fs::read_to_string(path()).unwrap_or_default();
    text.lines().skip(1).map(Row::read).collect()
}

/// Writes the record anew.
///
/// # Errors
/// What keeps the file from being written.
pub fn record(rows: &[Row]) -> Outcome {
    let lines: Vec<String> = std::iter::once(HEADER.to_owned()).chain(rows.iter().map(Row::line)).collect();
    std::fs::write(path(), lines.join("\n") + "\n").map_err(|error| format!("{}: {error}", path().display()))
}

/// What is wrong with rows: a shader that does not compile, one that an engine chooses and that spills more than is recorded (nothing, with one
/// exception), or one that has got worse than recorded.
pub fn faults(rows: &[Row], recorded: &[Row]) -> Vec<String> {
    rows.iter().filter_map(|row| fault(row, recorded.iter().find(|old| old.is_of(row)))).collect()
}

fn fault(row: &Row, old: Option<&Row>) -> Option<String> {
    if let Some(error) = &row.error {
        return Some(format!("{} does not compile: {error}", row.name()));
    }
    if row.registers.is_none() || row.instructions.is_none() {
        return Some(format!("{}: the compiler counts no registers or no instructions", row.name()));
    }
    if !row.is_chosen() {
        return None;
    }
    let known = old.and_then(|old| old.spills).unwrap_or(0.0);
    if let Some(spills) = row.spills.filter(|spills| *spills > known) {
        return Some(format!("{} spills {spills}, and is chosen for {}; recorded are {known}", row.name(), row.chosen));
    }
    // Another release of the compiler says nothing about the shader.
    let old = old.filter(|old| old.driver == row.driver)?;
    let pairs = [("registers", row.registers, old.registers), ("instructions", row.instructions, old.instructions)];
    pairs.into_iter().find_map(|(what, new, old)| {
        let (new, old) = (new?, old?);
        (new > old * SLACK).then(|| format!("{} takes {new} {what}, recorded are {old}", row.name()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(registers: f64, instructions: f64, spills: f64) -> Row {
        let names = ["m1", "Mesa 26", "attend_tiles", "f32", "1 2 2", "trajectory 64"].map(str::to_owned);
        let [target, driver, shader, element, constants, chosen] = names;
        let (registers, instructions, spills) = (Some(registers), Some(instructions), Some(spills));
        Row { target, driver, shader, element, constants, chosen, registers, instructions, spills, ..Row::default() }
    }

    #[test]
    fn rows_are_read_as_they_are_written() {
        let row = Row { share: Some(0.91), cycles: None, ..row(64.0, 100.0, 0.0) };
        assert_eq!(Row::read(&row.line()), Ok(row));
        assert!(Row::read("m1,Mesa").is_err());
    }

    #[test]
    fn what_gets_worse_is_a_fault() {
        let old = [row(64.0, 100.0, 0.0)];
        assert_eq!(faults(&[row(66.0, 105.0, 0.0)], &old), Vec::<String>::new());
        for worse in [row(68.0, 100.0, 0.0), row(64.0, 106.0, 0.0), row(64.0, 100.0, 1.0)] {
            assert_eq!(faults(&[worse], &old).len(), 1);
        }
        let another = Row { driver: "Mesa 27".to_owned(), ..row(80.0, 200.0, 0.0) };
        assert!(faults(&[another], &old).is_empty());
        let unchosen = Row { chosen: String::new(), ..row(80.0, 200.0, 5.0) };
        assert!(faults(&[unchosen], &old).is_empty());
        let broken = Row { error: Some("no".to_owned()), ..row(64.0, 100.0, 0.0) };
        assert!(faults(&[broken], &old)[0].contains("does not compile"));
        assert_eq!(faults(&[Row { registers: None, ..row(0.0, 1.0, 0.0) }], &[]).len(), 1);
    }
}
