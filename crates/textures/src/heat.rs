//! Attention to heat: into a storage texture, or over what a render target shows.

use std::collections::HashMap;

use orthoformer::wgpu::{
    BlendState, Buffer, BufferSlice, ColorTargetState, ColorWrites, CommandEncoder, Device, FragmentState, LoadOp, Operations,
    RenderPassColorAttachment, RenderPassDescriptor, RenderPipeline, RenderPipelineDescriptor, ShaderStages, StoreOp,
    TextureFormat, TextureUsages, TextureView, VertexState,
};
use orthoformer::{Engine, Error, Result};
use orthoformer_video::draw::heat_colour;
use orthoformer_video::patches::Grid;

use crate::describer::{GRID, GridParams};
use crate::program::{Bindings, Bound, Program, Resource, module, pixels, storage, table};

/// Draws attention `[moments, S]` as [`orthoformer_video::draw`] does: heat is relative to the largest weight of all moments that are there.
pub struct Heat {
    grid: Grid,
    moments: usize,
    strongest: Program,
    store: Program,
    /// Bindings of what draws, and its pipelines by format.
    drawn: Bindings,
    pipelines: HashMap<TextureFormat, RenderPipeline>,
    largest: Buffer,
    palette: Buffer,
}

impl std::fmt::Debug for Heat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Heat").field("grid", &self.grid).field("moments", &self.moments).finish_non_exhaustive()
    }
}

/// A view of a render target, and its format. Made of a view alone, it has the format of its texture.
#[derive(Clone, Copy, Debug)]
pub struct HeatTarget<'t> {
    /// The view.
    pub view: &'t TextureView,
    /// The view's format. Where it takes linear light (sRGB formats, `Rgba16Float`), heat is blended in it.
    pub format: TextureFormat,
}

impl<'t> From<&'t TextureView> for HeatTarget<'t> {
    fn from(view: &'t TextureView) -> Self {
        Self { view, format: view.texture().format() }
    }
}

/// `Params` of shaders/heat.wgsl.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct HeatParams {
    grid: GridParams,
    scale: [f32; 2],
    shift: [f32; 2],
    offset: u32,
    is_linear: u32,
    padding: [u32; 2],
}

/// Steps of the palette.
const STEPS: u32 = 256;
const SHARED: [&str; 3] = [include_str!("../shaders/source.wgsl"), GRID, include_str!("../shaders/heat.wgsl")];
const READ: [(u32, Bound); 3] = [(1, Bound::Read), (2, Bound::Read), (3, Bound::Read)];

impl Heat {
    /// For attention to patches of this grid in so many moments.
    ///
    /// # Errors
    /// [`Error::ZeroSize`] for no moments, [`Error::SizeOverflow`] for more than 2^32 weights; what the device reports.
    pub fn new(engine: &Engine, grid: &Grid, moments: usize) -> Result<Self> {
        if moments == 0 {
            return Err(Error::ZeroSize { what: "moments" });
        }
        let patches = grid.patches();
        let factors = || vec![patches as u64, moments as u64];
        let all = u32::try_from(patches * moments);
        all.map_err(|_| Error::SizeOverflow { what: "attention".to_owned(), factors: factors(), bits: 32 })?;
        let place = grid.place;
        let params = |moment: usize, is_linear: bool| HeatParams {
            grid: grid.into(),
            scale: [place.scaled_width, place.scaled_height].map(|size| size as f32),
            shift: [place.left, place.top].map(|edge| -(edge as f32)),
            offset: (moment * patches) as u32,
            is_linear: is_linear.into(),
            padding: [0; 2],
        };
        let of_moments = |is_linear| (0..moments).map(move |moment| params(moment, is_linear));
        let counts: Vec<[u32; 4]> = (1..=moments).map(|moments| [(moments * patches) as u32, 0, 0, 0]).collect();
        let largest = [include_str!("../shaders/strongest.wgsl")];
        let [source, grid_part, heat] = SHARED;
        let store =
            [include_str!("../shaders/invocations.wgsl"), source, grid_part, heat, include_str!("../shaders/heat_store.wgsl")];
        let canvas = [&READ[..], &[(4, Bound::Canvas)]].concat();
        let device = engine.device();
        // A slot for each moment, then again for targets that take linear light.
        let slots: Vec<_> = of_moments(false).chain(of_moments(true)).collect();
        let drawn = || Bindings::new(device, "heat", ShaderStages::VERTEX_FRAGMENT, &READ, &slots);
        Ok(Self {
            grid: *grid,
            moments,
            strongest: Program::new(engine, "largest weight", &largest, &[(1, Bound::Read), (2, Bound::Written)], &counts)?,
            store: Program::new(engine, "heat", &store, &canvas, &of_moments(false).collect::<Vec<_>>())?,
            drawn: engine.checked_now("heat", drawn)?,
            pipelines: HashMap::new(),
            largest: storage(engine, "largest weight", 1)?,
            palette: table(engine, "palette of heat", &palette())?,
        })
    }

    /// Records the search for the largest weight of the first `moments` of the ring: what heat is relative to from then on.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for moments that there are not, [`Error::HostBinding`] for a part that is too small; what the device reports.
    pub fn record_strongest(
        &self,
        engine: &Engine,
        encoder: &mut CommandEncoder,
        attention: BufferSlice<'_>,
        moments: usize,
    ) -> Result<()> {
        self.check(attention)?;
        let last = moments.checked_sub(1).ok_or(Error::ZeroSize { what: "moments" })?;
        self.strongest.record(engine, encoder, last, &[attention.into(), (&self.largest).into()], [1, 1])
    }

    /// Records the heat of a moment into a storage texture of the format `Rgba8Unorm`, of any size: colour, and how much of what is below it covers as
    /// alpha, as [`orthoformer_video::draw::heat_layer`] has them.
    ///
    /// # Errors
    /// [`Error::Argument`] for a texture of another format or without the usage `STORAGE_BINDING`, [`Error::OutOfRange`] for the moment,
    /// [`Error::HostBinding`]; what the device reports.
    pub fn record_map(
        &self,
        engine: &Engine,
        encoder: &mut CommandEncoder,
        attention: BufferSlice<'_>,
        moment: usize,
        canvas: &TextureView,
    ) -> Result<()> {
        self.check(attention)?;
        let texture = canvas.texture();
        check_texture(canvas, TextureUsages::STORAGE_BINDING)?;
        if texture.format() != TextureFormat::Rgba8Unorm {
            let given = format!("{:?}", texture.format());
            return Err(Error::Argument { what: "storage texture", given, expected: "Rgba8Unorm".to_owned() });
        }
        let resources = [self.resources(attention).to_vec(), vec![Resource::View(canvas.clone())]].concat();
        self.store.record(engine, encoder, moment, &resources, pixels(texture.width(), texture.height()))
    }

    /// Records the heat of a moment over what a render target shows, which is the whole source picture at any size.
    ///
    /// # Errors
    /// [`Error::Argument`] for a target without the usage `RENDER_ATTACHMENT`, [`Error::OutOfRange`] for the moment, [`Error::HostBinding`]; what the
    /// device reports.
    pub fn draw<'t>(
        &mut self,
        engine: &Engine,
        encoder: &mut CommandEncoder,
        attention: BufferSlice<'_>,
        moment: usize,
        target: impl Into<HeatTarget<'t>>,
    ) -> Result<()> {
        self.check(attention)?;
        let HeatTarget { view, format } = target.into();
        check_texture(view, TextureUsages::RENDER_ATTACHMENT)?;
        if moment >= self.moments {
            return Err(Error::OutOfRange { what: "moment", index: moment as u64, count: self.moments as u64 });
        }
        let is_linear = format.is_srgb() || format == TextureFormat::Rgba16Float;
        let slot = moment + if is_linear { self.moments } else { 0 };
        let (group, offset) = self.drawn.group(engine, slot, &self.resources(attention))?;
        if !self.pipelines.contains_key(&format) {
            let pipeline = engine.checked_now("heat", || render_pipeline(engine.device(), &self.drawn, format))?;
            self.pipelines.insert(format, pipeline);
        }
        let Some(pipeline) = self.pipelines.get(&format) else { return Ok(()) };
        let ops = Operations { load: LoadOp::Load, store: StoreOp::Store };
        let attachment = RenderPassColorAttachment { view, depth_slice: None, resolve_target: None, ops };
        let mut pass = encoder.begin_render_pass(&RenderPassDescriptor {
            label: Some("heat"),
            color_attachments: &[Some(attachment)],
            ..Default::default()
        });
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, &group, &[offset]);
        pass.draw(0..3, 0..1);
        Ok(())
    }

    fn resources(&self, attention: BufferSlice<'_>) -> [Resource; 3] {
        [attention.into(), (&self.largest).into(), (&self.palette).into()]
    }

    fn check(&self, attention: BufferSlice<'_>) -> Result<()> {
        let bytes = (self.moments * self.grid.patches() * size_of::<f32>()) as u64;
        if attention.size() >= bytes {
            return Ok(());
        }
        let (found, expected) = (format!("{} bytes", attention.size()), format!("at least {bytes}"));
        Err(Error::HostBinding { buffer: "attention".to_owned(), found, expected })
    }
}

fn check_texture(view: &TextureView, usage: TextureUsages) -> Result<()> {
    let usages = view.texture().usage();
    if usages.contains(usage) {
        return Ok(());
    }
    let expected = format!("{usage:?} among the usages");
    Err(Error::Argument { what: "texture for heat", given: format!("{usages:?}"), expected })
}

/// Colour and cover of each step of heat.
fn palette() -> Vec<[f32; 4]> {
    let step = |step: u32| {
        let ([red, green, blue], cover) = heat_colour(f64::from(step) / f64::from(STEPS - 1));
        let [red, green, blue] = [red, green, blue].map(|channel| f32::from(channel) / 255.0);
        [red, green, blue, cover as f32]
    };
    (0..STEPS).map(step).collect()
}

fn render_pipeline(device: &Device, bindings: &Bindings, format: TextureFormat) -> RenderPipeline {
    let parts = [&SHARED[..], &[include_str!("../shaders/heat_draw.wgsl")]].concat();
    let module = module(device, "heat", &parts);
    let target = ColorTargetState { format, blend: Some(BlendState::ALPHA_BLENDING), write_mask: ColorWrites::ALL };
    device.create_render_pipeline(&RenderPipelineDescriptor {
        label: Some("heat"),
        layout: Some(&bindings.pipeline_layout(device)),
        vertex: VertexState {
            module: &module,
            entry_point: Some("cover"),
            compilation_options: Default::default(),
            buffers: &[],
        },
        primitive: Default::default(),
        depth_stencil: None,
        multisample: Default::default(),
        fragment: Some(FragmentState {
            module: &module,
            entry_point: Some("show"),
            compilation_options: Default::default(),
            targets: &[Some(target)],
        }),
        multiview_mask: None,
        cache: None,
    })
}
