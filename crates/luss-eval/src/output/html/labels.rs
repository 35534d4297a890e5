//! The name and the colour of each label.

use html_report::{Paint, escape, palette::color_of};
use luss_metrics::OTHER;

use crate::{output::rows::name, settings::Settings};

/// What labels are called and how they are drawn, the same in the whole page.
pub(super) struct Labels<'a> {
    settings: &'a Settings<'a>,
}

impl<'a> Labels<'a> {
    pub(super) fn new(settings: &'a Settings<'a>) -> Self {
        Self { settings }
    }

    /// The id whose pixels count nowhere.
    pub(super) fn ignored(&self) -> u16 {
        self.settings.protocol.ignore
    }

    /// Whether 0 is a class like the others.
    pub(super) fn zero_is_class(&self) -> bool {
        self.settings.conventions.ids.reduces_zero
    }

    pub(super) fn paint(&self, label: u16) -> Paint {
        let color = match label {
            label if label == self.ignored() => return Paint::Hatched,
            // Its own colour is taken from behind the classes.
            OTHER if self.zero_is_class() => color_of(self.settings.protocol.classes + 1),
            label => color_of(label),
        };
        color.map_or(Paint::Clear, Paint::Color)
    }

    /// Its colour and its name.
    pub(super) fn chip(&self, label: u16) -> String {
        let swatch = self.paint(label).swatch();
        let name = escape(&self.name(label));
        format!("<span class=\"chip\">{swatch}{name}</span>")
    }

    fn name(&self, label: u16) -> String {
        match (name(self.settings, label), label) {
            (_, label) if label == self.ignored() => "ignored".into(),
            ("", OTHER) if !self.zero_is_class() => "other".into(),
            ("", label) => format!("class {label}"),
            (name, label) => format!("{label} {name}"),
        }
    }
}
