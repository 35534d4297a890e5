//! The shapes of a convolution: what meets what, and in which portions it is computed.
//!
//! Portions depend on the shapes alone, not on the number of threads, and so do the bits.

use std::ops::Range;

use burn::tensor::ops::ConvOptions;

/// Rows of a product, about: with [`PLACES`] a block of them fills half a megabyte.
pub(crate) const ROWS: usize = 256;
/// Places of a product, about.
pub(crate) const PLACES: usize = 512;
/// A product over fewer places is slow, so that small maps are taken several at a time.
const LEAST_PLACES: usize = 192;
/// Channels of a group whose product is slower than the direct way.
const NARROW: usize = 32;
/// Tasks that can run side by side, at least, as far as there is work for so many.
pub(crate) const TASKS: usize = 8;

/// Shapes and settings of a convolution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Convolution {
    /// `[batch, channels_in, height, width]`.
    pub(crate) input: [usize; 4],
    /// `[batch, channels_out, height_out, width_out]`.
    pub(crate) output: [usize; 4],
    /// Height and width.
    pub(crate) kernel: [usize; 2],
    /// Along both axes, as the rest.
    pub(crate) stride: [usize; 2],
    /// Above and to the left; what is below and to the right shows in the size of the output.
    pub(crate) padding: [usize; 2],
    pub(crate) dilation: [usize; 2],
    /// Input channels, and output channels, are in so many groups; each meets its own.
    pub(crate) groups: usize,
}

/// Some rows of the output of some pictures, all of one size.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) pictures: Range<usize>,
    pub(crate) rows: Range<usize>,
}

impl Places {
    pub(crate) fn new(pictures: Range<usize>, rows: Range<usize>) -> Self {
        Self { pictures, rows }
    }

    pub(crate) fn count(&self, of: &Convolution) -> usize {
        self.pictures.len() * self.rows.len() * of.output[3]
    }
}

/// Where along a row of the output a weight meets a row of the input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Met {
    /// The first place of the output that meets the input.
    pub(crate) place: usize,
    /// The first value of the input that is met, all others a stride apart.
    pub(crate) value: usize,
    /// How many meet.
    pub(crate) count: usize,
}

impl Convolution {
    /// Of weights `[channels_out, channels_in / groups, kernel, kernel]`.
    ///
    /// # Panics
    ///
    /// If the channels do not fit or the kernel is larger than the padded input.
    pub(crate) fn new(input: [usize; 4], weight: [usize; 4], options: &ConvOptions<2>) -> Self {
        let ([batch, channels, ..], [out, own, ..]) = (input, weight);
        let groups = options.groups;
        assert_eq!(
            channels,
            own * groups,
            "channels of the input and of the weights"
        );
        assert_eq!(out % groups, 0, "{out} output channels in {groups} groups");
        let kernel = [weight[2], weight[3]];
        let side = |axis: usize| {
            let (before, after) = options.padding[axis];
            let reach = options.dilation[axis] * (kernel[axis] - 1) + 1;
            let padded = before + input[2 + axis] + after;
            assert!(reach <= padded, "a kernel of {reach} on {padded} pixels");
            (padded - reach) / options.stride[axis] + 1
        };
        Self {
            input,
            output: [batch, out, side(0), side(1)],
            kernel,
            stride: options.stride,
            padding: options.padding_begin(),
            dilation: options.dilation,
            groups,
        }
    }

    /// Channels of a group, in and out.
    pub(crate) fn of_group(&self) -> [usize; 2] {
        [self.input[1], self.output[1]].map(|channels| channels / self.groups)
    }

    /// One group as a convolution of its own.
    pub(crate) fn group_alone(&self) -> Self {
        let [ins, outs] = self.of_group();
        let mut own = *self;
        own.groups = 1;
        own.input[1] = ins;
        own.output[1] = outs;
        own
    }

    /// Weights of a pair of channels.
    pub(crate) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Whether groups are so narrow that products of them are slow.
    pub(crate) fn is_narrow(&self) -> bool {
        self.of_group().into_iter().min() <= Some(NARROW)
    }

    /// Whether each place of the output meets the place of the input it lies on, and no other.
    pub(crate) fn is_pointwise(&self) -> bool {
        let alike = self.input[2..] == self.output[2..];
        self.taps() == 1 && self.stride == [1, 1] && self.padding == [0, 0] && alike
    }

    /// Numbers of a map of the input.
    pub(crate) fn pixels(&self) -> usize {
        self.input[2] * self.input[3]
    }

    /// Numbers of a map of the output.
    pub(crate) fn places(&self) -> usize {
        self.output[2] * self.output[3]
    }

    /// How many pictures are taken together, so that a product is over enough places. Several are so
    /// small that all their rows are one of [`Convolution::blocks_of_rows`], on which `output.rs` counts.
    pub(crate) fn pictures(&self) -> usize {
        let batch = self.input[0].max(1);
        let together = LEAST_PLACES.div_ceil(self.places()).clamp(1, batch);
        batch.div_ceil(batch.div_ceil(together))
    }

    /// The pictures of a group of [`Convolution::pictures`], the last may be smaller.
    pub(crate) fn group(&self, index: usize) -> Range<usize> {
        let size = self.pictures();
        index * size..self.input[0].min((index + 1) * size)
    }

    /// How many of some channels a task takes, so that there are [`TASKS`], but no fewer than `least`.
    pub(crate) fn together(&self, channels: usize, least: usize) -> usize {
        let groups = self.input[0].div_ceil(self.pictures());
        let parts = TASKS.div_ceil(groups);
        channels.div_ceil(parts).max(least).min(channels)
    }

    /// The rows of the output in blocks of some [`PLACES`].
    pub(crate) fn blocks_of_rows(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let [_, _, height, width] = self.output;
        blocks(0..height, (PLACES / width).clamp(1, height))
    }

    /// The row of the input that weights of kernel row `tap` meet at this row of the output.
    pub(crate) fn row_met(&self, row: usize, tap: usize) -> Option<usize> {
        let y = row * self.stride[0] + tap * self.dilation[0];
        y.checked_sub(self.padding[0])
            .filter(|&y| y < self.input[2])
    }

    /// What weights of kernel column `tap` meet along a row.
    pub(crate) fn columns_met(&self, tap: usize) -> Met {
        let (offset, padding) = (tap * self.dilation[1], self.padding[1]);
        met(
            offset,
            padding,
            self.stride[1],
            self.input[3],
            self.output[3],
        )
    }
}

/// What places, a stride apart, meet of the values of an axis; the first lies `offset` behind the first
/// number of the padding.
pub(crate) fn met(
    offset: usize,
    padding: usize,
    stride: usize,
    values: usize,
    places: usize,
) -> Met {
    let place = padding.saturating_sub(offset).div_ceil(stride);
    let value = (place * stride + offset) - padding;
    let inside = values.saturating_sub(value).div_ceil(stride);
    Met {
        // Beyond a narrow row there is nothing to meet.
        place: place.min(places),
        value: value.min(values),
        count: inside.min(places.saturating_sub(place)),
    }
}

/// A range in parts of one size, but for the last.
pub(crate) fn blocks(range: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range
        .step_by(size)
        .map(move |first| first..(first + size).min(end))
}
