//! The corpora of the fuzz targets that are of the program, through the functions that they call.

use std::fs;
use std::path::Path;

/// Gives every file of a target's corpus to its function, which its source has to call by the target's name.
pub(crate) fn replay(name: &str, target: fn(&[u8])) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let mut files = 0;
    for file in fs::read_dir(fuzz.join("corpus").join(name)).expect("the corpus") {
        target(&fs::read(file.expect("a file").path()).expect("its bytes"));
        files += 1;
    }
    assert!(files >= 5, "{files} files only");
    let source = fuzz.join("fuzz_targets").join(name).with_extension("rs");
    let source = fs::read_to_string(source).expect("the target");
    assert!(source.contains(&format!("fuzzing::{name}(data)")));
}
