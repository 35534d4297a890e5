//! What an archive says about the method.

use serde::{Deserialize, Serialize};

use super::SubmissionError;

/// The six lines about a method; the defaults are those of the published code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Method {
    /// Its name.
    pub name: String,
    /// What it was trained on.
    pub training_data: String,
    /// How: unsupervised, semi-supervised, and so on.
    pub training_scheme: String,
    /// Its networks.
    pub networks: String,
    /// A link to the paper or the project.
    pub link: String,
    /// A description.
    pub description: String,
}

impl Default for Method {
    fn default() -> Self {
        let null = || "null".to_owned();
        Self {
            name: "example submission".to_owned(),
            training_data: null(),
            training_scheme: null(),
            networks: null(),
            link: null(),
            description: null(),
        }
    }
}

impl Method {
    fn lines(&self) -> [(&'static str, &str); 6] {
        [
            ("Method name", &self.name),
            ("Training data", &self.training_data),
            ("Training scheme", &self.training_scheme),
            ("Networks", &self.networks),
            ("Paper/Project link", &self.link),
            ("Method description", &self.description),
        ]
    }

    /// The text of the file: six lines, the last without an end.
    pub(super) fn text(&self) -> Result<String, SubmissionError> {
        let lines = self.lines();
        if let Some(&(field, _)) = lines.iter().find(|(_, text)| text.contains(['\n', '\r'])) {
            return Err(SubmissionError::MethodLine { field });
        }
        Ok(lines
            .map(|(field, text)| format!("{field}: {text}"))
            .join("\n"))
    }
}
