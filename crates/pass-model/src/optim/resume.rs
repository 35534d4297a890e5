//! Takes up an optimiser where a checkpoint left it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::OptimizerRecord,
    store::{
        RecordError,
        burn_pack::{self, Reader, Writer},
    },
    tensor::Tensor,
};

use super::NetworkOptimizer;
use crate::init::is_variant;

/// Why the state of an optimiser could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum OptimizerError {
    /// The file could not be read.
    #[error(
        "cannot read the optimiser's state from {path}: {source}; resume from another checkpoint"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// The reader's own words.
        source: RecordError,
    },

    /// The file was written for another module.
    #[error(
        "{path} holds the state of `{parameter}`, which is no parameter of this module; \
         resume with the network settings of the saved run"
    )]
    UnknownParameter {
        /// The file.
        path: PathBuf,
        /// Path of the parameter in the saved module, or its id where the path is not known.
        parameter: String,
    },

    /// The file was written by another kind of optimiser.
    #[error(
        "{path} holds {found} tensors of state, of which this optimiser understands {restored}; \
         resume with the optimiser that wrote it"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Tensors in the file.
        found: usize,
        /// Tensors taken over.
        restored: usize,
    },
}

impl NetworkOptimizer {
    /// Takes up the state that [`save`](Self::save) wrote, bit by bit.
    ///
    /// burn keys the state by the ids of the parameters, and a module built anew has new ids. So the
    /// ids are translated by way of the parameters' paths in the module, which the file also holds.
    /// Where burn would leave out what it does not understand, and the run would go on without
    /// momentum, there is an error.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or was written for another module or by another kind of optimiser;
    /// the state is then as it was.
    pub fn load<M: Module>(&mut self, module: &M, path: &Path) -> Result<(), OptimizerError> {
        let read = |error: burn_pack::Error| read_error(path, error.into());
        let reader = Reader::from_file(path).map_err(read)?;
        let translation = Translation::new(&reader, module, path)?;
        let bytes = translation.apply(reader)?.into_bytes().map_err(read)?;
        let record = OptimizerRecord::from_bytes(bytes).map_err(|error| read_error(path, error))?;

        let found = record.len();
        let optimizer = self.optimizer.clone().load_record(record);
        let restored = optimizer.to_record().len();
        if restored != found {
            return Err(OptimizerError::Foreign {
                path: path.into(),
                found,
                restored,
            });
        }
        self.optimizer = optimizer;
        Ok(())
    }
}

fn read_error(path: &Path, source: RecordError) -> OptimizerError {
    OptimizerError::Read {
        path: path.into(),
        source,
    }
}

/// The ids of the saved module and those of this one.
struct Translation<'a> {
    path: &'a Path,
    ids: BTreeMap<String, u64>,
}

impl<'a> Translation<'a> {
    fn new<M: Module>(reader: &Reader, module: &M, path: &'a Path) -> Result<Self, OptimizerError> {
        let mut parameters = ParameterIds::default();
        module.visit(&mut parameters);
        let mut ids = BTreeMap::new();
        for (saved, parameter) in reader.metadata() {
            let id = parameters
                .ids
                .get(parameter)
                .ok_or_else(|| unknown(path, parameter))?;
            ids.insert(saved.clone(), *id);
        }
        Ok(Self { path, ids })
    }

    /// `"{saved id}.{field}"` with this module's id, which comes beside it.
    fn name(&self, saved: &str) -> Result<(String, u64), OptimizerError> {
        let (id, field) = saved
            .split_once('.')
            .ok_or_else(|| unknown(self.path, saved))?;
        let id = *self.ids.get(id).ok_or_else(|| unknown(self.path, id))?;
        Ok((format!("{id}.{field}"), id))
    }

    fn apply(&self, reader: Reader) -> Result<Writer, OptimizerError> {
        let read = |error: burn_pack::Error| read_error(self.path, error.into());
        let (scalars, paths) = (reader.scalars().clone(), reader.metadata().clone());
        let mut tensors = Vec::new();
        for tensor in reader.into_tensors().map_err(read)? {
            let (name, dtype, shape, _, bytes) = tensor.into_parts().map_err(read)?;
            let (name, id) = self.name(&name)?;
            tensors.push(burn_pack::Tensor::new(name, dtype, shape, Some(id), bytes));
        }
        let mut writer = Writer::new(tensors);
        for (name, value) in scalars {
            writer = writer.with_scalar(&self.name(&name)?.0, value);
        }
        for (saved, parameter) in paths {
            writer = writer.with_metadata(&self.ids[&saved].to_string(), &parameter);
        }
        Ok(writer)
    }
}

fn unknown(path: &Path, parameter: &str) -> OptimizerError {
    OptimizerError::UnknownParameter {
        path: path.into(),
        parameter: parameter.into(),
    }
}

/// Collects the ids of a module's parameters by their paths, as burn's optimiser spells them, and
/// without the variants of enums: older states have none.
#[derive(Default)]
struct ParameterIds {
    /// Each name on the way, and whether it is that of a variant.
    path: Vec<(String, bool)>,
    ids: BTreeMap<String, u64>,
}

impl ModuleVisitor for ParameterIds {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.push((name.into(), is_variant(container)));
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        let all: Vec<_> = self.path.iter().map(|(name, _)| name.as_str()).collect();
        let fields = self.path.iter().filter(|(_, is_variant)| !is_variant);
        let fields: Vec<_> = fields.map(|(name, _)| name.as_str()).collect();
        for path in [all, fields] {
            self.ids.insert(path.join("."), parameter.id.val());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::tests::{all, model, steps, weights};
    use burn::{
        module::ModuleMapper,
        nn::{Linear, LinearConfig},
        tensor::Device,
    };

    /// The same weights under new ids, as after the start of a new process.
    fn rebuilt(saved: &Linear) -> Linear {
        struct NewIds;
        impl ModuleMapper for NewIds {
            fn map_float<const D: usize>(&mut self, saved: Param<Tensor<D>>) -> Param<Tensor<D>> {
                Param::from_tensor(saved.val().inner().autodiff())
            }
        }
        saved.clone().map(&mut NewIds)
    }

    fn save(optimizer: &NetworkOptimizer) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("optimizer.bpk");
        optimizer.save(&path).unwrap();
        (folder, path)
    }

    #[test]
    fn an_interrupted_and_resumed_run_equals_an_uninterrupted_one_bit_by_bit() {
        for config in all() {
            let mut whole = config.init(&[]);
            let halfway = steps(&mut whole, model(), 0..3);
            let (_folder, path) = save(&whole);
            let restarted = rebuilt(&halfway);
            let expected = steps(&mut whole, halfway.clone(), 3..6);

            let mut resumed = config.init(&[]);
            resumed.load(&restarted, &path).unwrap();
            assert_ne!(restarted.weight.id, halfway.weight.id);
            assert_eq!(
                weights(&steps(&mut resumed, restarted, 3..6)),
                weights(&expected)
            );
            let forgetful = steps(&mut config.init(&[]), halfway, 3..6);
            assert_ne!(weights(&forgetful), weights(&expected));
        }
    }

    #[test]
    fn the_state_of_another_optimizer_is_refused() {
        let [lars, sgd, _] = all();
        let mut optimizer = sgd.init(&[]);
        let model = steps(&mut optimizer, model(), 0..1);
        let (_folder, path) = save(&optimizer);
        let error = lars
            .init(&[])
            .load(&model, &path)
            .expect_err("LARS is not SGD");
        assert!(
            error.to_string().contains("holds 2 tensors of state"),
            "{error}"
        );
    }

    #[test]
    fn the_state_of_another_module_is_refused() {
        let mut optimizer = all()[0].init(&[]);
        steps(&mut optimizer, model(), 0..1);
        let (_folder, path) = save(&optimizer);
        let other = LinearConfig::new(5, 3)
            .with_bias(false)
            .init(&Device::default());
        let error = all()[0].init(&[]).load(&other, &path).expect_err("no bias");
        assert!(error.to_string().contains("the state of `bias`"), "{error}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let path = Path::new("/nowhere/optimizer.bpk");
        let error = all()[0]
            .init(&[])
            .load(&model(), path)
            .expect_err("no such file");
        assert!(
            error.to_string().contains("/nowhere/optimizer.bpk"),
            "{error}"
        );
    }
}
