//! Every file of the fuzz target's corpus, through the function that the target calls.

use std::{fs, path::PathBuf};

#[test]
fn every_corpus_file_of_policies_is_refused_or_comes_back_the_same() {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/auditpol");
    let mut files = 0;
    for file in fs::read_dir(corpus).expect("the corpus") {
        audit::fuzzing::auditpol(&fs::read(file.expect("a file").path()).expect("its bytes"));
        files += 1;
    }
    assert!(files >= 5, "{files} files only");
}
