//! Which file of a repository holds the weights.

use anyhow::bail;

/// What programs call the one file of weights of a repository.
pub(super) const USUAL: &str = "model.safetensors";
/// Endings of files of weights; safetensors come before the rest.
const SAFE: &str = ".safetensors";
const OTHERS: [&str; 4] = [".bin", ".pth", ".pth.tar", ".pt"];

/// The one checkpoint among these files: `model.safetensors`, or else the only `.safetensors`, or else
/// the only other one.
///
/// # Errors
///
/// None, or several of which one has to be named.
pub(super) fn the_only(files: &[String]) -> anyhow::Result<String> {
    let safe: Vec<&str> = ending(files, &[SAFE]);
    if safe.contains(&USUAL) {
        return Ok(USUAL.to_owned());
    }
    let all = ending(files, &OTHERS);
    match (&safe[..], &all[..]) {
        ([one], _) | ([], [one]) => Ok((*one).to_owned()),
        ([], []) => bail!("it has no checkpoint; there are {}", shown(files)),
        ([], several) | (several, _) => {
            bail!(
                "it has several checkpoints; name one behind the repository: {}",
                several.join(", ")
            )
        }
    }
}

fn ending<'a>(files: &'a [String], endings: &[&str]) -> Vec<&'a str> {
    let fits = |file: &&str| endings.iter().any(|ending| file.ends_with(ending));
    files.iter().map(String::as_str).filter(fits).collect()
}

/// The first ten.
pub(super) fn shown(files: &[String]) -> String {
    const SHOWN: usize = 10;
    match files {
        [] => "no files at all".to_owned(),
        files if files.len() <= SHOWN => files.join(", "),
        files => format!("{}, …, {} in all", files[..SHOWN].join(", "), files.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[&str]) -> Result<String, String> {
        let files: Vec<String> = files.iter().map(ToString::to_string).collect();
        the_only(&files).map_err(|error| error.to_string())
    }

    #[test]
    fn the_usual_file_comes_first_then_safetensors_then_the_rest() {
        let usual = [
            "pytorch_model.bin",
            "other.safetensors",
            "model.safetensors",
        ];
        assert_eq!(found(&usual).unwrap(), "model.safetensors");
        assert_eq!(
            found(&["a.bin", "README.md", "b.safetensors"]).unwrap(),
            "b.safetensors"
        );
        assert_eq!(found(&["config.json", "w.pth.tar"]).unwrap(), "w.pth.tar");
    }

    #[test]
    fn none_and_several_are_told() {
        let error = found(&["a.pth", "README.md", "b.bin"]).unwrap_err();
        assert!(
            error.contains("a.pth, b.bin") && !error.contains("README"),
            "{error}"
        );
        assert!(found(&["a.safetensors", "b.safetensors"]).is_err());
        let error = found(&["README.md"]).unwrap_err();
        assert!(
            error.contains("no checkpoint") && error.contains("README.md"),
            "{error}"
        );
    }
}
