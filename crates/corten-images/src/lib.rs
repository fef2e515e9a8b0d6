//! Load, save and import of images as algorithms over `ContentStore` and `Snapshotter`; platform choice.
