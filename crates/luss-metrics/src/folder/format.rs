//! How a file encodes ids.

use std::{fmt, str::FromStr};

/// How a file encodes ids. The first bytes of a file tell them apart; [`MaskFormat::Colors`] and
/// [`MaskFormat::Binary`] are read on request only (see [`super::MaskReader`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum MaskFormat {
    /// 8-bit RGB PNG: `id = R + 256·G`, `B = 0`. The encoding of ImageNet-S.
    Rg,
    /// 8-bit grey PNG: the grey value is the id, up to 255.
    Gray8,
    /// 16-bit grey PNG: the grey value is the id, up to 65 535.
    Gray16,
    /// Palette PNG of 1, 2, 4 or 8 bits: the index is the id (up to 255), the colours mean nothing.
    Palette,
    /// 8-bit RGB or RGBA PNG, or a palette: the colour stands for the id.
    Colors,
    /// Two values: 0, and 1 or the largest one (255 of 8 bits), which is id 1.
    Binary,
    /// TIFF of 8- or 16-bit grey: the value is the id.
    Tiff,
    /// `.npy` array of whole numbers or booleans, height x width: the number is the id.
    Npy,
}

impl MaskFormat {
    /// All formats.
    pub const ALL: [MaskFormat; 8] = [
        MaskFormat::Rg,
        MaskFormat::Gray8,
        MaskFormat::Gray16,
        MaskFormat::Palette,
        MaskFormat::Colors,
        MaskFormat::Binary,
        MaskFormat::Tiff,
        MaskFormat::Npy,
    ];

    /// The name that command lines and reports use.
    pub fn name(self) -> &'static str {
        match self {
            MaskFormat::Rg => "rg",
            MaskFormat::Gray8 => "gray8",
            MaskFormat::Gray16 => "gray16",
            MaskFormat::Palette => "palette",
            MaskFormat::Colors => "colors",
            MaskFormat::Binary => "binary",
            MaskFormat::Tiff => "tiff",
            MaskFormat::Npy => "npy",
        }
    }
}

impl fmt::Display for MaskFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for MaskFormat {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|format| format.name() == name);
        known.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("`{name}` is none of {names}")
        })
    }
}
