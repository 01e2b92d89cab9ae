#![doc = include_str!("../README.md")]

use proc_macro::TokenStream;

/// Compiles a function for speed, whatever the rest is compiled for.
#[proc_macro_attribute]
pub fn hot(_: TokenStream, function: TokenStream) -> TokenStream {
    let mut marked: TokenStream = "#[cfg_attr(hot, optimize(speed))]".parse().unwrap_or_default();
    marked.extend(function);
    marked
}
