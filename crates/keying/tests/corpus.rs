//! Every file of the endpoint's fuzz corpus, through the function that the target calls.

use std::{fs, path::PathBuf};

fn corpus() -> Vec<Vec<u8>> {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/endpoint");
    let mut files: Vec<PathBuf> = fs::read_dir(corpus)
        .expect("the endpoint's corpus")
        .map(|file| file.expect("a file").path())
        .collect();
    files.sort();
    files
        .iter()
        .map(|file| fs::read(file).expect("its bytes"))
        .collect()
}

#[test]
fn every_corpus_file_leaves_a_balanced_account_and_no_state() {
    let corpus = corpus();
    assert!(corpus.len() >= 20, "{} files only", corpus.len());
    for data in &corpus {
        keying::fuzzing::endpoint(data);
    }
}

/// `MAINMODE_FUZZ_RUNS` sets how many.
#[test]
fn so_do_programs_made_of_pieces_of_the_corpus() {
    let runs = std::env::var("MAINMODE_FUZZ_RUNS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(5_000);
    let corpus = corpus();
    // xorshift: the same programs each time.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut below = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).expect("31 bits") % bound
    };
    for run in 0..runs {
        let mut data = Vec::new();
        for _ in 0..=below(3) {
            let piece = &corpus[below(corpus.len())];
            let start = below(piece.len());
            let end = start + below(piece.len() - start);
            data.extend_from_slice(&piece[start..=end]);
        }
        for _ in 0..below(4) {
            let at = below(data.len());
            data[at] = u8::try_from(below(256)).expect("a byte");
        }
        let told = std::panic::catch_unwind(|| keying::fuzzing::endpoint(&data));
        assert!(told.is_ok(), "run {run}: {data:02x?}");
    }
}
