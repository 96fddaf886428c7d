//! Every file of the fuzz targets' corpora, through the functions that the targets call.

use std::{fs, path::PathBuf};

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let fuzz = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let files = fs::read_dir(fuzz.join("corpus").join(name)).expect("the corpus");
    let read = |file: std::io::Result<fs::DirEntry>| fs::read(file.expect("a file").path());
    let files: Vec<_> = files.map(|file| read(file).expect("its bytes")).collect();
    assert!(files.len() >= 5, "{name} has {} files only", files.len());
    files
}

#[test]
fn every_corpus_file_of_queries_is_refused_or_answered() {
    for data in corpus("xpath") {
        eventlog::fuzzing::xpath(&data);
    }
}

#[test]
fn every_corpus_file_of_records_is_refused_or_loaded() {
    for data in corpus("record") {
        eventlog::fuzzing::record(&data);
    }
}
