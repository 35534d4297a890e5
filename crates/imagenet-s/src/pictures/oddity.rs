//! Why a picture is odd: decoders disagree about it, or its name lies.

use std::fmt;

/// Why a picture is odd: decoders disagree about it, or its name lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oddity {
    /// A JPEG or TIFF file in inks (CMYK or YCCK).
    Cmyk,
    /// Content of another format than the extension says.
    Misnamed {
        /// The format of the content, in capitals.
        content: &'static str,
        /// The format that the extension stands for, in capitals.
        extension: &'static str,
    },
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Oddity::Cmyk => f.write_str("picture has four colour components (CMYK), not RGB"),
            Oddity::Misnamed { content, extension } => {
                write!(f, "content is {content} but the name says {extension}")
            }
        }
    }
}
