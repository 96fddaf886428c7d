//! RFC 5114 appendix A: groups 22 to 26.

use crypto::Group;

use crate::diffie_hellman::check;

#[test]
fn modp_1024_with_160_bit_subgroup_is_that_of_rfc_5114_appendix_a_1() {
    check(
        Group::Modp1024s160,
        [
            "b9a3b3ae8fefc1a2930496507086f8455d48943e",
            "2a853b3d92197501b9015b2deb3ed84f5e021dcc3e52f109d3273d2b7521281c\
             babe0e76ff5727fa8acce26956ba9a1fca26f20228d8693feb10841d84a73600\
             54ece5a7f5b7a61ad3dfb3c60d2e43106d8727da37df9cce95b478755d06bcea\
             8f9d45965f75a5f3d1df3701165fc9e50c4279ceb07f989540ae96d5d88ed776",
        ],
        [
            "9392c9f9eb6a7a6a9022f7d83e7223c6835bbdda",
            "717a6cb053371ff4a3b932941c1e5663f861a1d6ad34ae66576dfb98f6c6cbf9\
             ddd5a56c7833f6bcfdff095582ad868e440e8d09fd769e3ceccdc3d3b1e4cfa0\
             57776caaf9739b6a9fee8e7411f8d6dac09d6a4edb46cc2b5d5203090eae6126\
             311e53fd2c14b574e6a3109a3da1be41bdceaa186f5ce06716a2b6a07b3c33fe",
        ],
        "5c804f454d30d9c4df85271f93528c91df6b48ab5f80b3b59caac1b28f8acba9\
         cd3e39f3cb614525d9521d2e644c53b807b810f340062f257d7d6fbfe8d5e8f0\
         72e9b6e9afda9413eafb2e8b0699b1fb5a0caceddeaead7e9cfbb36ae2b42083\
         5bd83a19fb0b5e96bf8fa4d09e345525167ecd9155416f46f408ed31b63c6e6d",
    );
}

#[test]
fn modp_2048_with_224_bit_subgroup_is_that_of_rfc_5114_appendix_a_2() {
    check(
        Group::Modp2048s224,
        [
            "22e62601dbffd06708a680f747f361f76d8f4f721a0548e483294b0c",
            "1b3a63451bd886e699e67b494e288bd7f8e0d370badda7a0efd2fde7d8f66145\
             cc9f280419975eb808877c8a4c0c8e0bd48d4a5401eb1e8776bfeee134c03831\
             ac273cd9d635ab0ce006a42a887e3f52fb8766b650f38078bc8ee8580cefe243\
             968cfc4f8dc3db084554171d41bf2e861b7bb4d69dd0e01ea387cbaa5ca672af\
             cbe8bdb9d62d4ce15f17dd36f91ed1eedd65ca4a06455cb94cd40a52ec360e84\
             b3c926e22c4380a3bf309d56849768b7f52cfdf655fd053a7ef706979e7e5806\
             b17dfae53ad2a5bc568ebb529a7a61d68d256f8fc97c074a861d827e2ebc8c61\
             34553115b70e7103920aa16d85e52bcbab8d786a68178fa8ff7c2f5c71648d6f",
        ],
        [
            "4ff3bc96c7fc6a6d71d3b363800a7cdfef6fc41b4417ea15353b7590",
            "4dcee992a9762a13f2f83844ad3d77ee0e31c9718b3db6c2035d3961182c3e0b\
             a247ec4182d760cd48d99599970622a1881bba2dc822939c78c3912c6661fa54\
             38b20766222b75e24c2e3ad0c7287236129525ee15b5dd7998aa04c4a9696cac\
             d7172083a97a81664ead2c479e444e4c0654cc19e28d7703cee8dacd6126f5d6\
             65ec52c67255db92014b037eb621a2ac8e365de071ffc1400acf077a12913dd8\
             de89473437ab7ba346743c1b215dd9c12164a7e4053118d199bec8ef6fc56117\
             0c84c87d10ee9a674a1fa8ffe13bdfba1d44de48946d68dc0cdd777635a7ab5b\
             fb1e4bb7b856f96827734c184138e915d9c3002ebce53120546a7e2002142b6c",
        ],
        "34d9bddc1b42176c313fea034c21034d074a6313bb4ecdb3703fff424567a46b\
         df75530ede0a9da5229de7d76732286cbc0f91da4c3c852fc099c679531d94c7\
         8ab03d9decb0a4e4ca8b2bb4591c4021cf8ce3a20a541d33994017d0200ae2c9\
         516e2ff5145779269e862b0fb474a2d56dc31ed569a7700b4c4ab16b22a45513\
         531ef523d71212077b5a169bdeffad7ad9608284c7795b6d5a5183b87066de17\
         d8d671c9ebd8ec89544d45ec061593d442c62ab9ce3b1cb9943a1d23a5ea3bcf\
         21a01471e67e003e7f8a69c728be490b2fc88cfeb92db6a215e5d03c17c464c9\
         ac1a46e203e13f952995fb03c69d3cc47fcb510b6998ffd3aa6de73cf9f63869",
    );
}

#[test]
fn modp_2048_with_256_bit_subgroup_is_that_of_rfc_5114_appendix_a_3() {
    check(
        Group::Modp2048s256,
        [
            "0881382cdb87660c6dc13e614938d5b9c8b2f248581cc5e31b35454397fce50e",
            "2e9380c8323af97545bc4941deb0ec3742c62fe0ece824a6abdbe66c59bee024\
             2911bfb967235ceba35ae13e4ec752be630b92dc4bde2847a9c62cb815274542\
             1fb7eb60a63c0fe9159fcce726ce7cd8523d7450667ef840e4919121eb5f01c8\
             c9b0d3d648a93bfb75689e8244ac134af544711ce79a02dcc34226684780dddc\
             b498594106c37f5bc79856487af5ab022a2e5e42f09897c1a85a11ea0212af04\
             d9b4cebc937c3c1a3e15a8a0342e337615c84e7fe3b8b9b87fb1e73a15af12a3\
             0d746e06dfc34f290d797ce51aa13aa785bf6658aff5e4b093003cbeaf665b3c\
             2e113a3a4e905269341dc0711426685f4ef37e868a8126ff3f2279b57ca67e29",
        ],
        [
            "7d62a7e3ef36de617b13d1afb82c780d83a23bd4ee6705645121f371f546a53d",
            "575f0351bd2b1b817448bdf87a6c362c1e289d3903a30b9832c5741fa250363e\
             7acbc7f77f3dacbc1f131add8e03367eff8fbbb3e1c5784424809b25afe4d226\
             2a1a6fd2fab64105ca30a674e07f7809852088632fc049233791ad4edd083a97\
             8b883ee618bc5e0dd047415f2d95e683cf14826b5fbe10d3ce41c6c120c78ab2\
             0008c698bf7f0bcab9d7f407bed0f43afb2970f57f8d12043963e66ddd320d59\
             9ad9936c8f44137c08b180ec5e985cebe186f3d549677e80607331ee17af3380\
             a725b0782317d7dd43f59d7af9568a9bb63a84d365f92244ed120988219302f4\
             2924c7ca90b89d24f71b0ab697823d7deb1aff5b0e8e4a45d49f7f53757e1913",
        ],
        "86c70bf8d0bb81bb01078a17219cb7d27203db2a19c877f1d1f19fd7d77ef225\
         46a68f005ad52dc84553b78fc60330be51ea7c0672cac1515e4b35c047b9a551\
         b88f39dc26da14a09ef74774d47c762dd177f9ed5bc2f11e52c879bd95098504\
         cd9eecd8a8f9b3efbd1f008ac5853097d9d1837f2b18f77cd7be01af80a7c7b5\
         ea3ca54cc02d0c116fee3f95bb87399385875d7e86747e676e728938acbff709\
         8e05be4dcfb24052b83aeffb14783f029adbde7f53fae92084224090e007cee9\
         4d4bf2bace9ffd4b57d2af7c724d0caa19bf0501f6f17b4aa10f425e3ea76080\
         b4b9d6b3cefea115b2ceb8789bb8a3b0ea87febe63b6c8f846ec6db0c26c5d7c",
    );
}

#[test]
fn ecp_192_is_that_of_rfc_5114_appendix_a_4() {
    check(
        Group::Ecp192,
        [
            "323fa3169d8e9c6593f59476bc142000ab5be0e249c43426",
            "cd46489ecfd6c105e7b3d32566e2b122e249abaadd87061268887b4877df51dd\
             4dc3d6fd11f0a26f8fd3844317916e9a",
        ],
        [
            "631f95bb4a67632c9c476eee9ab695ab240a0499307fcf62",
            "519a121680e0045466ba21df2eee47f5973b500577ef13d5ff613ab4d64cee3a\
             20875bdb10f953f6b30ca072c60aa57f",
        ],
        "ad420182633f8526bfe954acda376f05e5ff4f837f54febe",
    );
}

#[test]
fn ecp_224_is_that_of_rfc_5114_appendix_a_5() {
    check(
        Group::Ecp224,
        [
            "b558eb6c288da707bbb4f8fbae2ab9e9cb62e3bc5c7573e22e26d37f",
            "49dfef309f81488c304cff5ab3ee5a2154367dc7833150e0a51f3eeb4f2b5ee4\
             5762c4f654c1a0c67f54cf88b016b51bce3d7c228d57adb4",
        ],
        [
            "ac3b1add3d9770e6f6a708ee9f3b8e0ab3b480e9f27f85c88b5e6d18",
            "6b3ac96a8d0cde6a5599be8032edf10c162d0a8ad219506dcd42a207d491be99\
             c213a7d1ca3706debfe305f361afcbb33e2609c8b1618ad5",
        ],
        "52272f50f46f4edc9151569092f46df2d96ecc3b6dc1714a4ea949fa",
    );
}
