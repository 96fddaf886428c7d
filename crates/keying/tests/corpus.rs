//! Every file of the endpoint's fuzz corpus, through the function that the target calls.

use std::{fs, path::PathBuf};

#[test]
fn every_corpus_file_leaves_a_balanced_account_and_no_state() {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/endpoint");
    let mut files = 0;
    for file in fs::read_dir(corpus).expect("the endpoint's corpus") {
        keying::fuzzing::endpoint(&fs::read(file.expect("a file").path()).expect("its bytes"));
        files += 1;
    }
    assert!(files >= 20, "{files} files only");
}
