//! Capabilities of a device beyond the minimum that variants depend on.

/// What a device was opened with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether the CPU runs the shaders: memory is near, but each load runs invocation by invocation.
    pub cpu: bool,
    /// Invocations of a subgroup, if shaders may use subgroup operations and the size is always the same.
    pub subgroup: Option<u32>,
    /// Whether elements may be stored as float16.
    pub f16: bool,
    /// Side of the largest float16 matrices that the device's matrix units multiply with sums in float32, if it was opened with those.
    pub matrix_side: Option<u32>,
    /// Workgroup memory, in bytes.
    pub workgroup_bytes: u32,
    /// Most invocations of one workgroup.
    pub invocations: u32,
    /// Registers of 32 bits that an invocation may use before its compiler keeps values in memory: known by vendor, a guess elsewhere.
    pub registers: u32,
    /// Most iterations of all loops of an invocation, on drivers that end loops after that many.
    pub loop_iterations: Option<u32>,
}

impl Capabilities {
    /// Returns the size of a subgroup, if it is at least `least`.
    ///
    /// # Errors
    /// Why there are no such subgroups, for people.
    pub fn subgroup_of(&self, least: u32) -> Result<u32, String> {
        match self.subgroup {
            None => Err("needs subgroups of one known size".to_owned()),
            Some(size) if size < least => Err(format!("needs subgroups of at least {least}, the adapter's have {size}")),
            Some(size) if size > self.invocations => {
                Err(format!("a workgroup holds {} invocations, a subgroup {size}", self.invocations))
            }
            Some(size) => Ok(size),
        }
    }

    /// Returns the size of a subgroup and the side of the matrices that it multiplies, if workgroups may have so many subgroups.
    ///
    /// # Errors
    /// Why matrix units cannot be used, for people.
    pub fn matrices(&self, subgroups: u32) -> Result<(u32, u32), String> {
        let side = self
            .matrix_side
            .ok_or("needs matrix units for f16 with sums in f32, subgroups of one known size, and a device opened with both")?;
        let lanes = self.subgroup_of(8)?;
        self.workgroup_size(subgroups.saturating_mul(lanes))?;
        // Each invocation brings whole vectors of a tile's lines.
        match lanes <= 8 * side && (8 * side) % lanes == 0 {
            true => Ok((lanes, side)),
            false => Err(format!("needs subgroups whose size divides {}, the adapter's have {lanes}", 8 * side)),
        }
    }

    /// Checks that a workgroup may have so many invocations.
    ///
    /// # Errors
    /// The adapter's limit, for people.
    pub fn workgroup_size(&self, invocations: u32) -> Result<(), String> {
        match invocations <= self.invocations {
            true => Ok(()),
            false => Err(format!("needs workgroups of {invocations} invocations, the adapter's have up to {}", self.invocations)),
        }
    }

    /// Checks that there are `bytes` of workgroup memory.
    ///
    /// # Errors
    /// The adapter's limit, for people.
    pub fn workgroup_memory(&self, bytes: u32) -> Result<(), String> {
        match bytes <= self.workgroup_bytes {
            true => Ok(()),
            false => Err(format!("needs {bytes} bytes of workgroup memory, the adapter has {}", self.workgroup_bytes)),
        }
    }
}
