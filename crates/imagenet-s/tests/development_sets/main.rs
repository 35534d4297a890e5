//! Real pictures in the ImageNet-S layout, where the development sets lie beside the checkout.

mod shared;
