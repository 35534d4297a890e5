//! Loops compiled for the widest vectors that the processor has.

/// Runs a block with the vector instructions of this processor.
///
/// `widest!((a: A, b: B) -> Output { .. })` sees `a` and `b` of the surrounding function and
/// nothing else; references in their types have the lifetime `'a`. The compiler vectorises what
/// it inlines into the block, so the functions called there have to be `#[inline(always)]`.
macro_rules! widest {
    (($($name:ident: $kind:ty),+) -> $output:ty $block:block) => {{
        struct Loops<'a> {
            $($name: $kind,)+
            lifetime: std::marker::PhantomData<&'a ()>,
        }
        impl pulp::NullaryFnOnce for Loops<'_> {
            type Output = $output;
            #[inline(always)]
            fn call(self) -> $output {
                $(let $name = self.$name;)+
                $block
            }
        }
        let lifetime = std::marker::PhantomData;
        pulp::Arch::new().dispatch(Loops { $($name,)+ lifetime })
    }};
}

pub(crate) use widest;
