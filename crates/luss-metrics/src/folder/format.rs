//! How a PNG encodes ids.

use std::{fmt, str::FromStr};

/// How a PNG encodes ids. The four are told apart by the PNG's colour type and bit depth alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MaskFormat {
    /// 8-bit RGB: `id = R + 256·G`, `B = 0`. The encoding of ImageNet-S.
    Rg,
    /// 8-bit grey: the grey value is the id, up to 255.
    Gray8,
    /// 16-bit grey: the grey value is the id, up to 65 535.
    Gray16,
    /// Palette of 1, 2, 4 or 8 bits: the index is the id (up to 255), the colours mean nothing.
    Palette,
}

impl MaskFormat {
    /// All formats.
    pub const ALL: [MaskFormat; 4] = [
        MaskFormat::Rg,
        MaskFormat::Gray8,
        MaskFormat::Gray16,
        MaskFormat::Palette,
    ];

    /// The name that command lines and reports use.
    pub fn name(self) -> &'static str {
        match self {
            MaskFormat::Rg => "rg",
            MaskFormat::Gray8 => "gray8",
            MaskFormat::Gray16 => "gray16",
            MaskFormat::Palette => "palette",
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
        known.ok_or_else(|| format!("`{name}` is none of rg, gray8, gray16, palette"))
    }
}
