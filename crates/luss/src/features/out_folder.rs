//! The folder of the results: what a former call left in it goes, and nothing else does.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Component, Path},
};

use anyhow::{Context as _, bail, ensure};

/// Names all that a call leaves, before any of it is there.
const LIST: &str = "contents.json";

/// Makes the folder `out` ready for `files`, paths below it, and takes away what a former call left.
///
/// # Errors
///
/// A folder with files and without the list of a former call; an input among what would be taken
/// away or replaced; a failed write.
pub fn prepare_out(out: &Path, files: &[String], inputs: &[&Path]) -> anyhow::Result<()> {
    fs::create_dir_all(out).with_context(|| format!("{}", out.display()))?;
    let former = former_files(out)?;
    let files: BTreeSet<String> = files.iter().cloned().collect();
    let both: BTreeSet<String> = files.union(&former).cloned().collect();
    refuse_inputs(out, &both, inputs)?;
    write_list(out, &both)?; // a call that ends here leaves nothing unnamed
    for file in &former {
        remove(out, file)?;
    }
    write_list(out, &files)
}

/// What a former call left.
fn former_files(out: &Path) -> anyhow::Result<BTreeSet<String>> {
    let list = out.join(LIST);
    if !list.exists() {
        if let Some(file) = fs::read_dir(out)?.next() {
            bail!(
                "{}: there are files of others in it, such as {}; name an empty or a new folder with --out",
                out.display(),
                file?.file_name().display()
            );
        }
        return Ok(BTreeSet::new());
    }
    let shown = list.display();
    let text = fs::read_to_string(&list).with_context(|| format!("{shown}"))?;
    let files: BTreeSet<String> = serde_json::from_str(&text)
        .with_context(|| format!("{shown}: no list of files; name a new folder with --out"))?;
    for file in &files {
        let mut parts = Path::new(file).components();
        ensure!(
            parts.all(|part| matches!(part, Component::Normal(_))),
            "{shown} names {file:?}, which lies elsewhere; name a new folder with --out"
        );
    }
    Ok(files)
}

fn refuse_inputs(out: &Path, files: &BTreeSet<String>, inputs: &[&Path]) -> anyhow::Result<()> {
    let out = out.canonicalize()?;
    for input in inputs {
        let Ok(whole) = input.canonicalize() else {
            continue; // whoever reads it says so
        };
        ensure!(
            !files.iter().any(|file| out.join(file).starts_with(&whole)),
            "{} lies in the folder of the results, where this call would replace it; name another \
             folder with --out",
            input.display()
        );
    }
    Ok(())
}

fn write_list(out: &Path, files: &BTreeSet<String>) -> anyhow::Result<()> {
    let (path, text) = (out.join(LIST), serde_json::to_string_pretty(files)?);
    whole_file::write_bytes(&path, text.as_bytes()).with_context(|| format!("{}", path.display()))
}

/// Removes a file, and the folders that are then empty.
fn remove(out: &Path, file: &str) -> anyhow::Result<()> {
    let path = out.join(file);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => {
            let folders = path.ancestors().skip(1).take_while(|folder| *folder != out);
            let _ = folders
                .map(fs::remove_dir)
                .take_while(Result::is_ok)
                .count();
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(files: &[&str]) -> Vec<String> {
        files.iter().map(|file| file.to_string()).collect()
    }

    #[test]
    fn what_a_former_call_left_goes_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let put = |file: &str| {
            fs::create_dir_all(out.join(file).parent().unwrap()).unwrap();
            fs::write(out.join(file), "").unwrap();
        };
        prepare_out(&out, &names(&["masks/a/old.png", "metrics.json"]), &[]).unwrap();
        put("masks/a/old.png");
        put("notes.txt");
        prepare_out(&out, &names(&["masks/b/new.png"]), &[]).unwrap();
        assert!(!out.join("masks").exists() && out.join("notes.txt").exists());
        put("masks/b/new.png");
        let error = prepare_out(&out, &[], &[&out.join("masks/b")]).unwrap_err();
        assert!(error.to_string().contains("would replace it"), "{error}");
        assert!(out.join("masks/b/new.png").exists());
    }

    #[test]
    fn a_folder_of_others_and_a_list_that_leads_elsewhere_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.tex"), "").unwrap();
        let error = prepare_out(folder.path(), &[], &[])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("thesis.tex") && error.contains("--out"),
            "{error}"
        );
        fs::write(folder.path().join(LIST), "[\"../thesis.tex\"]").unwrap();
        let error = prepare_out(folder.path(), &[], &[])
            .unwrap_err()
            .to_string();
        assert!(error.contains("lies elsewhere"), "{error}");
    }
}
