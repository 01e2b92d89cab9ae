#![no_std]
#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]

mod bytes;
mod error;
mod image;
mod uimage;
mod zimage;

pub use error::{Error, Foreign};
pub use image::Image;
pub use uimage::{Architecture, UImage};
pub use zimage::{Behind, Unpacked, ZImage};

/// A kernel file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel<'a> {
    /// For AArch32.
    ZImage(ZImage<'a>),
    /// For AArch64.
    Image(Image<'a>),
    /// For either, with addresses to load and start it at.
    UImage(UImage<'a>),
}

impl<'a> Kernel<'a> {
    /// Says what a file is.
    pub fn parse(file: &'a [u8]) -> Result<Self, Error> {
        if UImage::is_one(file) {
            UImage::parse(file).map(Self::UImage)
        } else if Image::is_one(file) {
            Image::parse(file).map(Self::Image)
        } else {
            ZImage::parse(file).map(Self::ZImage)
        }
    }
}
