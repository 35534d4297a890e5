//! The table of Inception v3: names as in torchvision, channels and kernels.

/// A convolution with norm and ReLU.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layer {
    pub(super) name: &'static str,
    /// Of the output, in the published network.
    pub(super) channels: usize,
    /// Height and width.
    pub(super) kernel: [usize; 2],
    pub(super) stride: usize,
    /// Whether zeros around the map keep its size.
    pub(super) padded: bool,
}

/// Layers that follow each other, and layers that all take the last one's map.
#[derive(Debug, Clone)]
pub(super) struct BranchShape {
    pub(super) chain: Vec<Layer>,
    pub(super) fork: Vec<Layer>,
}

/// One block of parallel branches.
#[derive(Debug, Clone)]
pub(super) struct BlockShape {
    pub(super) name: &'static str,
    pub(super) branches: Vec<BranchShape>,
    /// After the pooling; a block without it halves the map.
    pub(super) branch_pool: Option<Layer>,
}

/// A layer within a block.
fn layer(name: &'static str, channels: usize, height: usize, width: usize) -> Layer {
    Layer {
        name,
        channels,
        kernel: [height, width],
        stride: 1,
        padded: true,
    }
}

/// A layer that does not pad.
fn bare(name: &'static str, channels: usize, kernel: usize, stride: usize) -> Layer {
    Layer {
        stride,
        padded: false,
        ..layer(name, channels, kernel, kernel)
    }
}

/// The last layer of a branch in a block that halves the map.
fn halving(name: &'static str, channels: usize) -> Layer {
    bare(name, channels, 3, 2)
}

fn chain(layers: &[Layer]) -> BranchShape {
    forked(layers, &[])
}

fn forked(layers: &[Layer], fork: &[Layer]) -> BranchShape {
    BranchShape {
        chain: layers.to_vec(),
        fork: fork.to_vec(),
    }
}

/// The layers before the blocks; max-poolings follow the third and the fifth.
pub(super) fn stem() -> [Layer; 5] {
    [
        bare("Conv2d_1a_3x3", 32, 3, 2),
        bare("Conv2d_2a_3x3", 32, 3, 1),
        layer("Conv2d_2b_3x3", 64, 3, 3),
        bare("Conv2d_3b_1x1", 80, 1, 1),
        bare("Conv2d_4a_3x3", 192, 3, 1),
    ]
}

/// The blocks in their order.
pub(super) fn blocks() -> [BlockShape; 11] {
    [
        fine("Mixed_5b", 32),
        fine("Mixed_5c", 64),
        fine("Mixed_5d", 64),
        first_halving(),
        crossed("Mixed_6b", 128),
        crossed("Mixed_6c", 160),
        crossed("Mixed_6d", 160),
        crossed("Mixed_6e", 192),
        second_halving(),
        wide("Mixed_7b"),
        wide("Mixed_7c"),
    ]
}

fn block(name: &'static str, branches: Vec<BranchShape>, pool: usize) -> BlockShape {
    BlockShape {
        name,
        branches,
        branch_pool: Some(layer("branch_pool", pool, 1, 1)),
    }
}

/// Kernels of 3×3 and 5×5.
fn fine(name: &'static str, pool: usize) -> BlockShape {
    let branches = vec![
        chain(&[layer("branch1x1", 64, 1, 1)]),
        chain(&[
            layer("branch5x5_1", 48, 1, 1),
            layer("branch5x5_2", 64, 5, 5),
        ]),
        chain(&[
            layer("branch3x3dbl_1", 64, 1, 1),
            layer("branch3x3dbl_2", 96, 3, 3),
            layer("branch3x3dbl_3", 96, 3, 3),
        ]),
    ];
    block(name, branches, pool)
}

/// Kernels of one row and of one column, `inner` channels between them.
fn crossed(name: &'static str, inner: usize) -> BlockShape {
    let branches = vec![
        chain(&[layer("branch1x1", 192, 1, 1)]),
        chain(&[
            layer("branch7x7_1", inner, 1, 1),
            layer("branch7x7_2", inner, 1, 7),
            layer("branch7x7_3", 192, 7, 1),
        ]),
        chain(&[
            layer("branch7x7dbl_1", inner, 1, 1),
            layer("branch7x7dbl_2", inner, 7, 1),
            layer("branch7x7dbl_3", inner, 1, 7),
            layer("branch7x7dbl_4", inner, 7, 1),
            layer("branch7x7dbl_5", 192, 1, 7),
        ]),
    ];
    block(name, branches, 192)
}

/// Branches that end in a row and a column beside each other.
fn wide(name: &'static str) -> BlockShape {
    let branches = vec![
        chain(&[layer("branch1x1", 320, 1, 1)]),
        forked(
            &[layer("branch3x3_1", 384, 1, 1)],
            &[
                layer("branch3x3_2a", 384, 1, 3),
                layer("branch3x3_2b", 384, 3, 1),
            ],
        ),
        forked(
            &[
                layer("branch3x3dbl_1", 448, 1, 1),
                layer("branch3x3dbl_2", 384, 3, 3),
            ],
            &[
                layer("branch3x3dbl_3a", 384, 1, 3),
                layer("branch3x3dbl_3b", 384, 3, 1),
            ],
        ),
    ];
    block(name, branches, 192)
}

fn first_halving() -> BlockShape {
    BlockShape {
        name: "Mixed_6a",
        branches: vec![
            chain(&[halving("branch3x3", 384)]),
            chain(&[
                layer("branch3x3dbl_1", 64, 1, 1),
                layer("branch3x3dbl_2", 96, 3, 3),
                halving("branch3x3dbl_3", 96),
            ]),
        ],
        branch_pool: None,
    }
}

fn second_halving() -> BlockShape {
    BlockShape {
        name: "Mixed_7a",
        branches: vec![
            chain(&[layer("branch3x3_1", 192, 1, 1), halving("branch3x3_2", 320)]),
            chain(&[
                layer("branch7x7x3_1", 192, 1, 1),
                layer("branch7x7x3_2", 192, 1, 7),
                layer("branch7x7x3_3", 192, 7, 1),
                halving("branch7x7x3_4", 192),
            ]),
        ],
        branch_pool: None,
    }
}

impl BranchShape {
    /// All layers, each with the channels of its input.
    pub(super) fn layers(&self, before: usize) -> impl Iterator<Item = (usize, Layer)> {
        let last = self.chain.last().map_or(before, |layer| layer.channels);
        let chain = self.chain.iter().scan(before, |before, layer| {
            Some((std::mem::replace(before, layer.channels), *layer))
        });
        chain.chain(self.fork.iter().map(move |layer| (last, *layer)))
    }

    fn channels(&self) -> usize {
        match self.fork.as_slice() {
            [] => self.chain.last().map_or(0, |layer| layer.channels),
            fork => fork.iter().map(|layer| layer.channels).sum(),
        }
    }
}

impl BlockShape {
    /// Channels of the output.
    pub(super) fn channels(&self, before: usize) -> usize {
        let branches: usize = self.branches.iter().map(BranchShape::channels).sum();
        branches + self.branch_pool.map_or(before, |layer| layer.channels)
    }

    /// All layers, each with the channels of its input.
    pub(super) fn layers(&self, before: usize) -> impl Iterator<Item = (usize, Layer)> {
        let branches = self.branches.iter();
        let layers = branches.flat_map(move |branch| branch.layers(before));
        layers.chain(self.branch_pool.map(|layer| (before, layer)))
    }
}

/// The blocks, each with the channels of its input.
pub(super) fn blocks_with_inputs() -> impl Iterator<Item = (usize, BlockShape)> {
    let first = stem()[4].channels;
    blocks().into_iter().scan(first, |before, block| {
        let own = *before;
        *before = block.channels(own);
        Some((own, block))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_the_published_channels() {
        let channels = blocks_with_inputs().map(|(before, block)| block.channels(before));
        let expected = [256, 288, 288, 768, 768, 768, 768, 768, 1280, 2048, 2048];
        assert_eq!(channels.collect::<Vec<_>>(), expected);
    }
}
