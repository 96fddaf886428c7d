//! What the fuzz targets call, and the ordinary tests with the targets' corpora.
