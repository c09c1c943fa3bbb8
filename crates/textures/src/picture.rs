//! Pictures of a host: which textures they are in, and what their numbers stand for.

use bytemuck::Zeroable;
use orthoformer::wgpu::{Texture, TextureDimension, TextureFormat, TextureUsages, TextureView};
use orthoformer::{Error, Result};

use crate::program::Resource;

/// A picture in textures with the usage `TEXTURE_BINDING`: views of the first mip level and of one layer.
///
/// Made of a view alone, its texture's format tells: sRGB formats and `Rgba16Float` are [`Picture::Linear`], all else [`Picture::Encoded`].
#[derive(Clone, Debug, PartialEq)]
pub enum Picture {
    /// Colours as files have them: video in `Rgba8Unorm` or `Bgra8Unorm`.
    Encoded(TextureView),
    /// Linear light, which is encoded as sRGB first: `Rgba8UnormSrgb`, `Bgra8UnormSrgb`, `Rgba16Float`, or another format with such contents.
    Linear(TextureView),
    /// Two planes: `R8Unorm`, and `Rg8Unorm` of half the width and height, rounded up; or the planes of a texture of the format `NV12`.
    Nv12 {
        /// The plane of Y.
        luma: TextureView,
        /// The plane of U and V.
        chroma: TextureView,
        /// What their numbers stand for.
        colours: YuvColours,
    },
}

/// What the numbers of YUV stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct YuvColours {
    /// The matrix.
    pub matrix: YuvMatrix,
    /// Whether numbers use the full range of 8 bits; else Y is 16 to 235, U and V are 16 to 240.
    pub is_full: bool,
}

/// Matrices between RGB and YUV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum YuvMatrix {
    /// ITU-R BT.601: standard definition.
    Bt601,
    /// ITU-R BT.709: high definition.
    Bt709,
    /// ITU-R BT.2020.
    Bt2020,
}

/// `Source` of shaders/source.wgsl.
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(crate) struct SourceParams {
    rows: [[f32; 4]; 3],
    is_linear: u32,
    black: f32,
    padding: [u32; 2],
}

/// The kinds of pictures, each with its shaders.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Rgb { is_linear: bool },
    Nv12(YuvColours),
}

impl From<&TextureView> for Picture {
    fn from(view: &TextureView) -> Self {
        let format = view.texture().format();
        let is_linear = format.is_srgb() || format == TextureFormat::Rgba16Float;
        if is_linear { Self::Linear(view.clone()) } else { Self::Encoded(view.clone()) }
    }
}

impl From<&Texture> for Picture {
    fn from(texture: &Texture) -> Self {
        Self::from(&texture.create_view(&Default::default()))
    }
}

impl Picture {
    /// Width and height, pixels.
    pub fn size(&self) -> (u32, u32) {
        let (Self::Encoded(view) | Self::Linear(view) | Self::Nv12 { luma: view, .. }) = self;
        (view.texture().width(), view.texture().height())
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Encoded(_) => Kind::Rgb { is_linear: false },
            Self::Linear(_) => Kind::Rgb { is_linear: true },
            Self::Nv12 { colours, .. } => Kind::Nv12(*colours),
        }
    }

    pub(crate) fn resources(&self) -> Vec<Resource> {
        match self {
            Self::Encoded(view) | Self::Linear(view) => vec![Resource::View(view.clone())],
            Self::Nv12 { luma, chroma, .. } => [luma, chroma].map(|view| Resource::View(view.clone())).into(),
        }
    }

    /// Whether shaders can load it, and it is of this kind and size.
    ///
    /// # Errors
    /// [`Error::Argument`].
    pub(crate) fn check(&self, kind: Kind, size: (u32, u32)) -> Result<()> {
        use TextureFormat::{Bgra8Unorm, Bgra8UnormSrgb, NV12, R8Unorm, Rg8Unorm, Rgba8Unorm, Rgba8UnormSrgb, Rgba16Float};
        let wrong = |given: String, expected: String| Err(Error::Argument { what: "picture", given, expected });
        if self.kind() != kind {
            return wrong(format!("{:?}", self.kind()), format!("{kind:?}, as it was made for"));
        }
        if self.size() != size {
            let (found, size) = (self.size(), format!("{} x {} pixels, as it was made for", size.0, size.1));
            return wrong(format!("{} x {} pixels", found.0, found.1), size);
        }
        let loadable = |view: &TextureView, formats: &[TextureFormat], size: (u32, u32)| {
            let texture = view.texture();
            let (format, is_planes) = (texture.format(), texture.format() == NV12);
            if !formats.contains(&format) {
                return wrong(format!("{format:?}"), format!("one of the formats {formats:?}"));
            }
            if !texture.usage().contains(TextureUsages::TEXTURE_BINDING) {
                return wrong(format!("{:?}", texture.usage()), "TEXTURE_BINDING among the usages".to_owned());
            }
            if texture.dimension() != TextureDimension::D2 || texture.sample_count() != 1 {
                let given = format!("{:?} with {} samples", texture.dimension(), texture.sample_count());
                return wrong(given, "D2 with 1 sample".to_owned());
            }
            if !is_planes && (texture.width(), texture.height()) != size {
                let given = format!("a plane of {} x {} pixels", texture.width(), texture.height());
                return wrong(given, format!("{} x {}", size.0, size.1));
            }
            Ok(())
        };
        match self {
            Self::Encoded(view) | Self::Linear(view) => {
                loadable(view, &[Rgba8Unorm, Rgba8UnormSrgb, Bgra8Unorm, Bgra8UnormSrgb, Rgba16Float], size)
            }
            Self::Nv12 { luma, chroma, .. } => {
                loadable(luma, &[R8Unorm, NV12], size)?;
                loadable(chroma, &[Rg8Unorm, NV12], (size.0.div_ceil(2), size.1.div_ceil(2)))
            }
        }
    }
}

impl Kind {
    /// Shaders that define `colour_at`, and the number of textures that they bind.
    pub fn shaders(self) -> [&'static str; 2] {
        let own = match self {
            Self::Rgb { .. } => include_str!("../shaders/source_rgb.wgsl"),
            Self::Nv12(_) => include_str!("../shaders/source_nv12.wgsl"),
        };
        [include_str!("../shaders/source.wgsl"), own]
    }

    /// Textures that they bind.
    pub fn textures(self) -> u32 {
        match self {
            Self::Rgb { .. } => 1,
            Self::Nv12(_) => 2,
        }
    }

    pub fn params(self) -> SourceParams {
        match self {
            Self::Rgb { is_linear } => SourceParams { is_linear: is_linear.into(), ..SourceParams::zeroed() },
            Self::Nv12(colours) => SourceParams { rows: colours.rows(), black: colours.black(), ..SourceParams::zeroed() },
        }
    }
}

impl YuvColours {
    /// The darkest Y, 0 to 1.
    fn black(self) -> f32 {
        if self.is_full { 0.0 } else { 16.0 / 255.0 }
    }

    /// Rows of the matrix from (Y, U, V, 1) as textures have them, 0 to 1, to red, green and blue.
    fn rows(self) -> [[f32; 4]; 3] {
        let (red, blue) = match self.matrix {
            YuvMatrix::Bt601 => (0.299, 0.114),
            YuvMatrix::Bt709 => (0.2126, 0.0722),
            YuvMatrix::Bt2020 => (0.2627, 0.0593),
        };
        let green = 1.0 - red - blue;
        // Steps of 8 bits: the range of Y, and that of U and V.
        let (luma, chroma) = if self.is_full { (255.0, 255.0) } else { (219.0, 224.0) };
        let (y, c): (f64, f64) = (255.0 / luma, 255.0 / chroma);
        let row = |u: f64, v: f64| {
            let shift = -y * f64::from(self.black()) - (u + v) * c * 128.0 / 255.0;
            [y, u * c, v * c, shift].map(|number| number as f32)
        };
        let (of_red, of_blue) = (2.0 * (1.0 - red), 2.0 * (1.0 - blue));
        [row(0.0, of_red), row(-of_blue * blue / green, -of_red * red / green), row(of_blue, 0.0)]
    }
}
