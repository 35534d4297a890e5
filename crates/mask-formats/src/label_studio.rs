//! Label Studio: a JSON file of tasks, whose regions are brush strokes, and the labelling configuration.
//!
//! Source: <https://labelstud.io/guide/predictions>. Regions are predictions, which annotators accept or
//! correct.

use std::io::{self, Write};

use serde::Serialize;

use crate::{Regions, brush::brush_rle, json_array::JsonArray};

/// The names that tasks and configuration share.
const PICTURE: &str = "image";
const BRUSH: &str = "category";

/// A picture and its regions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Task {
    data: Data,
    predictions: [Prediction; 1],
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Data {
    image: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Prediction {
    model_version: String,
    result: Vec<Brush>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Brush {
    id: String,
    r#type: &'static str,
    from_name: &'static str,
    to_name: &'static str,
    original_width: usize,
    original_height: usize,
    image_rotation: u8,
    value: Value,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Value {
    format: &'static str,
    rle: Vec<u8>,
    brushlabels: [String; 1],
}

/// What Label Studio finds a picture by: `prefix` and the path of the picture below its folder, which is
/// percent-encoded where the prefix makes it a part of a query, as `/data/local-files/?d=`.
pub fn picture_address(prefix: &str, path: &str) -> String {
    match prefix.contains('?') {
        true => format!("{prefix}{}", percent_encoded(path)),
        false => format!("{prefix}{path}"),
    }
}

/// RFC 3986: all bytes but the unreserved ones and `/`.
fn percent_encoded(path: &str) -> String {
    let encoded = |byte: u8| match byte {
        b'/' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    path.bytes().map(encoded).collect()
}

impl Task {
    /// The task of a picture that Label Studio finds at `image`, an address or a path that it serves.
    /// `names[0]` is that of category 1, `model` says who drew the regions.
    ///
    /// # Panics
    ///
    /// For a category without a name.
    pub fn new(image: String, model: &str, regions: &Regions, names: &[String]) -> Self {
        let numbered = (1..).zip(regions.categories());
        let brush = |(region, &category)| {
            let name = &names[usize::from(category) - 1];
            Brush::new(regions, region, name)
        };
        let prediction = Prediction {
            model_version: model.into(),
            result: numbered.map(brush).collect(),
        };
        Self {
            data: Data { image },
            predictions: [prediction],
        }
    }
}

impl Brush {
    fn new(regions: &Regions, region: u32, name: &str) -> Self {
        let inside: Vec<bool> = regions.of_pixel().iter().map(|&of| of == region).collect();
        Self {
            id: format!("region-{region}"),
            r#type: "brushlabels",
            from_name: BRUSH,
            to_name: PICTURE,
            original_width: regions.width(),
            original_height: regions.height(),
            image_rotation: 0,
            value: Value {
                format: "rle",
                rle: brush_rle(&inside),
                brushlabels: [name.into()],
            },
        }
    }
}

/// A file of tasks under way.
#[derive(Debug)]
pub struct TaskWriter<W>(JsonArray<W>);

impl<W: Write> TaskWriter<W> {
    /// Begins the file.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn begin(out: W) -> io::Result<Self> {
        JsonArray::begin(out).map(Self)
    }

    /// Writes a task.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn push(&mut self, task: &Task) -> io::Result<()> {
        self.0.push(task)
    }

    /// Writes the end of the file; how many tasks it has.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn finish(self) -> io::Result<u64> {
        let tasks = self.0.len();
        let mut out = self.0.finish()?;
        out.write_all(b"\n")?;
        Ok(tasks)
    }
}

/// The labelling configuration of these tasks, to be pasted into the settings of the project: each name
/// with its colour.
pub fn labelling_config<'a>(labels: impl Iterator<Item = (&'a str, [u8; 3])>) -> String {
    let label = |(name, [red, green, blue]): (&str, [u8; 3])| {
        let name = escaped(name);
        format!("    <Label value=\"{name}\" background=\"#{red:02x}{green:02x}{blue:02x}\"/>\n")
    };
    let labels: String = labels.map(label).collect();
    format!(
        "<View>\n  <Image name=\"{PICTURE}\" value=\"${PICTURE}\" zoom=\"true\"/>\n  \
         <BrushLabels name=\"{BRUSH}\" toName=\"{PICTURE}\">\n{labels}  </BrushLabels>\n</View>\n"
    )
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('"', "&quot;")
}
