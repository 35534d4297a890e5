//! How a label is drawn: the same in pictures and in the text that names it.

use luss_metrics::IGNORE;

use crate::palette::{Rgb, color_of};

/// What is drawn where a label is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// Nothing; the picture shows through.
    Clear,
    /// A colour, through which a little of the picture shows.
    Color(Rgb),
    /// Stripes of grey.
    Hatched,
}

impl Paint {
    /// That of a label of ImageNet-S: nothing for [`luss_metrics::OTHER`], stripes for [`IGNORE`], a
    /// colour of its own for each class.
    pub fn of(label: u16) -> Self {
        match color_of(label) {
            _ if label == IGNORE => Self::Hatched,
            Some(color) => Self::Color(color),
            None => Self::Clear,
        }
    }

    /// A small square of it, for the text that says what it means.
    pub fn swatch(self) -> String {
        let (class, style) = match self {
            Self::Clear => (" clear", String::new()),
            Self::Hatched => (" hatched", String::new()),
            Self::Color([red, green, blue]) => {
                let color = format!(" style=\"background:#{red:02x}{green:02x}{blue:02x}\"");
                ("", color)
            }
        };
        format!("<i class=\"swatch{class}\"{style}></i>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use luss_metrics::OTHER;

    #[test]
    fn other_is_clear_ignored_is_hatched_and_a_class_has_its_color() {
        assert_eq!(Paint::of(OTHER), Paint::Clear);
        assert_eq!(Paint::of(IGNORE), Paint::Hatched);
        let color = color_of(7).unwrap();
        assert_eq!(Paint::of(7), Paint::Color(color));
        let [red, green, blue] = color;
        let swatch = Paint::of(7).swatch();
        let hex = format!("#{red:02x}{green:02x}{blue:02x}");
        assert!(swatch.contains(&hex), "{swatch}");
    }
}
