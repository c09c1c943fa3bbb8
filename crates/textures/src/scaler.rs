//! Pictures to the frames that patches are cut from.

use orthoformer::wgpu::{Buffer, CommandEncoder};
use orthoformer::{Engine, Result};
use orthoformer_video::patches::Grid;

use crate::picture::{Kind, Picture, SourceParams};
use crate::program::{Bound, Program, Resource, pixels, storage, table};

/// Scales pictures as [`Grid::scale`] does, into the frames of one moment of patches.
pub struct Scaler {
    grid: Grid,
    kind: Kind,
    rows: Program,
    columns: Program,
    row_taps: Buffer,
    column_taps: Buffer,
    /// `[scaled height, width, 4]`.
    between: Buffer,
    /// `[depth, height, width]`, a pixel a word.
    scaled: Buffer,
}

impl std::fmt::Debug for Scaler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scaler").field("grid", &self.grid).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// `Params` of shaders/scale_rows.wgsl.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct RowsParams {
    source: SourceParams,
    width: u32,
    height: u32,
    stride: u32,
    padding: u32,
}

/// `Params` of shaders/scale_columns.wgsl.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct ColumnsParams {
    source_width: u32,
    width: u32,
    stride: u32,
    offset: u32,
}

const INVOCATIONS: &str = include_str!("../shaders/invocations.wgsl");

impl Scaler {
    /// A scaler of pictures like this one: of its kind, and of the size of the grid's source.
    ///
    /// # Errors
    /// [`orthoformer::Error::Argument`] for a picture that shaders cannot load, or of another size; what the device reports.
    pub fn new(engine: &Engine, picture: &Picture, grid: &Grid) -> Result<Self> {
        let kind = picture.kind();
        picture.check(kind, (grid.source_width, grid.source_height))?;
        let (source_width, [width, height]) = (grid.source_width, [grid.width, grid.height]);
        let ((row_stride, row_taps), (stride, column_taps)) = (taps(grid.source_height, height), taps(source_width, width));
        let [shared, own] = kind.shaders();
        let textures = (1..=kind.textures()).map(|number| (number, Bound::Texture));
        let rows = Program::new(
            engine,
            "scale rows",
            &[INVOCATIONS, shared, own, include_str!("../shaders/scale_rows.wgsl")],
            &textures.chain([(3, Bound::Read), (4, Bound::Written)]).collect::<Vec<_>>(),
            &[RowsParams { source: kind.params(), width: source_width, height, stride: row_stride, padding: 0 }],
        )?;
        let params = |frame| ColumnsParams { source_width, width, stride, offset: frame * width * height };
        let columns = Program::new(
            engine,
            "scale columns",
            &[INVOCATIONS, include_str!("../shaders/scale_columns.wgsl")],
            &[(1, Bound::Read), (2, Bound::Read), (3, Bound::Written)],
            &(0..grid.depth).map(params).collect::<Vec<_>>(),
        )?;
        let between = u64::from(source_width) * u64::from(height) * 4;
        let scaled = u64::from(width) * u64::from(height) * u64::from(grid.depth);
        Ok(Self {
            grid: *grid,
            kind,
            rows,
            columns,
            row_taps: table(engine, "taps of rows", &row_taps)?,
            column_taps: table(engine, "taps of columns", &column_taps)?,
            between: storage(engine, "scaled rows", between)?,
            scaled: storage(engine, "scaled frames", scaled)?,
        })
    }

    /// Records the scaling of a picture into a frame of the moment, below the grid's depth.
    ///
    /// # Errors
    /// [`orthoformer::Error::Argument`] for a picture of another kind or size, [`orthoformer::Error::OutOfRange`] for the frame; what the device
    /// reports. Then nothing is recorded.
    pub fn record(&self, engine: &Engine, encoder: &mut CommandEncoder, picture: &Picture, frame: usize) -> Result<()> {
        let Grid { source_width, source_height, width, height, .. } = self.grid;
        picture.check(self.kind, (source_width, source_height))?;
        let columns = [&self.column_taps, &self.between, &self.scaled].map(Resource::from);
        // Ahead of recording anything: its slot may be out of range.
        self.columns.bindings.group(engine, frame, &columns)?;
        let tables = [&self.row_taps, &self.between].map(Resource::from);
        let rows = [picture.resources(), tables.into()].concat();
        self.rows.record(engine, encoder, 0, &rows, pixels(source_width, height))?;
        self.columns.record(engine, encoder, frame, &columns, pixels(width, height))
    }

    /// The frames `[depth, height, width]`: a pixel a word, red in the lowest byte, then green and blue.
    pub fn frames(&self) -> &Buffer {
        &self.scaled
    }

    /// What the frames are cut into.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }
}

/// Rows of `taps` for scaling `from` pixels to `to`, and the words of a row: a triangle filter, as wide as a scaled pixel where pictures get smaller.
/// Positions and weights are float32, as those of the crate `image` are.
fn taps(from: u32, to: u32) -> (u32, Vec<u32>) {
    let ratio = from as f32 / to as f32;
    let spread = ratio.max(1.0);
    let of_pixel = |pixel: u32| {
        let centre = (pixel as f32 + 0.5) * ratio;
        let first = ((centre - spread).floor().max(0.0) as u32).min(from - 1);
        let last = ((centre + spread).ceil() as u32).clamp(first + 1, from);
        let weight = |at: u32| (1.0 - ((at as f32 - (centre - 0.5)) / spread).abs()).max(0.0);
        let weights: Vec<f32> = (first..last).map(weight).collect();
        let sum: f32 = weights.iter().sum();
        (first, weights.into_iter().map(|weight| weight / sum).collect::<Vec<f32>>())
    };
    let rows: Vec<_> = (0..to).map(of_pixel).collect();
    let stride = 2 + rows.iter().map(|(_, weights)| weights.len()).max().unwrap_or(0);
    let row = |(first, weights): (u32, Vec<f32>)| {
        let words = [first, weights.len() as u32].into_iter().chain(weights.into_iter().map(f32::to_bits));
        words.chain(std::iter::repeat(0)).take(stride).collect::<Vec<u32>>()
    };
    (stride as u32, rows.into_iter().flat_map(row).collect())
}
