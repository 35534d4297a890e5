//! What a checkpoint holds: network with its buffers, optimiser state, queue.

use std::{collections::BTreeMap, fs, path::Path};

use burn::{
    module::Module,
    optim::ModuleOptimizer,
    tensor::{Bytes, DType, TensorData},
};
use pass_model::{
    checkpoint::{load_module, save_module},
    optim::load_optimizer,
    queue::Queue,
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::Error;

/// Writes network, optimiser and queue into a checkpoint's folder.
pub(crate) fn save_training<M: Module>(
    dir: &Path,
    net: &M,
    optimizer: &ModuleOptimizer,
    queue: Option<&Queue>,
) -> Result<(), Error> {
    save_module(net, &dir.join("net.safetensors"))?;
    let place = dir.join("optimizer.bpk");
    optimizer
        .save(&place)
        .map_err(|cause| damaged(&place, cause))?;
    match queue {
        Some(queue) => write_tensors(&dir.join("queue.safetensors"), &queue.to_tensors()),
        None => Ok(()),
    }
}

/// Takes up network and optimiser as [`save_training`] wrote them.
pub(crate) fn restore_training<M: Module>(
    dir: &Path,
    net: &mut M,
    optimizer: &mut ModuleOptimizer,
) -> Result<(), Error> {
    load_module(net, &dir.join("net.safetensors"))?;
    let place = dir.join("optimizer.bpk");
    *optimizer = load_optimizer(optimizer.clone(), net, &place)?;
    Ok(())
}

/// Takes up the queue as [`save_training`] wrote it; `fresh` is one of its size. Nothing where no
/// queue had begun.
pub(crate) fn restore_queue(dir: &Path, fresh: Option<Queue>) -> Result<Option<Queue>, Error> {
    let place = dir.join("queue.safetensors");
    match fresh {
        Some(mut queue) if place.exists() => {
            queue
                .restore(&read_tensors(&place)?)
                .map_err(|cause| damaged(&place, cause))?;
            Ok(Some(queue))
        }
        _ => Ok(None),
    }
}

fn write_tensors(path: &Path, tensors: &BTreeMap<String, TensorData>) -> Result<(), Error> {
    let views = tensors.iter().map(|(name, data)| {
        let view = TensorView::new(dtype(data.dtype()), data.shape().to_vec(), data.as_bytes());
        (name.clone(), view.expect("a tensor's bytes fit its shape"))
    });
    let bytes = safetensors::serialize(views, None).map_err(|cause| damaged(path, cause))?;
    fs::write(path, bytes).map_err(Error::io(path, "write"))
}

fn read_tensors(path: &Path) -> Result<BTreeMap<String, TensorData>, Error> {
    let bytes = fs::read(path).map_err(Error::io(path, "read"))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|cause| damaged(path, cause))?;
    file.iter()
        .map(|(name, view)| {
            let kind = match view.dtype() {
                Dtype::F32 => DType::F32,
                Dtype::I64 => DType::I64,
                other => return Err(damaged(path, format!("`{name}` is of type {other:?}"))),
            };
            let bytes = Bytes::from_bytes_vec(view.data().to_vec());
            Ok((
                name.to_string(),
                TensorData::from_bytes(bytes, view.shape().to_vec(), kind),
            ))
        })
        .collect()
}

/// The kinds of number that a queue consists of.
fn dtype(kind: DType) -> Dtype {
    match kind {
        DType::F32 => Dtype::F32,
        DType::I64 => Dtype::I64,
        other => panic!("a queue holds f32 and i64, not {other:?}"),
    }
}

fn damaged(path: &Path, cause: impl std::fmt::Display) -> Error {
    Error::Damaged {
        path: path.into(),
        cause: cause.to_string(),
    }
}
