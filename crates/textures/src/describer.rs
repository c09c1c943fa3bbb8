//! Scaled frames to the descriptors of their patches, and to the patches.

use orthoformer::wgpu::{Buffer, BufferSlice, CommandEncoder};
use orthoformer::{Engine, Error, Result};
use orthoformer_video::patches::{CELLS, Grid};

use crate::program::{Bound, Program, Resource, folded, storage, workgroups};
use crate::scaler::Scaler;

/// Describes patches as [`Grid::describe`] does, and cuts them as [`Grid::cut`] does, into rings of moments.
pub struct Describer {
    grid: Grid,
    moments: usize,
    cells: Program,
    mean: Program,
    describe: Program,
    cut: Program,
    /// `[halves, rows + 3, columns + 3, 4]`.
    cell_colours: Buffer,
    /// Red, green and blue, and nothing.
    mean_colour: Buffer,
}

impl std::fmt::Debug for Describer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Describer").field("grid", &self.grid).field("moments", &self.moments).finish_non_exhaustive()
    }
}

/// `Grid` of shaders/grid.wgsl.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(crate) struct GridParams {
    sizes: [u32; 6],
    left: i32,
    top: i32,
}

impl From<&Grid> for GridParams {
    fn from(grid: &Grid) -> Self {
        let Grid { width, height, side, depth, columns, rows, left, top, .. } = *grid;
        Self { sizes: [width, height, side, depth, columns, rows], left, top }
    }
}

/// `Params` of shaders/cells.wgsl (numbers: halves, frames of a half), describe.wgsl (halves, offset) and cut.wgsl (offset).
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct PatchParams {
    grid: GridParams,
    numbers: [u32; 4],
}

const INVOCATIONS: &str = include_str!("../shaders/invocations.wgsl");
pub(crate) const GRID: &str = include_str!("../shaders/grid.wgsl");

impl Describer {
    /// A describer of frames that are scaled for this grid, for rings of so many moments.
    ///
    /// # Errors
    /// [`Error::ZeroSize`] for no moments, [`Error::SizeOverflow`] for rings of more than 2^32 elements; what the device reports.
    pub fn new(engine: &Engine, grid: &Grid, moments: usize) -> Result<Self> {
        if moments == 0 {
            return Err(Error::ZeroSize { what: "moments" });
        }
        let [keys, values] = [grid.descriptor_size(), grid.patch_numbers()].map(|size| grid.patches() as u64 * size as u64);
        let halves = grid.depth.min(2);
        let params = |numbers| PatchParams { grid: grid.into(), numbers };
        let offset = |size: u64, moment: usize| {
            let whole = u32::try_from(size * (moment as u64 + 1));
            let (what, factors) = ("ring of patches".to_owned(), vec![size, moments as u64]);
            whole.map(|_| (size * moment as u64) as u32).map_err(|_| Error::SizeOverflow { what, factors, bits: 32 })
        };
        let describing =
            (0..moments).map(|moment| Ok(params([halves, offset(keys, moment)?, 0, 0]))).collect::<Result<Vec<_>>>()?;
        // Rings of values are seldom needed: what has no offset has no slot.
        let cutting: Vec<_> = (0..moments).map_while(|moment| Some(params([offset(values, moment).ok()?, 0, 0, 0]))).collect();
        let pixels = grid.width * grid.height * grid.depth;
        let half_frames = grid.depth.div_ceil(halves.max(1));
        let (read, written) = (Bound::Read, Bound::Written);
        let cells = include_str!("../shaders/cells.wgsl");
        let describe = [INVOCATIONS, GRID, include_str!("../shaders/describe.wgsl")];
        let two = [(1, read), (2, written)];
        Ok(Self {
            grid: *grid,
            moments,
            cells: Program::new(engine, "mean colours of cells", &[GRID, cells], &two, &[params([halves, half_frames, 0, 0])])?,
            mean: Program::new(engine, "mean colour", &[GRID, include_str!("../shaders/mean.wgsl")], &two, &[[pixels, 0, 0, 0]])?,
            describe: Program::new(engine, "descriptors", &describe, &[(1, read), (2, read), (3, written)], &describing)?,
            cut: Program::new(engine, "patches", &[INVOCATIONS, GRID, include_str!("../shaders/cut.wgsl")], &two, &cutting)?,
            cell_colours: storage(engine, "colours of cells", 4 * u64::from(halves * cells_of(grid)))?,
            mean_colour: storage(engine, "mean colour", 4)?,
        })
    }

    /// Sets the mean colour that descriptors are less of, red, green and blue, 0 to 1; it counts from the next submission on.
    pub fn set_mean(&self, engine: &Engine, [red, green, blue]: [f32; 3]) {
        engine.queue().write_buffer(&self.mean_colour, 0, bytemuck::cast_slice(&[red, green, blue, 0.0]));
    }

    /// Records the mean colour of the scaled frames as what descriptors are less of from now on. Descriptors with different means are not comparable.
    ///
    /// # Errors
    /// [`Error::Argument`] for frames of another grid; what the device reports.
    pub fn record_mean(&self, engine: &Engine, encoder: &mut CommandEncoder, scaler: &Scaler) -> Result<()> {
        self.check(scaler)?;
        let resources = [scaler.frames(), &self.mean_colour].map(Resource::from);
        self.mean.record(engine, encoder, 0, &resources, [1, 1])
    }

    /// Records the descriptors of the scaled frames' patches, `[S, descriptor size]`, into a moment of the ring `keys [moments, S, descriptor size]`.
    ///
    /// # Errors
    /// [`Error::Argument`] for frames of another grid, [`Error::OutOfRange`] for the moment, [`Error::HostBinding`] for a ring that is too small; what
    /// the device reports.
    pub fn record(
        &self,
        engine: &Engine,
        encoder: &mut CommandEncoder,
        scaler: &Scaler,
        keys: BufferSlice<'_>,
        moment: usize,
    ) -> Result<()> {
        self.check(scaler)?;
        check_ring("keys", keys, self.grid.patches() * self.grid.descriptor_size(), self.moments)?;
        let resources = [(&self.cell_colours).into(), (&self.mean_colour).into(), keys.into()];
        self.describe.bindings.group(engine, moment, &resources)?;
        let frames = [scaler.frames(), &self.cell_colours].map(Resource::from);
        self.cells.record(engine, encoder, 0, &frames, folded(engine, self.grid.depth.min(2) * cells_of(&self.grid)))?;
        self.describe.record(engine, encoder, moment, &resources, folded(engine, workgroups(self.grid.patches() as u32)))
    }

    /// Records the scaled frames' patches `[S, depth, side, side, 3]`, each number 0 to 1, into a moment of the ring `values`.
    ///
    /// # Errors
    /// Those of [`Describer::record`].
    pub fn record_patches(
        &self,
        engine: &Engine,
        encoder: &mut CommandEncoder,
        scaler: &Scaler,
        values: BufferSlice<'_>,
        moment: usize,
    ) -> Result<()> {
        self.check(scaler)?;
        let elements = self.grid.patches() * self.grid.patch_numbers();
        check_ring("values", values, elements, self.moments)?;
        let resources = [scaler.frames().into(), values.into()];
        self.cut.record(engine, encoder, moment, &resources, folded(engine, workgroups(elements as u32 / 3)))
    }

    fn check(&self, scaler: &Scaler) -> Result<()> {
        let sizes = |grid: &Grid| [grid.width, grid.height, grid.depth];
        let (given, expected) = (sizes(scaler.grid()), sizes(&self.grid));
        if given == expected {
            return Ok(());
        }
        let [width, height, depth] = expected;
        let expected = format!("{width} x {height} pixels, {depth} a patch, as the grid has them");
        Err(Error::Argument { what: "scaled frames", given: format!("{given:?}"), expected })
    }
}

/// Cells in all of a half's frames.
fn cells_of(grid: &Grid) -> u32 {
    (grid.columns + CELLS - 1) * (grid.rows + CELLS - 1)
}

fn check_ring(name: &str, ring: BufferSlice<'_>, elements: usize, moments: usize) -> Result<()> {
    let bytes = (elements * moments * size_of::<f32>()) as u64;
    if ring.size() >= bytes {
        return Ok(());
    }
    let (found, expected) = (format!("{} bytes", ring.size()), format!("at least {bytes}"));
    Err(Error::HostBinding { buffer: name.to_owned(), found, expected })
}
