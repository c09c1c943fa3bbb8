//! What the numbers of YUV pictures stand for: matrix and range, as streams and containers say.

use std::path::Path;

use h264_reader::nal::sps::SeqParameterSet;
use h264_reader::rbsp::{BitReader, decode_nal};
use orthoformer::Result;
use yuv::{YuvRange, YuvStandardMatrix};

use super::boxes::Words;
use super::contents;
use super::shield::shielded;

/// How YUV becomes RGB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Colours {
    pub range: YuvRange,
    /// Where nothing is said: BT.709 for pictures of 720 rows and more, BT.601 below, as players do.
    pub matrix: Option<YuvStandardMatrix>,
}

/// What is said of colours, where anything is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    is_full: Option<bool>,
    /// The number of H.273.
    matrix: Option<u16>,
}

impl Said {
    /// By a sequence parameter set; nothing, if it cannot be read (the decoder will say so).
    pub fn by_sps(path: &Path, sps: &[u8]) -> Self {
        let parsed = shielded(path, || {
            let bytes = decode_nal(sps).ok();
            Ok(bytes.and_then(|bytes| SeqParameterSet::from_bits(BitReader::new(&*bytes)).ok()))
        });
        let signal = parsed.ok().flatten().and_then(|sps| sps.vui_parameters).and_then(|vui| vui.video_signal_type);
        signal.map_or_else(Self::default, |signal| Self {
            is_full: Some(signal.video_full_range_flag),
            matrix: signal.colour_description.map(|description| description.matrix_coefficients.into()),
        })
    }

    /// By a `colr` box; nothing by colour profiles.
    pub fn by_box(bytes: &[u8]) -> Self {
        let mut words = Words(bytes);
        let kind = words.take::<4>().unwrap_or_default();
        if !matches!(&kind, b"nclx" | b"nclc") {
            return Self::default();
        }
        let matrix = words.skip(4).and_then(|()| words.u16());
        let flags = words.u8().filter(|_| &kind == b"nclx");
        Self { is_full: flags.map(|flags| flags & 0x80 != 0), matrix }
    }

    /// The same, and what another says where this says nothing.
    pub fn or(self, other: Self) -> Self {
        let matrix = self.matrix.filter(|&number| !is_unsaid(number)).or(other.matrix);
        Self { is_full: self.is_full.or(other.is_full), matrix }
    }

    /// How YUV becomes RGB.
    ///
    /// # Errors
    /// [`orthoformer::Error::Contents`] for colours that are no YUV.
    pub fn colours(self, path: &Path) -> Result<Colours> {
        let matrix = match self.matrix {
            Some(1) => Some(YuvStandardMatrix::Bt709),
            Some(4) => Some(YuvStandardMatrix::Fcc),
            Some(5 | 6) => Some(YuvStandardMatrix::Bt601),
            Some(7) => Some(YuvStandardMatrix::Smpte240),
            Some(9 | 10) => Some(YuvStandardMatrix::Bt2020),
            Some(number) if !is_unsaid(number) => {
                let expected = "BT.709, BT.601, BT.2020, SMPTE 240M and FCC are decoded";
                return Err(contents(path, &format!("its colours are of matrix {number} of H.273; {expected}")));
            }
            _ => None,
        };
        Ok(Colours { range: if self.is_full == Some(true) { YuvRange::Full } else { YuvRange::Limited }, matrix })
    }
}

/// Whether a matrix's number means none: unspecified, reserved, or RGB, which pictures with halved chroma cannot be.
fn is_unsaid(number: u16) -> bool {
    matches!(number, 0 | 2 | 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_box(kind: &[u8], matrix: u16, flags: u8) -> Said {
        Said::by_box(&[kind, &[0, 9, 0, 16], &matrix.to_be_bytes(), &[flags]].concat())
    }

    #[test]
    fn containers_and_streams_say_what_colours_are() {
        let path = Path::new("CLIP");
        let colours = |said: Said| said.colours(path).expect("known");
        let wide = by_box(b"nclx", 9, 0x80);
        assert_eq!(colours(wide), Colours { range: YuvRange::Full, matrix: Some(YuvStandardMatrix::Bt2020) });
        let apple = by_box(b"nclc", 1, 0x80);
        assert_eq!(colours(apple), Colours { range: YuvRange::Limited, matrix: Some(YuvStandardMatrix::Bt709) });
        assert_eq!(by_box(b"prof", 1, 0), Said::default());
        assert_eq!(Said::by_box(b"nclx"), Said::default());
        assert_eq!(Said::by_sps(path, &[0x67, 1, 2]), Said::default());
        // The stream goes before the container where it says anything.
        assert_eq!(apple.or(wide), Said { is_full: Some(true), matrix: Some(1) });
        assert_eq!(by_box(b"nclx", 2, 0).or(wide), Said { is_full: Some(false), matrix: Some(9) });
        let error = by_box(b"nclx", 8, 0).colours(path).expect_err("YCgCo").to_string();
        assert!(error.starts_with("CLIP: its colours are of matrix 8 of H.273; "), "{error}");
    }
}
