//! Pictures to the input of a network.

use orthoformer::wgpu::{Buffer, BufferSlice, CommandEncoder};
use orthoformer::{Engine, Error, Result};
use orthoformer_video::views::crops::{Neighbours, neighbours};
use orthoformer_video::views::{Crop, CropGeometry, Filter, Framing, Normalisation, crop_geometry};

use crate::picture::{Kind, Picture, SourceParams};
use crate::program::{Bound, Program, pixels, table};

/// Scales, cuts and normalises pictures as [`Normalisation::crop`] does, into frames of a clip `[3, frames, size, size]` of float32.
pub struct SquareInput {
    kind: Kind,
    source: (u32, u32),
    size: u32,
    frames: usize,
    program: Program,
    neighbours: Buffer,
    table: Buffer,
}

impl std::fmt::Debug for SquareInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SquareInput").field("size", &self.size).field("frames", &self.frames).finish_non_exhaustive()
    }
}

/// `Params` of shaders/square.wgsl.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct SquareParams {
    source: SourceParams,
    size: u32,
    offset: u32,
    stride: u32,
    is_reversed: u32,
}

impl SquareInput {
    /// For pictures like this one, and clips of so many frames.
    ///
    /// # Errors
    /// [`Error::Argument`] for a picture that shaders cannot load and for another filter than [`Filter::Interpolated`], [`Error::ZeroSize`] for no frames, [`Error::SizeOverflow`] for clips of more than 2^32
    /// elements, those of [`crop_geometry`]; what the device reports.
    pub fn new(
        engine: &Engine,
        picture: &Picture,
        framing: impl Into<Framing>,
        crop: Crop,
        normalisation: &Normalisation,
        frames: usize,
    ) -> Result<Self> {
        let (kind, source, framing) = (picture.kind(), picture.size(), framing.into());
        picture.check(kind, source)?;
        let CropGeometry { scaled_width, scaled_height, left, top } = crop_geometry(source.0, source.1, framing, crop)?;
        if framing.filter != Filter::Interpolated {
            let (what, given) = ("filter of squares made of textures", format!("{:?}", framing.filter));
            return Err(Error::Argument { what, given, expected: "Interpolated".to_owned() });
        }
        let size = framing.size;
        if frames == 0 {
            return Err(Error::ZeroSize { what: "frames" });
        }
        let of_frame = size * size;
        let stride =
            u32::try_from(frames).ok().and_then(|frames| of_frame.checked_mul(frames)).filter(|all| all.checked_mul(3).is_some());
        let factors = || vec![3, frames as u64, size.into(), size.into()];
        let stride = stride.ok_or_else(|| Error::SizeOverflow { what: "clip".to_owned(), factors: factors(), bits: 32 })?;
        let is_reversed = normalisation.is_reversed().into();
        let params = |frame| SquareParams { source: kind.params(), size, offset: frame * of_frame, stride, is_reversed };
        let [shared, own] = kind.shaders();
        let parts = [include_str!("../shaders/invocations.wgsl"), shared, own, include_str!("../shaders/square.wgsl")];
        let textures = (1..=kind.textures()).map(|number| (number, Bound::Texture));
        let bound: Vec<_> = textures.chain([(3, Bound::Read), (4, Bound::Read), (5, Bound::Written)]).collect();
        let program = Program::new(engine, "square", &parts, &bound, &(0..frames as u32).map(params).collect::<Vec<_>>())?;
        let columns = neighbours(source.0, scaled_width, left, size);
        let rows = neighbours(source.1, scaled_height, top, size);
        let words = |Neighbours { first, second, weight }| [first as u32, second as u32, weight.to_bits()];
        let words: Vec<u32> = columns.into_iter().chain(rows).flat_map(words).collect();
        let steps: Vec<f32> = normalisation.tables().iter().flatten().copied().collect();
        let (neighbours, table) = (table(engine, "neighbours", &words)?, table(engine, "normalised colours", &steps)?);
        Ok(Self { kind, source, size, frames, program, neighbours, table })
    }

    /// Records a picture's square into a frame of the clip.
    ///
    /// # Errors
    /// [`Error::Argument`] for a picture of another kind or size, [`Error::OutOfRange`] for the frame, [`Error::HostBinding`] for a part that is too
    /// small; what the device reports. Then nothing is recorded.
    pub fn record(
        &self,
        engine: &Engine,
        encoder: &mut CommandEncoder,
        picture: &Picture,
        clip: BufferSlice<'_>,
        frame: usize,
    ) -> Result<()> {
        picture.check(self.kind, self.source)?;
        let bytes = u64::from(self.size).pow(2) * 3 * self.frames as u64 * 4;
        if clip.size() < bytes {
            let (found, expected) = (format!("{} bytes", clip.size()), format!("at least {bytes}"));
            return Err(Error::HostBinding { buffer: "clip".to_owned(), found, expected });
        }
        let tables = vec![(&self.neighbours).into(), (&self.table).into(), clip.into()];
        let resources = [picture.resources(), tables].concat();
        self.program.record(engine, encoder, frame, &resources, pixels(self.size, self.size))
    }
}
