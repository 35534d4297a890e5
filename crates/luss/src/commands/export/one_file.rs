//! The formats that are one file: COCO, Label Studio, CVAT.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use html_report::palette::color_of;
use luss::OrRefuse;
use mask_formats::{
    Per, Regions,
    coco::{CocoWriter, Image, annotations},
    cvat::{CvatMasks, CvatWriter},
    label_studio::{Task, TaskWriter, labelling_config, picture_address},
};
use pass_train::quoted;
use whole_file::WholeFile;

use super::{
    Export, Format,
    source::{Item, Source},
};

/// Stands near the beginning or at the end of each file.
const MARK: &str = "luss export";

/// How near.
const MARK_WITHIN: u64 = 4096;

impl Export {
    pub(super) fn write_file(&self, source: &Source) -> anyhow::Result<()> {
        let configuration = self.configuration();
        check_place(&self.out).or_refuse()?;
        if self.format == Format::LabelStudio {
            check_place(&configuration).or_refuse()?;
        }
        let failed = || format!("cannot write {}", self.out.display());
        let mut file = WholeFile::create(&self.out).with_context(failed)?;
        match self.format {
            Format::Coco => self.write_coco(source, &mut file),
            Format::Cvat => self.write_cvat(source, &mut file),
            _ => self.write_tasks(source, &mut file),
        }
        .with_context(failed)?;
        if self.format == Format::LabelStudio {
            write_configuration(&configuration, &source.names)?;
        }
        file.commit().with_context(failed)
    }

    /// Label Studio: the labelling configuration, beside the tasks.
    pub(super) fn configuration(&self) -> PathBuf {
        self.out.with_extension("xml")
    }

    fn write_coco(&self, source: &Source, file: &mut WholeFile) -> anyhow::Result<()> {
        let all = source.items.iter().zip(&source.sizes);
        let images = all.map(|(item, &(width, height))| Image {
            file_name: item.file_name(),
            width,
            height,
        });
        let images: Vec<Image> = images.collect();
        let mut writer = CocoWriter::begin(&mut **file, MARK, &source.names, &images)?;
        let (per, segmentation) = (self.per(), self.segmentation());
        let annotated = |item: &Item| {
            let regions = Regions::of(&item.read_mask()?, per);
            Ok(annotations(&regions, segmentation))
        };
        self.in_order(&source.items, annotated, |_, annotations| {
            Ok(writer.push(&annotations)?)
        })?;
        writer.finish()?;
        Ok(())
    }

    fn write_cvat(&self, source: &Source, file: &mut WholeFile) -> anyhow::Result<()> {
        let mut writer = CvatWriter::begin(&mut **file, MARK, &source.names)?;
        let per = self.per();
        let drawn = |item: &Item| {
            let mask = item.read_mask()?;
            CvatMasks::new(&mask, &Regions::of(&mask, per))
                .with_context(|| too_many_objects(item, per))
        };
        self.in_order(&source.items, drawn, |item, masks| {
            Ok(writer.push(item.key(), &masks)?)
        })?;
        writer.finish()?;
        Ok(())
    }

    fn write_tasks(&self, source: &Source, file: &mut WholeFile) -> anyhow::Result<()> {
        let mut writer = TaskWriter::begin(&mut **file)?;
        let per = self.per();
        let task = |item: &Item| {
            let regions = Regions::of(&item.read_mask()?, per);
            let image = picture_address(&self.prefix, &item.file_name());
            Ok(Task::new(image, MARK, &regions, &source.names))
        };
        self.in_order(&source.items, task, |_, task| Ok(writer.push(&task)?))?;
        writer.finish()?;
        Ok(())
    }
}

pub(super) fn too_many_objects(item: &Item, per: Per) -> String {
    let (objects, instead) = match per {
        Per::Component => ("components", "--per category"),
        Per::Category => ("categories", "--format coco"),
    };
    format!(
        "{}: more than 254 {objects}, which this format has no room for; use {instead}",
        item.key()
    )
}

fn write_configuration(path: &Path, names: &[String]) -> anyhow::Result<()> {
    let color = |id| color_of(id).expect("above 0");
    let labels = (1..)
        .zip(names)
        .map(|(id, name)| (name.as_str(), color(id)));
    let text = format!("<!-- {MARK} -->\n{}", labelling_config(labels));
    whole_file::write_bytes(path, text.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// A file of others is not replaced.
fn check_place(path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    let Ok(data) = fs::metadata(path) else {
        return Ok(());
    };
    ensure!(
        data.is_file(),
        "{shown}: this is a folder, the format is one file; name the file with --out"
    );
    let is_ours =
        data.len() == 0 || has_mark(path, data.len()).with_context(|| format!("{shown}"))?;
    ensure!(
        is_ours,
        "{shown}: there is a file that `luss export` did not write; name another with --out, or remove it: rm {}",
        quoted(path)
    );
    Ok(())
}

fn has_mark(path: &Path, bytes: u64) -> std::io::Result<bool> {
    let mut file = File::open(path)?;
    let mut read = |at| -> std::io::Result<bool> {
        file.seek(SeekFrom::Start(at))?;
        let mut part = Vec::new();
        (&mut file).take(MARK_WITHIN).read_to_end(&mut part)?;
        Ok(part
            .windows(MARK.len())
            .any(|window| window == MARK.as_bytes()))
    };
    Ok(read(0)? || read(bytes.saturating_sub(MARK_WITHIN))?)
}
