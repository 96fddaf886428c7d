//! Every file of the fuzz target's corpus, through the function that the target calls.

use std::{fs, path::PathBuf};

#[test]
fn every_corpus_file_of_certificates_is_refused_or_read_as_it_is() {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/x509");
    let mut kinds = [0; 6];
    for file in fs::read_dir(corpus).expect("the corpus") {
        let data = fs::read(file.expect("a file").path()).expect("its bytes");
        crypto::fuzzing::x509(&data);
        kinds[usize::from(data[0] % 6)] += 1;
    }
    assert!(kinds.iter().all(|files| *files > 0), "{kinds:?}");
}
