//! Parts of reports that are one HTML file: readable without a network and without a script, in light and
//! dark, on paper and at the width of a telephone.
//!
//! | what | item |
//! |---|---|
//! | the page, its sections, escaped text | [`page`], [`section`], [`escape`] |
//! | lines over an axis, as SVG | [`LineChart`], [`figure`], [`threshold_figure`] |
//! | the labels of a mask over a picture | [`overlay()`], [`overlay_of`], [`Paint`] |
//! | the colour of each label, in pages and in masks | [`palette`] |
//! | a picture within the page | [`jpeg_uri`], [`png_uri`] |
//!
//! Nothing holds a time or a random number: equal data make an equal file.
//!
//! ```
//! let page = html_report::page("Masks of <cats>", &[html_report::section("Scores", "<p>12.34</p>\n")]);
//! assert!(page.contains("<h1>Masks of &lt;cats&gt;</h1>"));
//! ```

mod chart;
mod html;
mod overlay;
mod paint;
pub mod palette;
mod threshold;

pub use chart::{Axis, LineChart, Series, figure};
pub use html::{escape, list, page, percent, prose, section, summary};
pub use overlay::{fitted, jpeg_uri, overlay, overlay_of, png_uri, shrunk, thumbnail};
pub use paint::Paint;
pub use threshold::threshold_figure;
