//! Needs of shaders beyond WebGPU's minimum, and which of them each language lacks.

use super::Capabilities;

/// A need of a shader beyond WebGPU's minimum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Need {
    /// Matrix units: wgpu's cooperative matrices.
    Matrices,
    /// Operations across a subgroup.
    Subgroups,
    /// 16-bit floats, for float16 storage.
    Half,
}

impl Need {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Matrices, Self::Subgroups, Self::Half];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Matrices => "matrices",
            Self::Subgroups => "subgroups",
            Self::Half => "f16",
        }
    }
}

/// A language that WGSL is translated to, each for one graphics API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Language {
    /// SPIR-V, for Vulkan.
    Spirv,
    /// The Metal shading language.
    Msl,
    /// The high-level shading language of Direct3D 12.
    Hlsl,
    /// The OpenGL shading language, for OpenGL and OpenGL ES.
    Glsl,
    /// WGSL as it is, for the WebGPU of a browser.
    Wgsl,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Spirv, Self::Msl, Self::Hlsl, Self::Glsl, Self::Wgsl];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spirv => "SPIR-V",
            Self::Msl => "MSL",
            Self::Hlsl => "HLSL",
            Self::Glsl => "GLSL",
            Self::Wgsl => "WGSL",
        }
    }

    /// The API that runs it.
    pub fn api(self) -> &'static str {
        match self {
            Self::Spirv => "Vulkan",
            Self::Msl => "Metal",
            Self::Hlsl => "Direct3D 12",
            Self::Glsl => "OpenGL",
            Self::Wgsl => "WebGPU",
        }
    }

    /// The language of a backend, by the backend's short name: `vulkan`, `metal`, `dx12`, `gl` or `webgpu`. `None` for any other.
    pub fn of_backend(backend: &str) -> Option<Self> {
        match backend {
            "vulkan" => Some(Self::Spirv),
            "metal" => Some(Self::Msl),
            "dx12" => Some(Self::Hlsl),
            "gl" => Some(Self::Glsl),
            "webgpu" => Some(Self::Wgsl),
            _ => None,
        }
    }

    /// Returns why this language cannot express the need, for people, or `None` if it can. A test compares this with the translation and with
    /// the features of adapters.
    pub fn lacks(self, need: Need) -> Option<&'static str> {
        match (self, need) {
            (Self::Hlsl, Need::Matrices) => Some("naga, which translates for wgpu, has no matrix units in HLSL"),
            (Self::Glsl, Need::Matrices) => Some("naga, which translates for wgpu, has no matrix units in GLSL"),
            (Self::Glsl, Need::Subgroups) => Some("wgpu offers no subgroup operations on OpenGL"),
            (Self::Glsl, Need::Half) => Some("naga, which translates for wgpu, has no 16-bit floats in GLSL"),
            (Self::Wgsl, Need::Matrices) => Some("matrix units in WGSL are an extension of wgpu's, which browsers do not have"),
            (Self::Spirv | Self::Msl | Self::Hlsl | Self::Wgsl, _) => None,
        }
    }
}

impl Capabilities {
    /// Returns the capabilities that shaders in a language can use, whatever the driver says.
    pub fn within(self, language: Language) -> Self {
        let has = |need| language.lacks(need).is_none();
        Self {
            subgroup: self.subgroup.filter(|_| has(Need::Subgroups)),
            f16: self.f16 && has(Need::Half),
            matrix_side: self.matrix_side.filter(|_| has(Need::Matrices)),
            ..self
        }
    }
}
