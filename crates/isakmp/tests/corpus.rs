//! Every file of the fuzz targets' corpora, through the function that the target calls.

use std::{fs, path::PathBuf};

use isakmp::fuzzing;

#[test]
fn every_corpus_file_is_refused_or_comes_back_the_same() {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, target) in fuzzing::TARGETS {
        let mut files = 0;
        for file in fs::read_dir(corpus.join(name)).expect("a corpus for each target") {
            target(&fs::read(file.expect("a file").path()).expect("its bytes"));
            files += 1;
        }
        assert!(files >= 5, "{name} has {files} files only");
    }
}

#[test]
fn there_is_a_fuzz_target_of_each_name() {
    let targets = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/fuzz_targets");
    for (name, _) in fuzzing::TARGETS {
        let source = fs::read_to_string(targets.join(name).with_extension("rs"))
            .expect("a fuzz target's source");
        assert!(source.contains(&format!("run(\"{name}\"")));
    }
}
