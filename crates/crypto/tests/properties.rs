//! What holds for any input.

use crypto::esp::{ESP_CIPHERS, ESP_INTEGRITIES, EspProposal, EspProposalError};
use crypto::{
    CIPHERS, Cipher, CryptoError, GROUPS, Group, HASHES, Proposal, ProposalError, Secret,
};
use openssl::derive::Deriver;
use openssl::pkey::{Id, PKey};
use proptest::prelude::*;
use proptest::sample::select;

fn ciphers() -> impl Strategy<Value = Cipher> {
    let usable: Vec<Cipher> = CIPHERS.iter().filter_map(|row| row.cipher).collect();
    select(usable)
}

fn proposals() -> impl Strategy<Value = Proposal> {
    let hashes: Vec<_> = HASHES.iter().map(|row| row.hash).collect();
    let groups: Vec<_> = GROUPS.iter().map(|row| row.group).collect();
    (ciphers(), select(hashes), select(groups)).prop_map(|(cipher, hash, group)| Proposal {
        cipher,
        hash,
        group,
    })
}

/// A cipher with a key, an IV and some blocks of its own sizes.
fn messages() -> impl Strategy<Value = (Cipher, Vec<u8>, Vec<u8>, Vec<u8>)> {
    (ciphers(), 1_usize..64).prop_flat_map(|(cipher, blocks)| {
        let row = cipher.row();
        let bytes = |len| prop::collection::vec(any::<u8>(), len);
        (
            Just(cipher),
            bytes(row.key_len),
            bytes(row.block),
            bytes(blocks * row.block),
        )
    })
}

proptest! {
    #[test]
    fn what_was_encrypted_decrypts_to_itself((cipher, key, iv, plaintext) in messages()) {
        let key = Secret::new(key);
        let ciphertext = crypto::encrypt(cipher, &key, &iv, &plaintext).unwrap();
        prop_assert_eq!(ciphertext.len(), plaintext.len());
        prop_assert_ne!(&ciphertext, &plaintext);
        prop_assert_eq!(crypto::decrypt(cipher, &key, &iv, &ciphertext).unwrap(), plaintext);
    }

    /// OpenSSL, which does not compute ours.
    #[test]
    fn x25519_is_what_openssl_computes(ours in any::<[u8; 32]>(), theirs in any::<[u8; 32]>()) {
        let key = PKey::private_key_from_raw_bytes(&ours, Id::X25519).unwrap();
        let share = crypto::share_from_private(Group::X25519, &Secret::new(ours.to_vec())).unwrap();
        prop_assert_eq!(&share.public, &key.raw_public_key().unwrap());
        let peer = PKey::public_key_from_raw_bytes(&theirs, Id::X25519).unwrap();
        let mut deriver = Deriver::new(&key).unwrap();
        deriver.set_peer(&peer).unwrap();
        let shared = crypto::agree(Group::X25519, &share.private, &theirs).unwrap();
        prop_assert_eq!(shared.as_bytes(), deriver.derive_to_vec().unwrap());
    }

    #[test]
    fn two_messages_chained_by_the_last_block_are_one(
        (cipher, key, iv, plaintext) in messages(),
        cut in any::<prop::sample::Index>(),
    ) {
        let (key, block) = (Secret::new(key), cipher.row().block);
        let whole = crypto::encrypt(cipher, &key, &iv, &plaintext).unwrap();
        let at = cut.index(plaintext.len() / block) * block;
        prop_assume!(at > 0);
        let first = crypto::encrypt(cipher, &key, &iv, &plaintext[..at]).unwrap();
        let next_iv = &first[at - block..];
        let second = crypto::encrypt(cipher, &key, next_iv, &plaintext[at..]).unwrap();
        prop_assert_eq!([first, second].concat(), whole);
    }

    #[test]
    fn any_bytes_decrypt_to_as_many_or_are_not_whole_blocks(
        cipher in ciphers(),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let row = cipher.row();
        let key = Secret::new(vec![7; row.key_len]);
        match crypto::decrypt(cipher, &key, &vec![9; row.block], &bytes) {
            Ok(plaintext) => prop_assert_eq!(plaintext.len(), bytes.len()),
            Err(CryptoError::NotWholeBlocks { len, block }) => {
                prop_assert_eq!(len, bytes.len());
                prop_assert!(len == 0 || len % block != 0);
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn a_proposal_reads_back_as_it_was_printed(proposal in proposals()) {
        let text = proposal.to_string();
        prop_assert_eq!(text.parse::<Proposal>().unwrap(), proposal);
        prop_assert_eq!(text.to_uppercase().parse::<Proposal>().unwrap(), proposal);
        let mut words: Vec<&str> = text.split('-').collect();
        words.reverse();
        prop_assert_eq!(words.join("-").parse::<Proposal>().unwrap(), proposal);
    }

    #[test]
    fn no_text_panics_and_what_is_read_is_printed_canonically(text in "\\PC{0,40}") {
        if let Ok(proposal) = text.parse::<Proposal>() {
            prop_assert_eq!(proposal.to_string().parse::<Proposal>().unwrap(), proposal);
        }
    }

    #[test]
    fn words_of_the_table_in_any_number_are_a_proposal_or_an_error_that_names_one(
        words in prop::collection::vec(select(vocabulary()), 1..6),
    ) {
        let text = words.join("-");
        match text.parse::<Proposal>() {
            Ok(_) => prop_assert_eq!(words.len(), 3),
            Err(ProposalError::Missing { .. }) => prop_assert!(words.len() < 3),
            Err(error) => prop_assert!(words.contains(&error.word().unwrap())),
        }
    }

    #[test]
    fn words_of_phase_2_are_a_whole_proposal_that_reads_back_or_an_error_that_names_one(
        words in prop::collection::vec(select(phase_2_vocabulary()), 1..6),
    ) {
        match words.join("-").parse::<EspProposal>() {
            Ok(proposal) => {
                prop_assert_eq!(proposal.to_string().parse::<EspProposal>(), Ok(proposal));
                prop_assert!(proposal.transform().is_some());
                prop_assert!(proposal.key_len() > 0);
            }
            Err(EspProposalError::NoCipher | EspProposalError::NoIntegrityInAh) => {}
            Err(error) => {
                let at_fault = error.word().unwrap();
                let found = words.iter().any(|word| {
                    word.eq_ignore_ascii_case(at_fault)
                        || ESP_CIPHERS
                            .iter()
                            .map(|row| (row.name, row.aliases))
                            .chain(ESP_INTEGRITIES.iter().map(|row| (row.name, row.aliases)))
                            .any(|(name, aliases)| name == at_fault && aliases.contains(word))
                });
                prop_assert!(found, "{}", error);
            }
        }
    }

    #[test]
    fn no_text_panics_as_a_proposal_of_phase_2(text in "\\PC{0,40}") {
        if let Ok(proposal) = text.parse::<EspProposal>() {
            prop_assert_eq!(proposal.to_string().parse::<EspProposal>(), Ok(proposal));
        }
    }

    #[test]
    fn any_bytes_as_a_public_value_give_a_secret_of_the_groups_length_or_are_refused(
        index in 0..GROUPS.len(),
        seed in any::<[u8; 32]>(),
    ) {
        let row = &GROUPS[index];
        let ours = crypto::generate(row.group).unwrap();
        let public: Vec<u8> = seed.iter().copied().cycle().take(row.public_len).collect();
        let at_once = crypto::generate_and_agree(row.group, &public);
        match crypto::agree(row.group, &ours.private, &public) {
            Ok(shared) => {
                prop_assert_eq!(shared.len(), row.shared_len);
                prop_assert_eq!(at_once.unwrap().1.len(), row.shared_len);
            }
            Err(error) => {
                prop_assert!(error.is_peers_fault(), "{}", error);
                prop_assert!(at_once.unwrap_err().is_peers_fault());
            }
        }
    }

    #[test]
    fn a_share_and_an_agreement_made_at_once_agree_with_the_peers_own(index in 0..GROUPS.len()) {
        let group = GROUPS[index].group;
        let theirs = crypto::generate(group).unwrap();
        let (public, shared) = crypto::generate_and_agree(group, &theirs.public).unwrap();
        let expected = crypto::agree(group, &theirs.private, &public).unwrap();
        prop_assert_eq!(shared.as_bytes(), expected.as_bytes());
    }
}

fn vocabulary() -> Vec<&'static str> {
    let ciphers = CIPHERS.iter().map(|row| (row.name, row.aliases));
    let hashes = HASHES.iter().map(|row| (row.name, row.aliases));
    let groups = GROUPS.iter().map(|row| (row.name, row.aliases));
    ciphers
        .chain(hashes)
        .chain(groups)
        .flat_map(|(name, aliases)| std::iter::once(name).chain(aliases.iter().copied()))
        .collect()
}

fn phase_2_vocabulary() -> Vec<&'static str> {
    let ciphers = ESP_CIPHERS.iter().map(|row| (row.name, row.aliases));
    let integrities = ESP_INTEGRITIES.iter().map(|row| (row.name, row.aliases));
    let groups = GROUPS.iter().map(|row| (row.name, row.aliases));
    let none: &[&str] = &[];
    ciphers
        .chain(integrities)
        .chain(groups)
        .chain(["ah", "esp", "esn", "noesn", "des", "prfsha1"].map(|word| (word, none)))
        .flat_map(|(name, aliases)| std::iter::once(name).chain(aliases.iter().copied()))
        .collect()
}
