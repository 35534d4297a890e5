//! NumPy arrays as masks.

use std::fmt::Display;

use luss_metrics::{ImageCounts, LabelMask, MaskView, Protocol};
use numpy::{
    Element, PyArrayDescrMethods, PyReadonlyArrayDyn, PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::{
    exceptions::{PyTypeError, PyValueError},
    prelude::*,
    types::{PyList, PyTuple},
};

use crate::error::value_error;

/// Arrays that stay borrowed while their pictures are read.
pub(crate) struct Masks<'py> {
    /// "prediction" or "truth", for messages.
    name: &'static str,
    arrays: Vec<Array<'py>>,
}

/// An array of ids of one of the types that masks have.
enum Array<'py> {
    U8(PyReadonlyArrayDyn<'py, u8>),
    U16(PyReadonlyArrayDyn<'py, u16>),
    I32(PyReadonlyArrayDyn<'py, i32>),
    I64(PyReadonlyArrayDyn<'py, i64>),
}

/// The ids of one picture, in memory that Python owns.
#[derive(Clone, Copy)]
pub(crate) struct Picture<'a> {
    width: usize,
    height: usize,
    labels: Labels<'a>,
}

#[derive(Clone, Copy)]
enum Labels<'a> {
    U8(&'a [u8]),
    U16(&'a [u16]),
    I32(&'a [i32]),
    I64(&'a [i64]),
}

/// A prediction and its truth.
pub(crate) type Pair<'a> = (Picture<'a>, Picture<'a>);

impl<'py> Masks<'py> {
    /// One array, or a list or tuple of them.
    pub(crate) fn new(name: &'static str, argument: &Bound<'py, PyAny>) -> PyResult<Self> {
        let is_sequence =
            argument.is_instance_of::<PyList>() || argument.is_instance_of::<PyTuple>();
        let arrays = if is_sequence {
            let items = argument.try_iter()?;
            items.map(|item| Array::new(name, &item?)).collect()
        } else {
            Array::new(name, argument).map(|array| vec![array])
        };
        Ok(Self {
            name,
            arrays: arrays?,
        })
    }

    /// All pictures, in their order.
    fn pictures(&self) -> PyResult<Vec<Picture<'_>>> {
        let mut pictures = Vec::new();
        for array in &self.arrays {
            array.append_to(&mut pictures, self.name)?;
        }
        Ok(pictures)
    }
}

/// The pictures of both, one beside the other.
pub(crate) fn pairs<'a>(prediction: &'a Masks, truth: &'a Masks) -> PyResult<Vec<Pair<'a>>> {
    let (predictions, truths) = (prediction.pictures()?, truth.pictures()?);
    if predictions.len() != truths.len() {
        return Err(PyValueError::new_err(format!(
            "{} predictions were given for {} truths; pass one prediction for each",
            predictions.len(),
            truths.len()
        )));
    }
    Ok(predictions.into_iter().zip(truths).collect())
}

impl<'py> Array<'py> {
    fn new(name: &str, object: &Bound<'py, PyAny>) -> PyResult<Self> {
        let Ok(array) = object.cast::<PyUntypedArray>() else {
            return Err(PyTypeError::new_err(format!(
                "the {name} is a {}, not a NumPy array; pass numpy.asarray(…), and lists of arrays",
                object.get_type().name()?
            )));
        };
        check_kind(name, array)?;
        check_layout(name, array)?;
        if let Ok(array) = object.extract() {
            Ok(Self::U16(array))
        } else if let Ok(array) = object.extract() {
            Ok(Self::U8(array))
        } else if let Ok(array) = object.extract() {
            Ok(Self::I64(array))
        } else if let Ok(array) = object.extract() {
            Ok(Self::I32(array))
        } else {
            Err(wrong_type(name, array))
        }
    }

    /// Appends the pictures of the array.
    fn append_to<'a>(&'a self, pictures: &mut Vec<Picture<'a>>, name: &str) -> PyResult<()> {
        match self {
            Self::U8(array) => append(pictures, name, array, Labels::U8),
            Self::U16(array) => append(pictures, name, array, Labels::U16),
            Self::I32(array) => append(pictures, name, array, Labels::I32),
            Self::I64(array) => append(pictures, name, array, Labels::I64),
        }
    }
}

/// Refuses masked arrays: what they hide would count.
fn check_kind(name: &str, array: &Bound<PyUntypedArray>) -> PyResult<()> {
    let masked = array.py().import("numpy.ma")?.getattr("MaskedArray")?;
    if array.is_instance(&masked)? {
        return Err(PyTypeError::new_err(format!(
            "the {name} is a masked array, whose mask is not read; give the masked pixels of the truth an id of \
             their own, such as truth.filled(255), and pass that as `ignore`"
        )));
    }
    Ok(())
}

/// Refuses arrays whose ids do not lie row by row.
fn check_layout(name: &str, array: &Bound<PyUntypedArray>) -> PyResult<()> {
    let dimensions = array.ndim();
    if !(2..=3).contains(&dimensions) {
        return Err(PyValueError::new_err(format!(
            "the {name} has {dimensions} dimensions, of {:?}; a mask has two (height, width), \
             several pictures of one size have three (pictures, height, width)",
            array.shape()
        )));
    }
    if !array.is_c_contiguous() || !array.is_aligned() {
        return Err(PyValueError::new_err(format!(
            "the labels of the {name} do not lie row by row in memory (Fortran order, a slice, or \
             unaligned); pass numpy.ascontiguousarray(…), which copies them"
        )));
    }
    Ok(())
}

fn wrong_type(name: &str, array: &Bound<PyUntypedArray>) -> PyErr {
    let dtype = array.dtype();
    let kind = if matches!(dtype.byteorder(), b'>' | b'<') {
        "ids of this byte order"
    } else {
        "such ids"
    };
    PyTypeError::new_err(format!(
        "the {name} is of type {dtype}, but {kind} are not read: uint8, uint16, int32 and int64 of this \
         machine's byte order are; pass mask.astype(numpy.uint16)"
    ))
}

fn append<'a, T: Element>(
    pictures: &mut Vec<Picture<'a>>,
    name: &str,
    array: &'a PyReadonlyArrayDyn<T>,
    labels: fn(&'a [T]) -> Labels<'a>,
) -> PyResult<()> {
    let &[.., height, width] = array.shape() else {
        unreachable!("two or three dimensions were checked")
    };
    if width == 0 || height == 0 {
        return Err(PyValueError::new_err(format!(
            "the {name} is empty: it has the shape {:?}",
            array.shape()
        )));
    }
    let ids = array.as_slice().map_err(value_error)?;
    pictures.extend(ids.chunks_exact(width * height).map(|ids| Picture {
        width,
        height,
        labels: labels(ids),
    }));
    Ok(())
}

impl Picture<'_> {
    /// The picture as it lies in memory, or converted in `buffer`.
    fn view<'b>(&'b self, buffer: &'b mut Vec<u16>) -> Result<MaskView<'b>, String> {
        let labels = match self.labels {
            Labels::U16(ids) => ids,
            Labels::U8(ids) => self.convert(ids, buffer)?,
            Labels::I32(ids) => self.convert(ids, buffer)?,
            Labels::I64(ids) => self.convert(ids, buffer)?,
        };
        MaskView::new(self.width, self.height, labels).map_err(|error| error.to_string())
    }

    /// A copy of the picture.
    pub(crate) fn to_mask(self) -> PyResult<LabelMask> {
        let mut buffer = Vec::new();
        let view = self.view(&mut buffer).map_err(value_error)?;
        Ok(LabelMask::from(view))
    }

    fn convert<'b, T>(&self, ids: &[T], buffer: &'b mut Vec<u16>) -> Result<&'b [u16], String>
    where
        T: Copy + Display + TryInto<u16>,
    {
        buffer.clear();
        buffer.extend(ids.iter().map_while(|&id| id.try_into().ok()));
        match ids.get(buffer.len()) {
            None => Ok(buffer),
            Some(id) => Err(format!(
                "it has id {id} at x={}, y={}, but ids are 0 to 65535; give ignored pixels an id such as 255 \
                 and pass it as `ignore`",
                buffer.len() % self.width,
                buffer.len() / self.width
            )),
        }
    }
}

/// The counts of each pair, or what is wrong with the first bad one. Takes no lock of Python.
pub(crate) fn count(
    pairs: &[Pair],
    clusters: u16,
    protocol: &Protocol,
) -> Result<Vec<ImageCounts>, String> {
    let mut buffers = (Vec::new(), Vec::new());
    let counted = pairs
        .iter()
        .enumerate()
        .map(|(index, (prediction, truth))| {
            let prediction = prediction
                .view(&mut buffers.0)
                .map_err(|e| format!("prediction: {e}"));
            let truth = truth
                .view(&mut buffers.1)
                .map_err(|e| format!("truth: {e}"));
            let counts = prediction.and_then(|prediction| {
                ImageCounts::new(prediction, truth?, clusters, protocol).map_err(|e| e.to_string())
            });
            counts.map_err(|error| match pairs.len() {
                1 => error,
                _ => format!("picture {index} (counted from 0): {error}"),
            })
        });
    counted.collect()
}
