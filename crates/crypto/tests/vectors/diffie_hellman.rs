//! RFC 5903 section 8, RFC 7748 section 6.1, and which public values every group refuses.

use crypto::{CryptoError, Group, GroupRow, KeyShare, PublicValueFault, Secret};
use openssl::bn::BigNum;

use crate::hex;

fn share(group: Group, private: &str) -> KeyShare {
    crypto::share_from_private(group, &Secret::new(hex(private))).unwrap()
}

/// Both sides' private values, public values and what they share.
pub(crate) fn check(group: Group, initiator: [&str; 2], responder: [&str; 2], shared: &str) {
    let (i, r) = (share(group, initiator[0]), share(group, responder[0]));
    assert_eq!(hex::encode(&i.public), initiator[1]);
    assert_eq!(hex::encode(&r.public), responder[1]);
    for (private, public) in [(&i.private, &r.public), (&r.private, &i.public)] {
        let secret = crypto::agree(group, private, public).unwrap();
        assert_eq!(hex::encode(secret.as_bytes()), shared);
    }
}

#[test]
fn ecp_256_is_that_of_rfc_5903_section_8_1() {
    check(
        Group::Ecp256,
        [
            "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
            "dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c3772581180\
             5271a0461cdb8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3",
        ],
        [
            "c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53",
            "d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63\
             56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab",
        ],
        "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de",
    );
}

#[test]
fn ecp_384_is_that_of_rfc_5903_section_8_2() {
    check(
        Group::Ecp384,
        [
            "099f3c7034d4a2c699884d73a375a67f7624ef7c6b3c0f160647b67414dce655\
             e35b538041e649ee3faef896783ab194",
            "667842d7d180ac2cde6f74f37551f55755c7645c20ef73e31634fe72b4c55ee6\
             de3ac808acb4bdb4c88732aee95f41aa9482ed1fc0eeb9cafc4984625ccfc23f\
             65032149e0e144ada024181535a0f38eeb9fcff3c2c947dae69b4c634573a81c",
        ],
        [
            "41cb0779b4bdb85d47846725fbec3c9430fab46cc8dc5060855cc9bda0aa2942\
             e0308312916b8ed2960e4bd55a7448fc",
            "e558dbef53eecde3d3fccfc1aea08a89a987475d12fd950d83cfa41732bc509d\
             0d1ac43a0336def96fda41d0774a3571dcfbec7aacf3196472169e838430367f\
             66eebe3c6e70c416dd5f0c68759dd1fff83fa40142209dff5eaad96db9e6386c",
        ],
        "11187331c279962d93d604243fd592cb9d0a926f422e47187521287e7156c5c4\
         d603135569b9e9d09cf5d4a270f59746",
    );
}

#[test]
fn ecp_521_is_that_of_rfc_5903_section_8_3() {
    check(
        Group::Ecp521,
        [
            "0037ade9319a89f4dabdb3ef411aaccca5123c61acab57b5393dce47608172a0\
             95aa85a30fe1c2952c6771d937ba9777f5957b2639bab072462f68c27a57382d\
             4a52",
            "0015417e84dbf28c0ad3c278713349dc7df153c897a1891bd98bab4357c9ecbe\
             e1e3bf42e00b8e380aeae57c2d107564941885942af5a7f4601723c4195d176c\
             ed3e\
             017cae20b6641d2eeb695786d8c946146239d099e18e1d5a514c739d7cb4a10a\
             d8a788015ac405d7799dc75e7b7d5b6cf2261a6a7f1507438bf01beb6ca3926f\
             9582",
        ],
        [
            "0145ba99a847af43793fdd0e872e7cdfa16be30fdc780f97bccc3f078380201e\
             9c677d600b343757a3bdbf2a3163e4c2f869cca7458aa4a4effc311f5cb15168\
             5eb9",
            "00d0b3975ac4b799f5bea16d5e13e9af971d5e9b984c9f39728b5e5739735a21\
             9b97c356436adc6e95bb0352f6be64a6c2912d4ef2d0433ced2b6171640012d9\
             460f\
             015c68226383956e3bd066e797b623c27ce0eac2f551a10c2c724d9852077b87\
             220b6536c5c408a1d2aebb8e86d678ae49cb57091f4732296579ab44fcd17f0f\
             c56a",
        ],
        "01144c7d79ae6956bc8edb8e7c787c4521cb086fa64407f97894e5e6b2d79b04\
         d1427e73ca4baa240a34786859810c06b3c715a3a8cc3151f2bee417996d19f3\
         ddea",
    );
}

#[test]
fn x25519_is_that_of_rfc_7748_section_6_1() {
    check(
        Group::X25519,
        [
            "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
        ],
        [
            "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
            "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
        ],
        "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
    );
}

/// Refused by [`crypto::check_public`] and by [`crypto::agree`] alike, for the same reason.
fn refused(row: &GroupRow, ours: &KeyShare, public: &[u8]) -> PublicValueFault {
    let results = [
        crypto::check_public(row.group, public),
        crypto::agree(row.group, &ours.private, public).map(drop),
    ];
    let faults = results.map(|result| match result {
        Err(error @ CryptoError::BadPublicValue(fault)) => {
            assert!(error.is_peers_fault());
            fault
        }
        other => panic!("{}: {other:?} for {}", row.name, hex::encode(public)),
    });
    assert_eq!(faults[0], faults[1]);
    faults[0]
}

#[test]
fn every_group_refuses_public_values_of_another_size() {
    for row in &crypto::GROUPS {
        let ours = crypto::generate(row.group).unwrap();
        let theirs = crypto::generate(row.group).unwrap();
        assert_eq!(theirs.public.len(), row.public_len);
        let mut long = theirs.public.clone();
        long.insert(0, 0);
        let mut longer = theirs.public.clone();
        longer.push(0);
        let wrong: [&[u8]; 5] = [&[], &[2], &theirs.public[1..], &long, &longer];
        for public in wrong {
            assert_eq!(
                refused(row, &ours, public),
                PublicValueFault::WrongSize {
                    expected: row.public_len,
                    got: public.len()
                }
            );
        }
    }
}

#[test]
fn every_group_refuses_our_own_public_value() {
    for row in &crypto::GROUPS {
        let ours = crypto::generate(row.group).unwrap();
        let result = crypto::agree(row.group, &ours.private, &ours.public);
        assert!(matches!(
            result,
            Err(CryptoError::BadPublicValue(PublicValueFault::OurOwn))
        ));
    }
}

#[test]
fn modp_groups_refuse_0_1_and_p_minus_1_and_more() {
    let primes = [
        (Group::Modp1024, BigNum::get_rfc2409_prime_1024()),
        (Group::Modp1536, BigNum::get_rfc3526_prime_1536()),
        (Group::Modp2048, BigNum::get_rfc3526_prime_2048()),
        (Group::Modp3072, BigNum::get_rfc3526_prime_3072()),
        (Group::Modp4096, BigNum::get_rfc3526_prime_4096()),
        (Group::Modp6144, BigNum::get_rfc3526_prime_6144()),
        (Group::Modp8192, BigNum::get_rfc3526_prime_8192()),
    ];
    for (group, prime) in primes {
        let row = group.row();
        let prime = prime.unwrap();
        let ours = crypto::generate(group).unwrap();
        let padded = |value: &BigNum| {
            value
                .to_vec_padded(i32::try_from(row.public_len).unwrap())
                .unwrap()
        };
        let small = |n| BigNum::from_u32(n).unwrap();
        let largest = padded(&BigNum::from_slice(&vec![0xff; row.public_len]).unwrap());
        for bad in [
            padded(&small(0)),
            padded(&small(1)),
            padded(&(&prime - &small(1))),
            padded(&prime),
            padded(&(&prime + &small(1))),
            largest,
        ] {
            assert_eq!(refused(row, &ours, &bad), PublicValueFault::OutOfRange);
        }
        for good in [padded(&small(2)), padded(&(&prime - &small(2)))] {
            crypto::check_public(group, &good).unwrap();
            let shared = crypto::agree(group, &ours.private, &good).unwrap();
            assert_eq!(shared.len(), row.shared_len);
        }
    }
}

/// p - y is in range, and its order is twice that of the subgroup; so it is with any small number.
#[test]
fn modp_groups_with_a_subgroup_refuse_what_is_outside_of_it() {
    let groups = [
        (Group::Modp1024s160, openssl::dh::Dh::get_1024_160()),
        (Group::Modp2048s224, openssl::dh::Dh::get_2048_224()),
        (Group::Modp2048s256, openssl::dh::Dh::get_2048_256()),
    ];
    for (group, parameters) in groups {
        let row = group.row();
        let parameters = parameters.unwrap();
        let (ours, theirs) = (
            crypto::generate(group).unwrap(),
            crypto::generate(group).unwrap(),
        );
        let len = i32::try_from(row.public_len).unwrap();
        let y = BigNum::from_slice(&theirs.public).unwrap();
        let negative = parameters.prime_p() - &y;
        for outside in [negative, BigNum::from_u32(2).unwrap()] {
            let public = outside.to_vec_padded(len).unwrap();
            assert_eq!(
                refused(row, &ours, &public),
                PublicValueFault::NotInSubgroup
            );
            assert!(crypto::generate_and_agree(group, &public).is_err());
        }
        for out_of_range in [BigNum::new().unwrap(), BigNum::from_u32(1).unwrap()] {
            let public = out_of_range.to_vec_padded(len).unwrap();
            assert_eq!(refused(row, &ours, &public), PublicValueFault::OutOfRange);
        }
        crypto::check_public(group, &theirs.public).unwrap();
    }
}

#[test]
fn ecp_groups_refuse_what_is_not_on_their_curve() {
    for group in [
        Group::Ecp192,
        Group::Ecp224,
        Group::Ecp256,
        Group::Ecp384,
        Group::Ecp521,
    ] {
        let row = group.row();
        let ours = crypto::generate(group).unwrap();
        let theirs = crypto::generate(group).unwrap().public;
        let half = row.public_len / 2;
        let mut wrong = vec![
            // What infinity is sometimes written as, and coordinates of the prime and more.
            vec![0; row.public_len],
            vec![0xff; row.public_len],
            [&theirs[half..], &theirs[..half]].concat(),
            [&theirs[..half], &vec![0; half]].concat(),
        ];
        for at in [0, half - 1, half, row.public_len - 1] {
            let mut changed = theirs.clone();
            changed[at] ^= 1;
            wrong.push(changed);
        }
        for public in wrong {
            assert_eq!(refused(row, &ours, &public), PublicValueFault::NotOnCurve);
        }
    }
    // A point of another curve, in this one's size.
    let other = openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::SECP256K1).unwrap();
    let mut context = openssl::bn::BigNumContext::new().unwrap();
    let form = openssl::ec::PointConversionForm::UNCOMPRESSED;
    let point = other
        .generator_opt()
        .unwrap()
        .to_bytes(&other, form, &mut context);
    let ours = crypto::generate(Group::Ecp256).unwrap();
    assert_eq!(
        refused(Group::Ecp256.row(), &ours, &point.unwrap()[1..]),
        PublicValueFault::NotOnCurve
    );
}

/// The values that RFC 7748 section 6.1 warns of, as listed at <https://cr.yp.to/ecdh.html#validate>,
/// each with and without the highest bit, which counts for nothing.
#[test]
fn x25519_refuses_the_values_of_small_order() {
    let row = Group::X25519.row();
    let ours = crypto::generate(Group::X25519).unwrap();
    for text in [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ] {
        for top in [0, 0x80] {
            let mut public = hex(text);
            public[31] |= top;
            assert_eq!(refused(row, &ours, &public), PublicValueFault::SmallOrder);
        }
    }
    // The base point, and as a value of p or more, which must be taken: 2^255 - 1 = p + 18.
    let mut base = [0; 32];
    base[0] = 9;
    for public in [base, [0xff; 32]] {
        crypto::check_public(Group::X25519, &public).unwrap();
        crypto::agree(Group::X25519, &ours.private, &public).unwrap();
    }
}

#[test]
fn private_values_that_are_none_are_our_fault() {
    for row in &crypto::GROUPS {
        let peer = crypto::generate(row.group).unwrap().public;
        for len in [0, row.private_len - 1, row.private_len + row.public_len + 1] {
            let private = Secret::new(vec![1; len]);
            for result in [
                crypto::share_from_private(row.group, &private).map(drop),
                crypto::agree(row.group, &private, &peer).map(drop),
            ] {
                let error = result.unwrap_err();
                assert!(matches!(error, CryptoError::WrongLength { .. }), "{error}");
                assert!(!error.is_peers_fault());
            }
        }
        if row.group != Group::X25519 {
            let zero = Secret::new(vec![0; row.private_len]);
            let result = crypto::share_from_private(row.group, &zero);
            assert!(matches!(result, Err(CryptoError::BadPrivateValue)));
        }
    }
    let order_or_more = Secret::new(vec![0xff; 32]);
    assert!(matches!(
        crypto::share_from_private(Group::Ecp256, &order_or_more),
        Err(CryptoError::BadPrivateValue)
    ));
}

#[test]
fn shares_are_fresh_each_time_and_both_sides_agree_in_every_group() {
    for row in &crypto::GROUPS {
        let ours = crypto::generate(row.group).unwrap();
        let theirs = crypto::generate(row.group).unwrap();
        assert_ne!(ours.public, theirs.public);
        let a = crypto::agree(row.group, &ours.private, &theirs.public).unwrap();
        let b = crypto::agree(row.group, &theirs.private, &ours.public).unwrap();
        assert!(crypto::ct_eq(a.as_bytes(), b.as_bytes()), "{}", row.name);
        assert_eq!(a.len(), row.shared_len);
        assert!(a.as_bytes().iter().any(|byte| *byte != 0));
    }
}
