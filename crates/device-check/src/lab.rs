//! One run of a computation on one device.

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{DType, Device, Gradients, Int, Tensor, TensorData},
};

use crate::{
    note::{Kind, Note, Values},
    numbers::Numbers,
};

type Read = Box<dyn FnOnce() -> Values>;
type ReadGradient = Box<dyn FnOnce(&Gradients) -> Option<Values>>;

/// Hands out inputs and weights, and keeps what is to be compared.
///
/// Tensors are read back after the backward pass, not when they are noted: a training step does
/// not read in between either, so that operations fuse here as they do there.
pub struct Lab {
    device: Device,
    numbers: Numbers,
    values: Vec<(String, Read)>,
    leaves: Vec<(String, ReadGradient)>,
    objective: Option<Tensor<1>>,
}

impl Lab {
    /// A run on a device; each has the same numbers.
    pub(crate) fn new(device: &Device) -> Self {
        Self {
            device: device.clone().autodiff(),
            numbers: Numbers::new(0),
            values: Vec::new(),
            leaves: Vec::new(),
            objective: None,
        }
    }

    /// The device, with gradients.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The stream of numbers that inputs are drawn from.
    pub fn numbers(&mut self) -> &mut Numbers {
        &mut self.numbers
    }

    /// A standard normal input whose gradient is compared.
    pub fn input<const D: usize>(&mut self, name: &str, shape: [usize; D]) -> Tensor<D> {
        let input = self.constant(shape).require_grad();
        self.leaf(name.into(), input.clone());
        input
    }

    /// A standard normal tensor without gradient.
    pub fn constant<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        let data = self.numbers.normal(shape);
        self.upload(data)
    }

    /// Numbers as a tensor without gradient.
    pub fn upload<const D: usize>(&self, data: TensorData) -> Tensor<D> {
        Tensor::from_data(data, (&self.device, DType::F32))
    }

    /// Labels below `classes`.
    pub fn labels<const D: usize>(&mut self, shape: [usize; D], classes: i32) -> Tensor<D, Int> {
        Tensor::from_data(self.numbers.below(shape, classes), &self.device)
    }

    /// A module whose gradients are compared.
    ///
    /// Its vectors (scales, shifts, biases, moving statistics) are drawn from 0.5 to 1.5: at their
    /// initial zeros and ones a mistake in them would not show.
    pub fn module<M: Module>(&mut self, module: M) -> M {
        module.map(&mut Prepare {
            lab: self,
            path: Vec::new(),
        })
    }

    /// Notes the buffers of a module, that is its moving statistics.
    pub fn buffers<M: Module>(&mut self, module: &M) {
        module.visit(&mut NoteBuffers {
            lab: self,
            path: Vec::new(),
        });
    }

    /// Notes how far each trained parameter went.
    ///
    /// Not noted are those whose path ends in one of `rounding`: a bias in front of a norm has no
    /// gradient but rounding, which LARS scales up to a whole step, and the norm takes it out again.
    pub fn changes<M: Module>(&mut self, before: &M, after: &M, rounding: &[&str]) {
        for ((name, before), (_, after)) in trained(before).into_iter().zip(trained(after)) {
            if !rounding.iter().any(|end| name.ends_with(end)) {
                self.value(&name, after - before);
            }
        }
    }

    /// Notes a value.
    pub fn value<const D: usize>(&mut self, name: &str, tensor: Tensor<D>) {
        let tensor = tensor.inner();
        self.values.push((
            name.into(),
            Box::new(move || Values::read(&tensor.into_data())),
        ));
    }

    /// Notes values that are on the host already.
    pub fn host_values(&mut self, name: &str, values: impl IntoIterator<Item = f64>) {
        let numbers: Vec<f64> = values.into_iter().collect();
        let values = Values {
            shape: vec![numbers.len()],
            numbers,
        };
        self.values.push((name.into(), Box::new(move || values)));
    }

    /// Notes a value and takes it into the objective, weighted element by element with numbers
    /// from 0.5 to 1.5, so that no two elements could be swapped.
    pub fn output<const D: usize>(&mut self, name: &str, tensor: Tensor<D>) {
        let pull = self.numbers.uniform(tensor.dims(), [0.5, 1.5]);
        let pulled = (tensor.clone() * self.upload(pull)).sum();
        self.objective = Some(match self.objective.take() {
            Some(sum) => sum + pulled,
            None => pulled,
        });
        self.value(name, tensor);
    }

    fn leaf<const D: usize>(&mut self, name: String, leaf: Tensor<D>) {
        let read = move |gradients: &Gradients| {
            leaf.grad(gradients)
                .map(|gradient| Values::read(&gradient.into_data()))
        };
        self.leaves.push((name, Box::new(read)));
    }

    /// The backward pass, and everything read back.
    pub(crate) fn finish(self) -> Vec<Note> {
        let gradients = self.objective.map(|objective| objective.backward());
        let values = self.values.into_iter().map(|(name, read)| Note {
            kind: Kind::Value,
            name,
            tensor: Some(read()),
        });
        let mut notes: Vec<Note> = values.collect();
        for (name, read) in self.leaves {
            let tensor = gradients.as_ref().and_then(read);
            notes.push(Note {
                kind: Kind::Gradient,
                name,
                tensor,
            });
        }
        notes
    }
}

/// Draws the vectors of a module and notes its trained parameters as leaves.
struct Prepare<'a> {
    lab: &'a mut Lab,
    path: Vec<String>,
}

impl ModuleMapper for Prepare<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, mut param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let trained = param.val().is_require_grad();
        if D == 1 {
            let drawn = self.lab.numbers.uniform(param.dims(), [0.5, 1.5]);
            let drawn = self.lab.upload::<D>(drawn);
            param = param.map(|_| if trained { drawn.require_grad() } else { drawn });
        }
        if trained {
            self.lab.leaf(self.path.join("."), param.val());
        }
        param
    }
}

/// Notes the parameters that are not trained.
struct NoteBuffers<'a> {
    lab: &'a mut Lab,
    path: Vec<String>,
}

impl ModuleVisitor for NoteBuffers<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !param.val().is_require_grad() {
            self.lab.value(&self.path.join("."), param.val());
        }
    }
}

/// The trained parameters of a module, each as one vector.
fn trained<M: Module>(module: &M) -> Vec<(String, Tensor<1>)> {
    let mut visitor = Trained::default();
    module.visit(&mut visitor);
    visitor.parameters
}

#[derive(Default)]
struct Trained {
    parameters: Vec<(String, Tensor<1>)>,
    path: Vec<String>,
}

impl ModuleVisitor for Trained {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        if value.is_require_grad() {
            let count = value.shape().num_elements();
            self.parameters
                .push((self.path.join("."), value.inner().reshape([count])));
        }
    }
}
