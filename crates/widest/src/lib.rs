//! Loops compiled for the widest vectors that the processor has.
//!
//! ```
//! use widest::widest;
//!
//! fn doubled(values: &[f32]) -> Vec<f32> {
//!     widest!((values: &'a [f32]) -> Vec<f32> { values.iter().map(|x| 2.0 * x).collect() })
//! }
//! assert_eq!(doubled(&[1.0, 2.5]), [2.0, 5.0]);
//! ```

#[doc(hidden)]
pub use pulp;

/// Runs a block with the vector instructions of this processor.
///
/// `widest!((a: A, b: B) -> Output { .. })` sees `a` and `b` of the surrounding function and
/// nothing else; references in their types have the lifetime `'a`. The compiler vectorises what
/// it inlines into the block, so the functions called there have to be `#[inline(always)]`.
///
/// Integers and single roundings do not depend on the width of a vector. Where a block does nothing else,
/// results are the same on every processor.
#[macro_export]
macro_rules! widest {
    (($($name:ident: $kind:ty),+) -> $output:ty $block:block) => {{
        struct Loops<'a> {
            $($name: $kind,)+
            lifetime: ::std::marker::PhantomData<&'a ()>,
        }
        impl $crate::pulp::NullaryFnOnce for Loops<'_> {
            type Output = $output;
            #[inline(always)]
            fn call(self) -> $output {
                $(let $name = self.$name;)+
                $block
            }
        }
        let lifetime = ::std::marker::PhantomData;
        $crate::pulp::Arch::new().dispatch(Loops { $($name,)+ lifetime })
    }};
}
